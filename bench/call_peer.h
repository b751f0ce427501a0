// CallPeer: a connection that makes calls, as one of many Peers.
//
// One thread. `source` and `observer` outlive it.
#pragma once

#include <string>
#include <string_view>

#include "bench/connection.h"
#include "bench/peers.h"
#include "bench/system.h"

namespace quoin::bench {

class CallPeer final : public Peer {
 public:
  CallPeer(const std::string& host, const std::string& port, size_t streams, RequestSource& source,
           Connection::Observer& observer)
      : Peer(Dial(host, port)), connection_(host + ":" + port, streams, source, observer) {}
  void Receive(std::string_view bytes) override {
    if (!connection_.Receive(bytes)) Die(connection_.error());
  }
  std::string& output() override { return connection_.output(); }
  void Go() override { connection_.StartCalls(Now()); }

 private:
  Connection connection_;
};

}  // namespace quoin::bench
