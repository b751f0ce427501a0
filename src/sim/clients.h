// Clients: one simulated machine that talks gRPC to all members, over their client ports.
//
// Thread: the world's. Callbacks run on the clients' loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "env/sim/sim_world.h"
#include "rpc/client.h"
#include "sim/fleet.h"

namespace quoin::sim {

inline constexpr const char* kClientHost = "10.1.0.1";
inline constexpr const char* kSlowClientHost = "10.1.0.2";

// Thread: the world's.
class Clients {
 public:
  explicit Clients(Fleet& fleet, const std::string& host = kClientHost);

  env::Executor& loop() { return *loop_; }
  env::Duration Now() const { return fleet_.world().Now(); }
  // On the clients' loop.
  rpc::Channel& To(const Host& host);
  // On the clients' loop. `done` at most once.
  template <typename Response, typename Request>
  void Call(const Host& host, std::string method, const Request& request, env::Duration timeout,
            std::function<void(StatusOr<Response>)> done) {
    rpc::CallOptions options;
    options.timeout = timeout;
    To(host).Unary(std::move(method), request.SerializeAsString(), options,
                   [this, done = std::move(done)](StatusOr<std::string> answer) {
                     if (!answer.ok()) return done(answer.status());
                     Response response;
                     if (!response.ParseFromString(*answer))
                       return fleet_.Fail("a response that does not parse");
                     done(std::move(response));
                   });
  }

 private:
  Fleet& fleet_;
  env::SimDisk disk_;
  env::SimEnv env_;
  std::unique_ptr<env::Executor> loop_;
  std::map<size_t, std::unique_ptr<rpc::Channel>> channels_;  // by number of the host
};

}  // namespace quoin::sim
