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

// The least time that an endpoint gets for a call before the next one gets it, too.
constexpr env::Duration kShareMin = std::chrono::milliseconds(100);

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
  for (auto& [id, waiter] : waiters_) loop_.Cancel(waiter.deadline);
  if (dialing_) loop_.Cancel(dialing_->stagger);
}

void AsyncClient::Leave(size_t endpoint) {
  if (current_ == endpoint) current_ = (current_ + 1) % channels_.size();
}

void AsyncClient::Doubt(size_t endpoint, env::Duration patience) {
  Leave(endpoint);
  channels_[endpoint]->Probe(patience);
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
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;  // an earlier attempt was answered meanwhile
  Call& call = *found->second;
  if (call.deadline && *call.deadline <= loop_.clock().Now())
    return Finish(id, DeadlineError(call));
  if (NeedsToken() && call.method.path != kAuthenticate.path) {
    return FetchToken(call.deadline, [this, id](Status status) {
      if (status.ok() || !calls_.contains(id)) return Attempt(id);
      status.SetPayload(kLoginFailure, absl::Cord());
      Finish(id, status);
    });
  }
  Reach(call.deadline, [this, id](const Status& status) {
    const auto found = calls_.find(id);
    if (found == calls_.end()) return;
    Call& call = *found->second;
    if (status.ok()) return Send(id);
    if (status.code() == StatusCode::kDeadlineExceeded) return Finish(id, DeadlineError(call));
    call.last_error = status;
    call.attempts += channels_.size() - call.attempts % channels_.size();  // a round of them all
    Retry(id);
  });
}

void AsyncClient::Send(uint64_t id) {
  Call& call = *calls_.at(id);
  const size_t left = channels_.size() - call.attempts % channels_.size();
  const size_t attempt = ++call.attempts;
  const size_t endpoint = current_;
  if (call.method.repeat == Repeat::kSafe && call.deadline) {
    const env::Duration remaining = *call.deadline - loop_.clock().Now();
    const env::Duration share = remaining / static_cast<int64_t>(left + 1);
    call.timer = loop_.RunAfter(std::max(share, kShareMin),
                                [this, id, endpoint] { OnShareOver(id, endpoint); });
  }
  channels_[endpoint]->Unary(std::string(call.method.path), call.request,
                             CallOptionsUntil(call.deadline),
                             [this, id, attempt, endpoint](StatusOr<std::string> answer) {
                               OnAnswer(id, attempt, endpoint, std::move(answer));
                             });
}

// The endpoint may be slow, then its answer still counts; or hung, then its connection ends.
void AsyncClient::OnShareOver(uint64_t id, size_t endpoint) {
  Call& call = *calls_.at(id);
  call.timer = {};
  Doubt(endpoint, options_.channel.keepalive_timeout);
  if (call.attempts % channels_.size() != 0) Attempt(id);
}

void AsyncClient::OnAnswer(uint64_t id, size_t attempt, size_t endpoint,
                           StatusOr<std::string> answer) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;  // another endpoint was faster
  Call& call = *found->second;
  if (answer.ok()) return Finish(id, std::move(answer));
  const Status error = answer.status();
  if (TokenRefused(error) && !options_.user.empty() && !call.renewed_token) {
    loop_.Cancel(std::exchange(call.timer, {}));
    call.renewed_token = true;
    token_.clear();
    return Attempt(id);
  }
  if (MayRepeat(call, error)) {
    call.last_error = error;
    Leave(endpoint);
    if (attempt != call.attempts) return;  // has been sent elsewhere already
    loop_.Cancel(std::exchange(call.timer, {}));
    return Retry(id);
  }
  const bool local_deadline = error.code() == StatusCode::kDeadlineExceeded && call.deadline &&
                              *call.deadline <= loop_.clock().Now();
  if (!local_deadline) return Finish(id, error);
  // It said nothing for all of the timeout: let the next call ask somebody else.
  Leave(endpoint);
  Finish(id, DeadlineError(call));
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
  loop_.Cancel(found->second->timer);
  Done done = std::move(found->second->done);
  calls_.erase(found);
  done(std::move(answer));
}

void AsyncClient::Reach(std::optional<env::Duration> deadline,
                        absl::AnyInvocable<void(Status)> then) {
  if (channels_[current_]->ready()) return then(OkStatus());
  const uint64_t id = next_waiter_id_++;
  Waiter& waiter = waiters_[id];
  waiter.then = std::move(then);
  if (deadline) {
    const env::Duration rest = std::max(*deadline - loop_.clock().Now(), env::Duration(0));
    waiter.deadline = loop_.RunAfter(rest, [this, id] {
      auto waiter = waiters_.extract(id);
      waiter.mapped().then(absl::DeadlineExceededError("context deadline exceeded"));
    });
  }
  if (dialing_) return;
  dialing_ = Dialing{.number = ++dialings_, .first = current_};
  DialNext();
}

void AsyncClient::DialNext() {
  loop_.Cancel(std::exchange(dialing_->stagger, {}));
  if (dialing_->dialed == channels_.size()) return;
  const size_t endpoint = (dialing_->first + dialing_->dialed++) % channels_.size();
  // Set before the dial, which may answer at once.
  if (dialing_->dialed < channels_.size())
    dialing_->stagger = loop_.RunAfter(options_.dial_stagger, [this] { DialNext(); });
  channels_[endpoint]->Connect([this, number = dialing_->number, endpoint](const Status& status) {
    OnDialed(number, endpoint, status);
  });
}

void AsyncClient::OnDialed(uint64_t number, size_t endpoint, const Status& status) {
  if (!dialing_ || dialing_->number != number) return;  // another one was faster
  if (status.ok()) {
    current_ = endpoint;
    return EndDialing(status);
  }
  if (++dialing_->failed == channels_.size()) return EndDialing(status);
  if (dialing_->failed == dialing_->dialed) DialNext();
}

void AsyncClient::EndDialing(const Status& status) {
  loop_.Cancel(dialing_->stagger);
  dialing_.reset();
  auto waiters = std::exchange(waiters_, {});
  for (auto& [id, waiter] : waiters) loop_.Cancel(waiter.deadline);
  const Lifeline::Sign sign = lifeline_.sign();
  for (auto& [id, waiter] : waiters) {
    if (sign.alive()) waiter.then(status);
  }
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
                             rpc::ClientStream::Handler& handler, Opened opened) {
  std::optional<env::Duration> deadline;
  if (timeout) deadline = loop_.clock().Now() + *timeout;
  auto start = [this, path = std::string(method.path), leader = method.requires_leader, deadline,
                &handler, opened = std::move(opened)](Status status) mutable {
    if (!status.ok()) return handler.OnEnd(status);
    rpc::CallOptions options = CallOptionsUntil(deadline);
    if (leader) options.metadata.emplace_back("hasleader", "true");
    const size_t endpoint = current_;
    opened(channels_[endpoint]->Stream(path, options, handler), endpoint);
  };
  if (!NeedsToken()) return Reach(deadline, std::move(start));
  FetchToken(deadline, [this, deadline, &handler, start = std::move(start)](Status status) mutable {
    if (!status.ok()) return handler.OnEnd(status);
    Reach(deadline, std::move(start));
  });
}

}  // namespace quoin::client
