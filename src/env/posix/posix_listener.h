// PosixListener: sockets that accept connections for loops in turn.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/network.h"
#include "env/posix/posix_executor.h"

namespace quoin::env {

// All sockets of one Listen call: one for each address. A socket's file goes with it. Thread: any
// for its making and its end; the sockets belong to the first of the loops.
class PosixListener final : public Listener {
 public:
  // As Network::Listen. `hosts`: the IP addresses of a name, empty for any other address.
  static StatusOr<std::unique_ptr<Listener>> New(const std::string& address,
                                                 const std::vector<std::string>& hosts,
                                                 std::vector<PosixExecutor*> loops,
                                                 const ListenOptions& options,
                                                 Network::OnAccept on_accept);
  ~PosixListener() override;
  std::string address() const override { return address_; }

 private:
  class Acceptor;
  PosixListener(std::vector<std::shared_ptr<Acceptor>> acceptors, std::string address)
      : acceptors_(std::move(acceptors)), address_(std::move(address)) {}

  std::vector<std::shared_ptr<Acceptor>> acceptors_;
  const std::string address_;  // of the first socket
};

}  // namespace quoin::env
