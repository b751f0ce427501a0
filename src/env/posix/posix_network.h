// PosixNetwork: listening and connecting.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/network.h"

namespace quoin::env {

// Non-blocking sockets on PosixExecutors (and no other kind of executor). Thread: as env/network.h
// says.
class PosixNetwork final : public Network {
 public:
  StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address,
                                             std::vector<Executor*> loops,
                                             const ListenOptions& options,
                                             OnAccept on_accept) override;
  void Connect(const std::string& address, Duration timeout, Executor& on,
               absl::AnyInvocable<void(StatusOr<std::unique_ptr<Connection>>)> done) override;
};

}  // namespace quoin::env
