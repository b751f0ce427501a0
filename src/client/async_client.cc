#include "client/async_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/errors.h"

namespace quoin::client {
namespace {

// Pause after every endpoint was tried once, so that a cluster that is down is not hammered.
constexpr env::Duration kRoundPause = std::chrono::milliseconds(25);
constexpr env::Duration kRoundPauseMax = std::chrono::milliseconds(500);

// rpc says so in these words when no server can have acted on the request: the connection did not
// come up, had been closed for new calls, or the server turned the stream away unseen.
bool NeverSent(const Status& status) {
  const std::string message(status.message());
  return message.starts_with("connection error") ||
         message == "the connection takes no further calls" ||
         message == "the server refused the stream";
}

constexpr char kLoginFailure[] = "quoin.client/login-failure";

bool TokenRefused(const Status& status) {
  return status == errors::InvalidAuthToken() || status == errors::AuthOldRevision() ||
         status == errors::UserEmpty();
}

}  // namespace

bool IsLoginFailure(const Status& status) { return status.GetPayload(kLoginFailure).has_value(); }

AsyncClient::AsyncClient(env::Env& env, env::Executor& loop, ClientOptions options)
    : AsyncClient(loop, options, [&](const Endpoint& endpoint) {
        return rpc::Channel::New(env, loop, endpoint.address, options.channel);
      }) {}

AsyncClient::AsyncClient(env::Executor& loop, ClientOptions options, ChannelFactory make_channel)
    : loop_(loop), options_(std::move(options)), token_(options_.token) {
  CHECK(!options_.endpoints.empty());
  for (const Endpoint& endpoint : options_.endpoints) channels_.push_back(make_channel(endpoint));
}

AsyncClient::~AsyncClient() {
  for (auto& [id, call] : calls_) loop_.Cancel(call->timer);
}

rpc::CallOptions AsyncClient::CallOptionsUntil(std::optional<env::Duration> deadline) const {
  rpc::CallOptions call_options;
  if (deadline) call_options.timeout = std::max(*deadline - loop_.clock().Now(), env::Duration(1));
  call_options.metadata.emplace_back("client-api-version", "3.7");
  if (!token_.empty()) call_options.metadata.emplace_back("token", token_);
  return call_options;
}

void AsyncClient::Unary(const MethodInfo& method, std::string request, Timeout timeout, Done done) {
  if (request.size() > options_.send_message_bytes_max) {
    return done(absl::ResourceExhaustedError(
        fmt::format("trying to send message larger than max ({} vs. {})", request.size(),
                    options_.send_message_bytes_max)));
  }
  auto call = std::make_unique<Call>();
  call->method = method;
  call->request = std::move(request);
  call->started = loop_.clock().Now();
  if (timeout) call->deadline = call->started + *timeout;
  call->done = std::move(done);
  const uint64_t id = next_call_id_++;
  calls_[id] = std::move(call);
  Attempt(id);
}

void AsyncClient::Attempt(uint64_t id) {
  Call& call = *calls_.at(id);
  if (call.deadline && *call.deadline <= loop_.clock().Now())
    return Finish(id, DeadlineError(call));
  if (NeedsToken() && call.method.path != kAuthenticate.path) {
    return FetchToken(call.deadline, [this, id](Status status) {
      if (status.ok()) return Attempt(id);
      status.SetPayload(kLoginFailure, absl::Cord());
      Finish(id, status);
    });
  }
  ++call.attempts;
  channel().Unary(std::string(call.method.path), call.request, CallOptionsUntil(call.deadline),
                  [this, id](StatusOr<std::string> answer) { OnAnswer(id, std::move(answer)); });
}

void AsyncClient::OnAnswer(uint64_t id, StatusOr<std::string> answer) {
  Call& call = *calls_.at(id);
  if (answer.ok()) return Finish(id, std::move(answer));
  const Status error = answer.status();
  if (TokenRefused(error) && !options_.user.empty() && !call.renewed_token) {
    call.renewed_token = true;
    token_.clear();
    return Attempt(id);
  }
  if (MayRepeat(call, error)) {
    call.last_error = error;
    NextEndpoint();
    return Retry(id);
  }
  const bool local_deadline = error.code() == StatusCode::kDeadlineExceeded && call.deadline &&
                              *call.deadline <= loop_.clock().Now();
  Finish(id, local_deadline ? DeadlineError(call) : error);
}

bool AsyncClient::MayRepeat(const Call& call, const Status& error) const {
  if (error.code() != StatusCode::kUnavailable) return false;
  return call.method.repeat == Repeat::kSafe || NeverSent(error);
}

void AsyncClient::Retry(uint64_t id) {
  Call& call = *calls_.at(id);
  if (call.attempts % channels_.size() != 0) return Attempt(id);
  const env::Duration now = loop_.clock().Now();
  // Without a deadline of its own a call gives up when nobody could be reached for a while.
  if (!call.deadline && now - call.started >= options_.reach_timeout)
    return Finish(id, call.last_error);
  const auto rounds = static_cast<int64_t>(call.attempts / channels_.size());
  env::Duration pause = std::min<env::Duration>(kRoundPause * rounds, kRoundPauseMax);
  if (call.deadline) pause = std::min(pause, std::max(*call.deadline - now, env::Duration(0)));
  call.timer = loop_.RunAfter(pause, [this, id] { Attempt(id); });
}

Status AsyncClient::DeadlineError(const Call& call) const {
  if (call.last_error.ok()) return absl::DeadlineExceededError("context deadline exceeded");
  return absl::DeadlineExceededError(fmt::format("context deadline exceeded; last error: {}",
                                                 std::string(call.last_error.message())));
}

void AsyncClient::Finish(uint64_t id, StatusOr<std::string> answer) {
  const auto found = calls_.find(id);
  CHECK(found != calls_.end());
  Done done = std::move(found->second->done);
  calls_.erase(found);
  done(std::move(answer));
}

void AsyncClient::FetchToken(std::optional<env::Duration> deadline,
                             absl::AnyInvocable<void(Status)> then) {
  token_waiters_.push_back(std::move(then));
  if (token_waiters_.size() > 1) return;
  pb::AuthenticateRequest request;
  request.set_name(options_.user);
  request.set_password(options_.password);
  Timeout timeout;
  if (deadline) timeout = *deadline - loop_.clock().Now();
  Unary(kAuthenticate, request.SerializeAsString(), timeout, [this](StatusOr<std::string> answer) {
    Status status = answer.status();
    pb::AuthenticateResponse response;
    if (status.ok() && !response.ParseFromString(*answer))
      status = absl::InternalError("malformed token response");
    if (status.ok()) token_ = response.token();
    if (status == errors::AuthNotEnabled()) {
      authentication_off_ = true;  // nobody asks for a token then
      status = OkStatus();
    }
    for (auto& waiter : std::exchange(token_waiters_, {})) waiter(status);
  });
}

void AsyncClient::OpenStream(const MethodInfo& method, Timeout timeout,
                             rpc::ClientStream::Handler& handler,
                             absl::AnyInvocable<void(std::unique_ptr<rpc::ClientStream>)> opened) {
  std::optional<env::Duration> deadline;
  if (timeout) deadline = loop_.clock().Now() + *timeout;
  auto open = [this, path = std::string(method.path), leader = method.requires_leader, deadline,
               &handler, opened = std::move(opened)](Status status) mutable {
    if (!status.ok()) return handler.OnEnd(status);
    rpc::CallOptions options = CallOptionsUntil(deadline);
    if (leader) options.metadata.emplace_back("hasleader", "true");
    opened(channel().Stream(path, options, handler));
  };
  if (NeedsToken()) return FetchToken(deadline, std::move(open));
  open(OkStatus());
}

}  // namespace quoin::client
