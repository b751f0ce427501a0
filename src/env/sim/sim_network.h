// SimNetwork: byte streams between simulated machines, with drawn delays. Bytes of one direction
// stay in order.
//
// Thread: one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "env/network.h"

namespace quoin::env {

class SimWorld;

// Thread: one.
class SimNetwork final : public Network {
 public:
  explicit SimNetwork(SimWorld& world) : world_(world) {}
  StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address,
                                             std::vector<Executor*> loops,
                                             const ListenOptions& options,
                                             OnAccept on_accept) override;
  void Connect(const std::string& address, Duration timeout, Executor& on,
               absl::AnyInvocable<void(StatusOr<std::unique_ptr<Connection>>)> done) override;

 private:
  friend class SimListener;
  struct Accepting {
    std::vector<Executor*> loops;
    std::shared_ptr<OnAccept> on_accept;
    size_t next = 0;
  };
  SimWorld& world_;
  std::map<std::string, Accepting> listeners_;
};

}  // namespace quoin::env
