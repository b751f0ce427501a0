// AsyncClient: calls to a cluster over a list of endpoints.
//
// A call goes to the endpoint in use. While that one does not get ready the others are dialed, too,
// one after another and a moment apart, and the first that is ready is in use from then on. When an
// endpoint answers Unavailable to a call that may be repeated, the next one is tried; after a full
// round there is a short pause; the call's timeout bounds it all.
//
// A call that changes nothing waits for one endpoint only for a share of its timeout. Then it goes
// to the next one as well, and the first answer counts: a member that is hung costs a share, and
// one that is slow costs nothing. A call that changes state is never sent twice.
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
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "base/lifeline.h"
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
  // How long an endpoint has to get ready before the next one is dialed beside it.
  env::Duration dial_stagger = std::chrono::milliseconds(50);
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

  size_t endpoints() const { return channels_.size(); }
  // A stream to `endpoint` broke: the next stream or call goes to another one. Streams that break
  // together move on by one endpoint, not by one each.
  void Leave(size_t endpoint);
  // The same for an endpoint that does not answer: its connection is tested, so that whatever else
  // waits for it learns of its end, too. `patience` is how long the test may take.
  void Doubt(size_t endpoint, env::Duration patience);

  // One request, one response, both marshalled. `done` may run before this returns (timeout not
  // above zero). When the timeout passes the status is DeadlineExceeded and its message tells what
  // the last attempt met.
  void Unary(const MethodInfo& method, std::string request, Timeout timeout, Done done);

  // Gets the stream and which endpoint it is to (see Leave). The stream belongs to the callee.
  using Opened = absl::AnyInvocable<void(std::unique_ptr<rpc::ClientStream>, size_t endpoint)>;

  // A stream to the first endpoint that is ready, or an error through the handler's OnEnd.
  // `handler` outlives the stream. `opened` runs once the token is there and the stream was
  // started.
  void OpenStream(const MethodInfo& method, Timeout timeout, rpc::ClientStream::Handler& handler,
                  Opened opened);

 private:
  struct Call {
    MethodInfo method;
    std::string request;
    env::Duration started{};  // both on the loop's clock
    std::optional<env::Duration> deadline;
    Done done;
    size_t attempts = 0;  // the last of them decides; earlier ones may still answer
    bool renewed_token = false;
    Status last_error;
    env::TimerId timer;  // the pause between two rounds, or the share of the last attempt
  };

  // Something that needs an endpoint that is ready. `then` gets OK, or why there is none.
  struct Waiter {
    absl::AnyInvocable<void(Status)> then;
    env::TimerId deadline;
  };

  // The endpoints that are being dialed for the waiters: `dialed` of them from `first` on.
  struct Dialing {
    uint64_t number = 0;  // answers of earlier ones are too late
    size_t first = 0;
    size_t dialed = 0;
    size_t failed = 0;
    env::TimerId stagger;
  };

  void Attempt(uint64_t id);
  void Send(uint64_t id);
  void OnShareOver(uint64_t id, size_t endpoint);
  void OnAnswer(uint64_t id, size_t attempt, size_t endpoint, StatusOr<std::string> answer);
  void Retry(uint64_t id);
  void Finish(uint64_t id, StatusOr<std::string> answer);
  bool MayRepeat(const Call& call, const Status& error) const;
  Status DeadlineError(const Call& call) const;

  bool NeedsToken() const {
    return !options_.user.empty() && token_.empty() && !authentication_off_;
  }
  // Runs `then` when the endpoint in use is ready, or when none could be reached, or at `deadline`.
  void Reach(std::optional<env::Duration> deadline, absl::AnyInvocable<void(Status)> then);
  void DialNext();
  void OnDialed(uint64_t number, size_t endpoint, const Status& status);
  void EndDialing(const Status& status);
  // Fetches a token, then runs `then`; calls that come meanwhile wait for the same answer.
  void FetchToken(std::optional<env::Duration> deadline, absl::AnyInvocable<void(Status)> then);

  rpc::CallOptions CallOptionsUntil(std::optional<env::Duration> deadline) const;

  env::Executor& loop_;
  const ClientOptions options_;
  std::vector<std::unique_ptr<rpc::Channel>> channels_;  // one per endpoint
  size_t current_ = 0;
  std::map<uint64_t, std::unique_ptr<Call>> calls_;
  uint64_t next_call_id_ = 1;
  std::map<uint64_t, Waiter> waiters_;  // in the order in which they came
  uint64_t next_waiter_id_ = 1;
  std::optional<Dialing> dialing_;
  uint64_t dialings_ = 0;

  std::string token_;
  bool authentication_off_ = false;
  std::vector<absl::AnyInvocable<void(Status)>> token_waiters_;
  Lifeline lifeline_;
};

}  // namespace quoin::client
