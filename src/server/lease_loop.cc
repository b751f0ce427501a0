#include "server/lease_loop.h"

#include <algorithm>
#include <utility>

#include "base/errors.h"
#include "proto/lease.pb.h"
#include "server/apply_loop.h"

namespace quoin::server {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// Ends that are on their way through the log at once: what a storm of them may take from others.
constexpr size_t kEndsAtOnce = 512;
constexpr env::Duration kRetryEnd = std::chrono::milliseconds(500);
constexpr env::Duration kForwardPause = std::chrono::milliseconds(50);
constexpr env::Duration kCheckpointInterval = std::chrono::minutes(5);
constexpr size_t kCheckpointsPerProposal = 1000;
constexpr int kHeartbeatsMissed = 3;

Status NotPrimary() { return absl::UnknownError("not a primary lessor"); }

}  // namespace

// A request that is on its way to the leader.
struct LeaseLoop::Forwarded {
  std::string target, body;
  env::Duration until;
  absl::AnyInvocable<void(StatusOr<rpc::HttpResponse>)> done;
  std::unique_ptr<rpc::Fetch> fetch;
  env::TimerId timer;
};

LeaseLoop::LeaseLoop(const NodeConfig& config, NodeInfo& info, env::Env& env, env::Executor& loop,
                     Frontend& frontend, Logger& log)
    : config_(config), info_(info), env_(env), loop_(loop), frontend_(frontend), log_(log) {}

LeaseLoop::~LeaseLoop() = default;

void LeaseLoop::Connect(ApplyLoop& apply, env::Executor& apply_executor) {
  apply_ = &apply;
  apply_executor_ = &apply_executor;
}

void LeaseLoop::Stop() {
  stopping_ = true;
  loop_.Cancel(std::exchange(timer_, {}));
  loop_.Cancel(std::exchange(checkpoint_timer_, {}));
  for (auto& [number, forwarded] : std::exchange(forwarded_, {})) {
    loop_.Cancel(forwarded->timer);
    forwarded->done(errors::Stopped());
  }
  for (auto& [id, replies] : std::exchange(wait_for_end_, {})) {
    for (OnRenewed& reply : replies) reply(errors::Stopped());
  }
}

// --- what the log says ---

void LeaseLoop::OnChanges(const std::vector<lease::Change>& changes) {
  for (const lease::Change& change : changes) {
    if (change.kind == lease::Change::Kind::kRevoked) {
      leases_.erase(change.id);
      queue_.Erase(change.id);
      auto waiting = wait_for_end_.extract(change.id);
      if (!waiting.empty()) {
        for (OnRenewed& reply : waiting.mapped()) reply(0);
      }
      continue;
    }
    Lease& lease = leases_[change.id];
    lease.ttl_seconds = change.ttl_seconds;
    lease.remaining_seconds = change.remaining_seconds;
    if (change.kind == lease::Change::Kind::kGranted && primary_term_.value() != 0)
      Extend(change.id, lease);
  }
  ArmTimer();
}

void LeaseLoop::OnReplaced(const std::vector<lease::Change>& all) {
  leases_.clear();
  queue_.Clear();
  primary_term_ = Term();
  OnChanges(all);
}

void LeaseLoop::OnFirstEntry(Term term) {
  if (stopping_ || !info_.is_leader.load() || info_.term.load() != term.value()) return;
  primary_term_ = term;
  queue_.Clear();
  ends_under_way_ = 0;
  const int64_t base = Now() + config_.election_timeout.count();
  for (auto& [id, lease] : leases_) {
    const int64_t seconds =
        lease.remaining_seconds > 0 ? lease.remaining_seconds : lease.ttl_seconds;
    lease.ending = false;
    lease.expires_at = base + seconds * kSecond;
    queue_.Set(id, lease.expires_at);
  }
  log_.Info("leases are counted here",
            {{"term", term.value()}, {"leases", static_cast<uint64_t>(leases_.size())}});
  ArmTimer();
  if (config_.lease_checkpoint && checkpoint_timer_.value == 0) Checkpoints();
}

