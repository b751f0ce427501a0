// HTTP/1.1 client: one request at a time per connection, bodies streamed both ways. What members
// say to each other beside gRPC.
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

// A whole exchange: "http://host:port" + target. Connects, sends, reads the answer (at most
// `body_bytes_max`), closes. Unavailable, DeadlineExceeded or InvalidArgument when there is no
// proper answer within `timeout`.
struct FetchRequest {
  std::string url;  // scheme and authority, as in --initial-cluster
  std::string method = "GET";
  std::string target = "/";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
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
