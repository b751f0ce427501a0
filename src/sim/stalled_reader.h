// StalledReader: a gRPC client that asks once and takes nothing of the answer: it either gives the
// server no window, or does not read its connection. The bytes of its HTTP/2 are written by hand:
// no client library behaves so.
//
// Thread: its loop.
#pragma once

#include <memory>
#include <string>

#include "base/lifeline.h"
#include "env/network.h"

namespace quoin::sim {

// Thread: its loop. Stays until it is destroyed or the server ends the connection.
class StalledReader final : private env::Connection::Handler {
 public:
  StalledReader(env::Network& network, env::Executor& loop, const std::string& address,
                std::string method, std::string request, bool no_window);

 private:
  void Ask();
  void OnData(std::string_view) override {}
  void OnClosed(Status) override {}

  const std::string method_, request_;
  const bool no_window_;
  std::unique_ptr<env::Connection> connection_;
  Lifeline lifeline_;  // last
};

}  // namespace quoin::sim