bool LeaseLoop::IsPrimary() const {
  return primary_term_.value() != 0 && !stopping_ &&
         info_.is_leader.load(std::memory_order_acquire) &&
         info_.term.load(std::memory_order_relaxed) == primary_term_.value();
}

bool LeaseLoop::MayBeDeposed() const {
  return Now() - info_.last_tick_at.load(std::memory_order_acquire) >
         kHeartbeatsMissed * config_.heartbeat_interval.count();
}

void LeaseLoop::Confirm(absl::AnyInvocable<void(Status)> then) {
  if (frontend_.ReadableNow()) return then(OkStatus());
  frontend_.WaitReadable(std::move(then));
}

// --- renewing ---

void LeaseLoop::Renew(int64_t id, Elsewhere elsewhere, OnRenewed reply) {
  if (stopping_) return reply(errors::Stopped());
  if (IsPrimary()) return RenewHere(id, !MayBeDeposed(), std::move(reply));
  if (elsewhere == Elsewhere::kRefuse) return reply(NotPrimary());
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(id);
  Forward("/leases", request.SerializeAsString(),
          [this, id, reply = std::move(reply)](StatusOr<rpc::HttpResponse> answer) mutable {
            if (absl::IsAborted(answer.status()))
              return Renew(id, Elsewhere::kRefuse, std::move(reply));
            if (!answer.ok()) return reply(answer.status());
            etcdserverpb::LeaseKeepAliveResponse response;
            if (answer->status == 404) return reply(0);
            if (!response.ParseFromString(answer->body))
              return reply(absl::UnknownError("malformed answer of the leader"));
            reply(response.ttl());
          });
}

void LeaseLoop::RenewHere(int64_t id, bool confirmed, OnRenewed reply) {
  auto found = leases_.find(id);
  // A lease that is not known may have been granted in an entry that is not applied yet.
  if (!confirmed || (found == leases_.end() && !frontend_.ReadableNow())) {
    return Confirm([this, id, reply = std::move(reply)](const Status& status) mutable {
      if (!status.ok() || !IsPrimary()) return reply(NotPrimary());
      if (!leases_.contains(id)) return reply(0);
      RenewHere(id, /*confirmed=*/true, std::move(reply));
    });
  }
  if (found == leases_.end()) return reply(0);
  Lease& lease = found->second;
  if (lease.ending || lease.expires_at <= Now()) {
    // It has ended; whoever asks learns of it when the log says so.
    wait_for_end_[id].push_back(std::move(reply));
    return;
  }
  if (lease.remaining_seconds > 0) ProposeCheckpoint({{id, 0}});
  Extend(id, lease);
  reply(lease.ttl_seconds);
}

void LeaseLoop::Extend(int64_t id, Lease& lease) {
  lease.expires_at = Now() + lease.ttl_seconds * kSecond;
  queue_.Set(id, lease.expires_at);
}

// --- ending ---

void LeaseLoop::ArmTimer() {
  const int64_t* next = queue_.NextAt();
  if (next == nullptr || stopping_ || primary_term_.value() == 0) return;
  if (timer_.value != 0 && timer_at_ <= *next) return;
  loop_.Cancel(std::exchange(timer_, {}));
  timer_at_ = *next;
  timer_ = loop_.RunAfter(env::Duration(std::max<int64_t>(timer_at_ - Now(), 0)), [this] {
    timer_ = {};
    OnTimer();
  });
}

void LeaseLoop::OnTimer() {
  if (!IsPrimary()) {  // the next first entry starts anew
    primary_term_ = Term();
    queue_.Clear();
    for (auto& [id, replies] : std::exchange(wait_for_end_, {})) {
      for (OnRenewed& reply : replies) reply(NotPrimary());
    }
    return;
  }
  // Beyond what is under way already, ends wait: OnEndProposed calls again.
  const size_t room = kEndsAtOnce - std::min(kEndsAtOnce, ends_under_way_);
  for (int64_t id : queue_.TakeExpired(Now(), room)) End(id);
  if (ends_under_way_ < kEndsAtOnce) ArmTimer();
}

