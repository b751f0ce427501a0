// rpc client: gRPC calls over one HTTP/2 connection, and HTTP/1.1 requests. What quoinctl, client/
// and peers use.
//
// Thread: one executor owns a Channel; every callback runs there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/status.h"
#include "env/env.h"

namespace quoin::rpc {

struct CallOptions {
  std::optional<env::Duration> timeout;  // becomes grpc-timeout and a local deadline
  std::vector<std::pair<std::string, std::string>> metadata;
};

struct ChannelOptions {
  // From the start of a dial to the server's first SETTINGS.
  env::Duration dial_timeout = std::chrono::seconds(2);
  // While calls are open: a ping after this long a silence (0 = none). The connection is lost when
  // nothing at all comes within keepalive_timeout of it. These pings are never closer than the sum
  // of the two: a server with etcd's defaults ends a connection that is pinged more often than
  // every 5 s. Probe() pings beside them.
  env::Duration keepalive_time = std::chrono::seconds(3);
  env::Duration keepalive_timeout = std::chrono::milliseconds(2500);
  size_t receive_message_bytes_max = INT32_MAX;
};

// A stream of either direction. Ends with on_end exactly once; after that only destruction is
// allowed.
class ClientStream {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnMessage(std::string_view message) = 0;
    virtual void OnEnd(const Status& status) = 0;
  };
  virtual ~ClientStream() = default;  // cancels when still running
  virtual void Send(std::string message) = 0;
  virtual void HalfClose() = 0;
  virtual void Cancel() = 0;
};

class Channel {
 public:
  // Connects lazily to "host:port" (or "unix:path"); reconnects on the next call after a loss. A
  // call that ends before the server's SETTINGS came was not sent; its error says "connection
  // error".
  static std::unique_ptr<Channel> New(env::Env& env, env::Executor& loop, std::string address,
                                      const ChannelOptions& options);
  virtual ~Channel() = default;
  // Whether a call would leave at once.
  virtual bool ready() const = 0;
  // Gets ready; `done` gets OK, or why not. Dropped, not called, when the channel is destroyed.
  virtual void Connect(absl::AnyInvocable<void(Status)> done) = 0;
  // For callers that wait in vain: pings now, and ends the connection and its calls (Unavailable)
  // when nothing at all comes within `patience`. Pings too often for etcd's servers are left out.
  virtual void Probe(env::Duration patience) = 0;
  virtual void Unary(std::string method, std::string request, const CallOptions& options,
                     absl::AnyInvocable<void(StatusOr<std::string>)> done) = 0;
  virtual std::unique_ptr<ClientStream> Stream(std::string method, const CallOptions& options,
                                               ClientStream::Handler& handler) = 0;
};

}  // namespace quoin::rpc
