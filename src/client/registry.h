// Service discovery and configuration, as the two usual shapes of Session and Mirror.
//
// Thread: any but the client's loop.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "client/mirror.h"
#include "client/session.h"

namespace quoin::client {

// One instance of a service, present as long as its session lives: the key
// "<prefix>/<service>/<instance>" holds its address.
class Registration {
 public:
  // Fails with AlreadyExists when another session holds this name.
  static StatusOr<Registration> Register(Session& session, std::string_view prefix,
                                         std::string_view service, std::string_view instance,
                                         std::string_view address, Client::Timeout timeout);
  // FailedPrecondition when the registration has ended with its session.
  Status Update(std::string_view address, Client::Timeout timeout);
  Status Withdraw(Client::Timeout timeout);
  const std::string& key() const { return key_; }

 private:
  Registration(Session& session, std::string key) : session_(&session), key_(std::move(key)) {}

  Session* session_;
  std::string key_;
  int64_t create_revision_ = 0;
};

// The instances of one service as they come and go.
class Discovery {
 public:
  using Instances = std::map<std::string, std::string>;  // instance → address

  // `on_change` (may be empty) runs on the client's loop with all that is there then.
  Discovery(Client& client, std::string_view prefix, std::string_view service,
            std::function<void(const Instances&)> on_change = nullptr);
  Instances Get() const;
  // Waits until `condition` holds for the instances: false when `timeout` came first.
  bool WaitFor(Client::Timeout timeout, absl::FunctionRef<bool(const Instances&)> condition) const;

 private:
  Instances Named(const MirroredMap& map) const;

  const std::string directory_;  // ends with '/'
  std::function<void(const Instances&)> on_change_;
  Instances followed_;  // the loop's
  Mirror mirror_;
};

// One value that a program follows.
class ConfigSubscriber {
 public:
  // `on_change` (may be empty) runs on the client's loop: first with the value that is there, then
  // with each newer one; nullopt = the key is absent.
  ConfigSubscriber(Client& client, std::string key,
                   std::function<void(const std::optional<std::string>&)> on_change = nullptr);
  // Waits for the first answer; nullopt when it did not come in time or the key is absent.
  std::optional<std::string> Get(Client::Timeout timeout) const;
  bool WaitFor(Client::Timeout timeout,
               absl::FunctionRef<bool(const std::optional<std::string>&)> condition) const;

 private:
  const std::string key_;
  Mirror mirror_;
};

}  // namespace quoin::client
