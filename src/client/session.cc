#include "client/session.h"

#include <algorithm>
#include <utility>

namespace quoin::client {
namespace {

// A test of the connection takes at least this long: a server may stand still for a moment.
constexpr env::Duration kProbePatienceMin = std::chrono::seconds(1);

}  // namespace

LeaseKeeper::LeaseKeeper(AsyncClient& client, env::Executor& loop, int64_t lease,
                         int64_t ttl_seconds, std::function<void()> lost)
    : loop_(loop),
      lease_(lease),
      ttl_(std::chrono::seconds(ttl_seconds)),
      lost_(std::move(lost)),
      patience_(ttl_ / 8),
      stream_(client, loop, kLeaseKeepAlive, *this) {
  deadline_timer_ = loop_.RunAfter(ttl_, [this] { Lost(); });
  stream_.Open();
}

LeaseKeeper::~LeaseKeeper() {
  loop_.Cancel(renew_timer_);
  loop_.Cancel(deadline_timer_);
  loop_.Cancel(answer_timer_);
}

void LeaseKeeper::OnOpened() {
  sent_.clear();
  Renew();
}

void LeaseKeeper::Renew() {
  loop_.Cancel(renew_timer_);
  sent_.push_back(loop_.clock().Now());
  pb::LeaseKeepAliveRequest request;
  request.set_id(lease_);
  stream_.Send(request.SerializeAsString());
  renew_timer_ = loop_.RunAfter(ttl_ / 3, [this] { Renew(); });
  if (sent_.size() == 1) AwaitAnswer(patience_);
}

void LeaseKeeper::AwaitAnswer(env::Duration patience) {
  loop_.Cancel(answer_timer_);
  answer_timer_ = loop_.RunAfter(patience, [this] {
    answer_timer_ = {};
    OnSilence();
  });
}

void LeaseKeeper::OnSilence() {
  if (!stream_.is_open()) return;
  // Twice as long for the next one: the way may be long, and moving costs another round trip.
  patience_ = std::min<env::Duration>(patience_ * 2, ttl_ / 2);
  if (stream_.MayMove()) {
    loop_.Cancel(std::exchange(renew_timer_, {}));
    sent_.clear();
  } else {
    AwaitAnswer(patience_);
  }
  stream_.Move(std::max<env::Duration>(patience_, kProbePatienceMin));
}

void LeaseKeeper::OnMessage(std::string_view message) {
  pb::LeaseKeepAliveResponse response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size()))) return;
  if (response.ttl() <= 0) return Lost();
  if (sent_.empty()) return;
  // Renewed at the earliest when the request left; answers come in the order of requests.
  const env::Duration certain = sent_.front();
  sent_.pop_front();
  patience_ = std::clamp<env::Duration>(3 * (loop_.clock().Now() - certain), ttl_ / 8, ttl_ / 2);
  loop_.Cancel(std::exchange(answer_timer_, {}));
  if (!sent_.empty())
    AwaitAnswer(std::max(sent_.front() + patience_ - loop_.clock().Now(), env::Duration(0)));
  loop_.Cancel(deadline_timer_);
  deadline_timer_ = loop_.RunAfter(certain + ttl_ - loop_.clock().Now(), [this] { Lost(); });
}

bool LeaseKeeper::OnBroken(const Status&) {
  loop_.Cancel(renew_timer_);
  loop_.Cancel(answer_timer_);
  return lost_ != nullptr;
}

void LeaseKeeper::Lost() {
  loop_.Cancel(renew_timer_);
  loop_.Cancel(deadline_timer_);
  loop_.Cancel(answer_timer_);
  stream_.Close();
  if (auto lost = std::exchange(lost_, nullptr)) lost();
}

StatusOr<std::unique_ptr<Session>> Session::Open(Client& client, int64_t ttl_seconds,
                                                 Client::Timeout timeout,
                                                 std::function<void()> lost) {
  pb::LeaseGrantRequest request;
  request.set_ttl(ttl_seconds);
  ASSIGN_OR_RETURN(pb::LeaseGrantResponse granted, client.Call(kLeaseGrant, request, timeout));
  std::unique_ptr<Session> session(new Session(client, granted.id()));
  client.OnLoop([&](AsyncClient& async) {
    session->keeper_ =
        std::make_unique<LeaseKeeper>(async, client.loop(), granted.id(), granted.ttl(),
                                      [session = session.get(), lost = std::move(lost)] {
                                        session->lost_.request_stop();
                                        if (lost) lost();
                                      });
  });
  return session;
}

Session::~Session() {
  client_.OnLoop([&](AsyncClient&) { keeper_.reset(); });
}

Status Session::Close(Client::Timeout timeout) {
  client_.OnLoop([&](AsyncClient&) { keeper_.reset(); });
  lost_.request_stop();
  pb::LeaseRevokeRequest request;
  request.set_id(lease_);
  return client_.Call(kLeaseRevoke, request, timeout).status();
}

}  // namespace quoin::client
