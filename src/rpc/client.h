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
  env::Duration dial_timeout = std::chrono::seconds(2);
  env::Duration keepalive_time = std::chrono::seconds(0);  // 0 = no pings
  env::Duration keepalive_timeout = std::chrono::seconds(6);
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
  // Connects lazily to "host:port" (or "unix:path"); reconnects on the next call after a loss.
  static std::unique_ptr<Channel> New(env::Env& env, env::Executor& loop, std::string address,
                                      const ChannelOptions& options);
  virtual ~Channel() = default;
  virtual void Unary(std::string method, std::string request, const CallOptions& options,
                     absl::AnyInvocable<void(StatusOr<std::string>)> done) = 0;
  virtual std::unique_ptr<ClientStream> Stream(std::string method, const CallOptions& options,
                                               ClientStream::Handler& handler) = 0;
};

}  // namespace quoin::rpc