void LeaseLoop::End(int64_t id) {
  auto found = leases_.find(id);
  if (found == leases_.end()) return;
  found->second.ending = true;
  ++ends_under_way_;
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(id);
  // Never through another leader, who may have renewed it.
  StatusOr<Frontend::WaitId> wait = frontend_.ProposeAsLeader(
      primary_term_, state::Operation::kLeaseRevoke, request.SerializeAsString(),
      [this, id, term = primary_term_](const state::ApplyResult& result) {
        if (term == primary_term_) OnEndProposed(id, result.status);
      });
  if (!wait.ok()) OnEndProposed(id, wait.status());
}

void LeaseLoop::OnEndProposed(int64_t id, const Status& status) {
  --ends_under_way_;
  auto found = leases_.find(id);
  if (!status.ok() && !absl::IsNotFound(status) && found != leases_.end()) {
    // Not through the log this time: soon again.
    queue_.Set(id, Now() + kRetryEnd.count());
  }
  if (!stopping_ && timer_.value == 0) OnTimer();
}

// --- checkpoints ---

void LeaseLoop::Checkpoints() {
  checkpoint_timer_ = loop_.RunAfter(kCheckpointInterval, [this] {
    checkpoint_timer_ = {};
    if (!IsPrimary()) return;
    std::vector<std::pair<int64_t, int64_t>> remaining;
    for (const auto& [id, lease] : leases_) {
      const int64_t left = lease.expires_at - Now();
      if (left > kCheckpointInterval.count())
        remaining.emplace_back(id, (left + kSecond - 1) / kSecond);
    }
    std::sort(remaining.begin(), remaining.end());
    for (size_t at = 0; at < remaining.size(); at += kCheckpointsPerProposal) {
      const size_t end = std::min(at + kCheckpointsPerProposal, remaining.size());
      ProposeCheckpoint({remaining.begin() + static_cast<std::ptrdiff_t>(at),
                         remaining.begin() + static_cast<std::ptrdiff_t>(end)});
    }
    Checkpoints();
  });
}

void LeaseLoop::ProposeCheckpoint(const std::vector<std::pair<int64_t, int64_t>>& remaining) {
  etcdserverpb::LeaseCheckpointRequest request;
  for (const auto& [id, seconds] : remaining) {
    etcdserverpb::LeaseCheckpoint& checkpoint = *request.add_checkpoints();
    checkpoint.set_id(id);
    checkpoint.set_remaining_ttl(seconds);
  }
  // A checkpoint that gets lost costs nothing but time that was given too much.
  frontend_
      .ProposeAsLeader(primary_term_, state::Operation::kLeaseCheckpoint,
                       request.SerializeAsString(), [](const state::ApplyResult&) {})
      .IgnoreError();
}

// --- looking ---

void LeaseLoop::TimeToLive(int64_t id, bool with_keys, Elsewhere elsewhere, OnTimes reply) {
  if (stopping_) return reply(errors::Stopped());
  if (!IsPrimary()) {
    if (elsewhere == Elsewhere::kRefuse) return reply(NotPrimary());
    leasepb::LeaseInternalRequest request;
    request.mutable_leasetimetoliverequest()->set_id(id);
    request.mutable_leasetimetoliverequest()->set_keys(with_keys);
    return Forward(
        "/leases/internal", request.SerializeAsString(),
        [this, id, with_keys,
         reply = std::move(reply)](StatusOr<rpc::HttpResponse> answer) mutable {
          if (absl::IsAborted(answer.status()))
            return TimeToLive(id, with_keys, Elsewhere::kRefuse, std::move(reply));
          if (!answer.ok()) return reply(answer.status());
          if (answer->status == 404) return reply(LeaseTimes());
          leasepb::LeaseInternalResponse response;
          if (!response.ParseFromString(answer->body))
            return reply(absl::UnknownError("malformed answer of the leader"));
          const auto& times = response.leasetimetoliveresponse();
          reply(LeaseTimes{
              times.ttl(), times.grantedttl(), {times.keys().begin(), times.keys().end()}});
        });
  }
  auto found = leases_.find(id);
  if (found == leases_.end()) return reply(LeaseTimes());
  LeaseTimes times;
  times.ttl_seconds = (found->second.expires_at - Now()) / kSecond;
  times.granted_seconds = found->second.ttl_seconds;
  if (!with_keys) return reply(std::move(times));
  // Which keys hang on it stands with the state machine.
  apply_executor_->Post([this, id, times = std::move(times), reply = std::move(reply)]() mutable {
    if (const lease::Lease* lease = apply_->machine().lessor().Find(LeaseId(id)))
      times.keys.assign(lease->keys.begin(), lease->keys.end());
    loop_.Post([times = std::move(times), reply = std::move(reply)]() mutable {
      reply(std::move(times));
    });
  });
}

