// PosixNetwork: listening and connecting.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/dialer.h"
#include "env/network.h"
#include "env/posix/posix_resolver.h"

namespace quoin::env {

// Non-blocking sockets on PosixExecutors (and no other kind of executor). Outlives all connections
// that are being made. Thread: as env/network.h says.
class PosixNetwork final : public Network, private Dialer::World {
 public:
  explicit PosixNetwork(PosixResolver::System system = SystemLookup)
      : system_(system), resolver_(std::move(system)) {}

  StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address,
                                             std::vector<Executor*> loops,
                                             const ListenOptions& options,
                                             OnAccept on_accept) override;
  void Connect(const std::string& address, Duration timeout, Executor& on,
               absl::AnyInvocable<void(StatusOr<std::unique_ptr<Connection>>)> done) override;

 private:
  void Lookup(const std::string& host, Executor& on, Dialer::Found found) override;
  std::unique_ptr<Dialer::Attempt> Dial(const std::string& address, Executor& on,
                                        Dialer::Done done) override;

  const PosixResolver::System system_;
  PosixResolver resolver_;
};

}  // namespace quoin::env
