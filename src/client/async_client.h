// AsyncClient: calls to a cluster over a list of endpoints.
//
// A call goes to the endpoint in use. When that one cannot be reached, or answers Unavailable to a
// call that may be repeated, the next endpoint is tried; after a full round there is a short pause;
// the call's timeout bounds it all. A call that changes state is never sent twice.
//
// With a user name, the client fetches a token before the first call and again when a server no
// longer takes it.
//
// Thread: one loop owns an AsyncClient; every callback runs there. Destroying it drops calls under
// way: their `done` is destroyed without being run.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "client/endpoint.h"
#include "client/methods.h"
#include "env/env.h"
#include "rpc/client.h"

namespace quoin::client {

struct ClientOptions {
  std::vector<Endpoint> endpoints;  // at least one
  rpc::ChannelOptions channel;
  std::string user;  // empty = anonymous
  std::string password;
  std::string token;  // a token made elsewhere; used as it stands
  size_t send_message_bytes_max = 2 << 20;
  // How long a call without a timeout of its own keeps trying to reach an endpoint.
  env::Duration reach_timeout = std::chrono::seconds(5);
};

// Whether a call failed because its user could not log in.
bool IsLoginFailure(const Status& status);

class AsyncClient {
 public:
  using Done = absl::AnyInvocable<void(StatusOr<std::string>)>;
  using Timeout = std::optional<env::Duration>;

  using ChannelFactory = absl::FunctionRef<std::unique_ptr<rpc::Channel>(const Endpoint&)>;

  // `env` and `loop` outlive the client.
  AsyncClient(env::Env& env, env::Executor& loop, ClientOptions options);
  // Over other channels than rpc's: for tests. `make_channel` is used during construction only.
  AsyncClient(env::Executor& loop, ClientOptions options, ChannelFactory make_channel);
  ~AsyncClient();
  AsyncClient(const AsyncClient&) = delete;
  AsyncClient& operator=(const AsyncClient&) = delete;

  // A stream broke: the next stream or call goes to the next endpoint.
  void TryNextEndpoint() { NextEndpoint(); }

  // One request, one response, both marshalled. `done` may run before this returns (timeout not
  // above zero). When the timeout passes the status is DeadlineExceeded and its message tells what
  // the last attempt met.
  void Unary(const MethodInfo& method, std::string request, Timeout timeout, Done done);

  // A stream to the endpoint in use, or an error through the handler's OnEnd. `handler` outlives
  // the stream. `opened` runs once the token is there and the stream was started; the stream
  // belongs to the caller.
  void OpenStream(const MethodInfo& method, Timeout timeout, rpc::ClientStream::Handler& handler,
                  absl::AnyInvocable<void(std::unique_ptr<rpc::ClientStream>)> opened);

 private:
  struct Call {
    MethodInfo method;
    std::string request;
    env::Duration started{};  // both on the loop's clock
    std::optional<env::Duration> deadline;
    Done done;
    size_t attempts = 0;
    bool renewed_token = false;
    Status last_error;
    env::TimerId timer;
  };

  void Attempt(uint64_t id);
  void OnAnswer(uint64_t id, StatusOr<std::string> answer);
  void Retry(uint64_t id);
  void Finish(uint64_t id, StatusOr<std::string> answer);
  bool MayRepeat(const Call& call, const Status& error) const;
  Status DeadlineError(const Call& call) const;

  bool NeedsToken() const {
    return !options_.user.empty() && token_.empty() && !authentication_off_;
  }
  // Fetches a token, then runs `then`; calls that come meanwhile wait for the same answer.
  void FetchToken(std::optional<env::Duration> deadline, absl::AnyInvocable<void(Status)> then);

  rpc::Channel& channel() { return *channels_[current_]; }
  void NextEndpoint() { current_ = (current_ + 1) % channels_.size(); }
  rpc::CallOptions CallOptionsUntil(std::optional<env::Duration> deadline) const;

  env::Executor& loop_;
  const ClientOptions options_;
  std::vector<std::unique_ptr<rpc::Channel>> channels_;  // one per endpoint
  size_t current_ = 0;
  std::map<uint64_t, std::unique_ptr<Call>> calls_;
  uint64_t next_call_id_ = 1;

  std::string token_;
  bool authentication_off_ = false;
  std::vector<absl::AnyInvocable<void(Status)>> token_waiters_;
};

}  // namespace quoin::client