std::vector<int64_t> LeaseLoop::List() const {
  std::vector<std::pair<int64_t, int64_t>> order;
  order.reserve(leases_.size());
  const bool primary = IsPrimary();
  for (const auto& [id, lease] : leases_) order.emplace_back(primary ? lease.expires_at : 0, id);
  std::sort(order.begin(), order.end());
  std::vector<int64_t> ids;
  ids.reserve(order.size());
  for (const auto& [at, id] : order) ids.push_back(id);
  return ids;
}

// --- through the leader ---

void LeaseLoop::Forward(std::string target, std::string body,
                        absl::AnyInvocable<void(StatusOr<rpc::HttpResponse>)> done) {
  const uint64_t number = next_forwarded_++;
  forwarded_[number] =
      std::make_unique<Forwarded>(Forwarded{std::move(target),
                                            std::move(body),
                                            loop_.clock().Now() + config_.RequestTimeout(),
                                            std::move(done),
                                            nullptr,
                                            {}});
  TryForward(number);
}

void LeaseLoop::TryForward(uint64_t number) {
  Forwarded& forwarded = *forwarded_.at(number);
  forwarded.timer = {};
  // This member has become the leader meanwhile.
  if (IsPrimary()) return EndForwarded(number, absl::AbortedError("the answer is here"));
  const uint64_t leader = info_.leader.load(std::memory_order_relaxed);
  const std::string* url = nullptr;
  if (frontend_.cluster() != nullptr) {
    for (const cluster::Member& member : frontend_.cluster()->members) {
      if (member.id == leader && leader != info_.member_id && !member.peer_urls.empty())
        url = &member.peer_urls.front();
    }
  }
  if (url == nullptr) return OnForwarded(number, absl::UnavailableError("no leader"));
  rpc::FetchRequest request;
  request.head.url = *url;
  request.head.method = "POST";
  request.head.target = forwarded.target;
  request.head.headers = {{"Content-Type", "application/protobuf"}};
  request.head.body = forwarded.body;
  request.timeout = forwarded.until - loop_.clock().Now();
  request.body_bytes_max = 64 << 20;  // the keys of a lease
  forwarded.fetch = rpc::StartFetch(env_, loop_, std::move(request),
                                    [this, number](StatusOr<rpc::HttpResponse> answer) {
                                      OnForwarded(number, std::move(answer));
                                    });
}

void LeaseLoop::OnForwarded(uint64_t number, StatusOr<rpc::HttpResponse> answer) {
  Forwarded& forwarded = *forwarded_.at(number);
  if (answer.ok() && (answer->status == 200 || answer->status == 404))
    return EndForwarded(number, std::move(answer));
  if (loop_.clock().Now() + kForwardPause >= forwarded.until)
    return EndForwarded(number, errors::TimedOut());
  forwarded.timer = loop_.RunAfter(kForwardPause, [this, number] { TryForward(number); });
}

void LeaseLoop::EndForwarded(uint64_t number, StatusOr<rpc::HttpResponse> answer) {
  auto found = forwarded_.find(number);
  auto done = std::move(found->second->done);
  loop_.Post([ended = std::shared_ptr<Forwarded>(std::move(found->second))] {});
  forwarded_.erase(found);
  done(std::move(answer));
}

}  // namespace quoin::server
