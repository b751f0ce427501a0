// HTTP/1.1 client: one exchange per connection, bodies streamed both ways. What members say to each
// other beside gRPC.
//
// There are HttpStream (bodies as they come) and Fetch (a whole exchange at once).
//
// Thread: one executor; every callback runs there, never inside the call that caused it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/status.h"
#include "env/env.h"
#include "rpc/server.h"

namespace quoin::rpc {

struct HttpRequestHead {
  std::string url;  // as in --initial-cluster: http://host:port, unix://host:port, unix:///path
  std::string method = "GET";
  std::string target = "/";
  std::vector<std::pair<std::string, std::string>> headers;
  // Not chunked: the whole body is given here and its length is told.
  std::string body;
  bool chunked = false;  // the body comes by Write, and ends with EndBody
  env::Duration dial_timeout = std::chrono::seconds(5);
};

class HttpStream {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnHead(int status, const HttpResponse& head) = 0;
    virtual void OnBody(std::string_view piece) = 0;
    // unsent_bytes() fell to zero.
    virtual void OnDrained() {}
    // Last callback. OK: the answer has come to its end. Unavailable: no connection, or it broke;
    // InvalidArgument: what came is no HTTP; the URL's scheme is another one.
    virtual void OnEnd(const Status& status) = 0;
  };

  // Destroying it closes the connection without further callbacks; also inside a callback.
  // `handler` outlives it.
  static std::unique_ptr<HttpStream> Open(env::Env& env, env::Executor& loop, HttpRequestHead head,
                                          Handler& handler);
  virtual ~HttpStream() = default;
  // REQUIRES: head.chunked. Before the connection stands the bytes wait.
  virtual void Write(std::string bytes) = 0;
  virtual void EndBody() = 0;
  virtual size_t unsent_bytes() const = 0;
};

// A whole exchange: connects, sends, reads the answer (at most `body_bytes_max`), closes.
// DeadlineExceeded when there is no whole answer within `timeout`, otherwise errors as HttpStream.
struct FetchRequest {
  HttpRequestHead head;
  env::Duration timeout = std::chrono::seconds(5);
  size_t body_bytes_max = 1 << 20;
};
// The handle cancels when destroyed; `done` does not run then.
class Fetch {
 public:
  virtual ~Fetch() = default;
};
std::unique_ptr<Fetch> StartFetch(env::Env& env, env::Executor& loop, FetchRequest request,
                                  absl::AnyInvocable<void(StatusOr<HttpResponse>)> done);

}  // namespace quoin::rpc
