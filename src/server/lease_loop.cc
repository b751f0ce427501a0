#include "server/lease_loop.h"

#include <algorithm>
#include <utility>

#include "base/errors.h"
#include "base/wire.h"
#include "proto/lease.pb.h"

namespace quoin::server {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

Status NotPrimary() { return absl::UnknownError("not a primary lessor"); }
Status Malformed() { return absl::UnknownError("malformed answer of the leader"); }

// leasepb.LeaseInternalResponse {1 LeaseTimeToLiveResponse {3 TTL, 4 grantedTTL, 5 keys}}, by hand:
// the keys go on as they came.
StatusOr<LeaseTimes> ParseTimes(std::string_view body) {
  LeaseTimes times;
  times.ttl_seconds = 0;
  std::string keys;
  wire::Reader outer(body);
  for (wire::Field inner; outer.Next(inner);) {
    if (inner.number != 1 || inner.type != wire::Type::kBytes) continue;
    wire::Reader reader(inner.bytes);
    for (wire::Field field; reader.Next(field);) {
      if (field.number == 3 && field.type == wire::Type::kVarint)
        times.ttl_seconds = field.int64();
      else if (field.number == 4 && field.type == wire::Type::kVarint)
        times.granted_seconds = field.int64();
      else if (field.number == 5 && field.type == wire::Type::kBytes)
        wire::PutBytes(keys, 5, field.bytes);
    }
    if (!reader.ok()) return Malformed();
  }
  if (!outer.ok()) return Malformed();
  times.keys = SharedBytes(keys);
  return times;
}

}  // namespace

const size_t LeaseLoop::kEndsAtOnce = 64;

LeaseLoop::LeaseLoop(const NodeConfig& config, NodeInfo& info, env::Executor& loop, LeaseHost& host,
                     Logger& log)
    : config_(config),
      info_(info),
      loop_(loop),
      host_(host),
      log_(log),
      forwarder_(loop, host, config.RequestTimeout(), [this] { return IsPrimary(); }),
      lister_(loop,
              [this](int64_t from, size_t most) {
                std::vector<LeaseLister::End> out;
                const bool primary = IsPrimary();
                auto lease = leases_.lower_bound(from);
                for (; lease != leases_.end() && out.size() < most; ++lease)
                  out.push_back({primary ? lease->second.expires_at : 0, lease->first});
                return out;
              }),
      lists_([this](int, auto done) { lister_.Make(std::move(done)); }),
      with_keys_([this](const WithKeys& asked, auto done) {
        FindTimes(asked.first, /*with_keys=*/true, asked.second, std::move(done));
      }) {}

void LeaseLoop::Stop() {
  stopping_ = true;
  forwarder_.Stop();
  Demote();
}

// --- what the log says ---

void LeaseLoop::OnChanges(const std::vector<lease::Change>& changes) {
  for (const lease::Change& change : changes) {
    if (change.kind == lease::Change::Kind::kRevoked) {
      if (leases_.erase(change.id) > 0) lister_.OnRevoked(change.id);
      queue_.Erase(change.id);
      auto waiting = wait_for_end_.extract(change.id);
      if (!waiting.empty()) {
        for (Waiting& request : waiting.mapped()) request.reply(0);
      }
      continue;
    }
    auto [found, is_new] = leases_.try_emplace(change.id);
    Lease& lease = found->second;
    lease.ttl_seconds = change.ttl_seconds;
    lease.remaining_seconds = change.remaining_seconds;
    if (change.kind == lease::Change::Kind::kGranted && primary_term_.value() != 0)
      Extend(change.id, lease, Now());
    if (is_new) lister_.OnGranted(change.id, IsPrimary() ? lease.expires_at : 0);
  }
  ArmTimer();
}

void LeaseLoop::OnReplaced(const std::vector<lease::Change>& all) {
  leases_.clear();
  lister_.OnReplaced();
  Demote();
  OnChanges(all);
}

void LeaseLoop::OnFirstEntry(Term term) {
  if (stopping_ || !info_.is_leader.load() || info_.term.load() != term.value()) return;
  // Not its first: raft puts an empty entry in place of a change of members that it refuses.
  if (primary_term_ == term) return;
  Demote();  // from the term before, if nobody has said so yet
  primary_term_ = term;
  const int64_t base = Now() + config_.election_timeout.count();
  for (auto& [id, lease] : leases_) {
    const int64_t seconds =
        lease.remaining_seconds > 0 ? lease.remaining_seconds : lease.ttl_seconds;
    lease.ending = false;
    lease.expires_at = base + seconds * kSecond;
    Queue(id, lease, lease.expires_at);
  }
  log_.Info("leases are counted here",
            {{"term", term.value()}, {"leases", static_cast<uint64_t>(leases_.size())}});
  ArmTimer();
  ArmCheckpoints();
}

void LeaseLoop::OnDeposed() {
  if (!IsPrimary()) Demote();
}

// Time is not counted here any more. Who waits asks the next leader.
void LeaseLoop::Demote() {
  primary_term_ = Term();
  queue_.Clear();
  ends_under_way_ = 0;
  loop_.Cancel(std::exchange(timer_, {}));
  loop_.Cancel(std::exchange(checkpoint_timer_, {}));
  for (Waits* waits : {&wait_for_end_, &wait_for_clearing_}) {
    for (auto& [id, requests] : std::exchange(*waits, {})) {
      for (Waiting& request : requests)
        Renew(id, env::Duration(request.came_at), request.elsewhere, std::move(request.reply));
    }
  }
}

bool LeaseLoop::IsPrimary() const {
  return primary_term_.value() != 0 && !stopping_ &&
         info_.is_leader.load(std::memory_order_acquire) &&
         info_.term.load(std::memory_order_relaxed) == primary_term_.value();
}

bool LeaseLoop::MayBeDeposed(int64_t now) const {
  const int64_t proved_at =
      std::max(proved_at_, info_.lead_proved_at.load(std::memory_order_acquire));
  // One heartbeat less, because no two clocks run equally fast.
  return now - proved_at > (config_.election_timeout - config_.heartbeat_interval).count();
}

// What is in the log may be applied, and answered, by another member first.
bool LeaseLoop::HasHeardAll() const {
  return heard_.value() >= info_.lease_logged.load(std::memory_order_acquire);
}

// Runs `then` when all that was acknowledged before this call has been told here. If this member is
// primary then, nobody else was elected more than an election timeout before.
void LeaseLoop::Prove(LeaseHost::OnStatus then) {
  host_.WaitReadable([this, asked = Now(), then = std::move(then)](const Status& status) mutable {
    if (status.ok()) proved_at_ = std::max(proved_at_, asked);
    const bool too_late = status.ok() && IsPrimary() && MayBeDeposed(Now());
    too_late ? Prove(std::move(then)) : then(status);
  });
}

// --- renewing ---

void LeaseLoop::Renew(int64_t id, env::Duration came_at, Elsewhere elsewhere, OnRenewed reply) {
  if (stopping_) return reply(errors::Stopped());
  if (!IsPrimary()) {
    if (elsewhere == Elsewhere::kRefuse) return reply(NotPrimary());
    return ForwardRenewal(id, std::move(reply));
  }
  Waiting request{came_at.count(), elsewhere, std::move(reply)};
  const int64_t now = Now();
  // A lease that is not known may have been granted by another leader.
  auto found = leases_.find(id);
  if (found != leases_.end() && !MayBeDeposed(now) && HasHeardAll())
    return RenewHere(id, std::move(request));
  // What is asked in time counts from now, however long the proof takes.
  if (found != leases_.end() && !found->second.ending && found->second.expires_at > request.came_at)
    Extend(id, found->second, now);
  Prove([this, id, request = std::move(request)](const Status& status) mutable {
    if (!status.ok() || !IsPrimary()) return request.reply(NotPrimary());
    RenewHere(id, std::move(request));
  });
}

std::optional<int64_t> LeaseLoop::RenewAtOnce(int64_t id, env::Duration came_at) {
  const int64_t now = Now();
  if (!IsPrimary() || MayBeDeposed(now) || !HasHeardAll()) return std::nullopt;
  auto found = leases_.find(id);
  if (found == leases_.end()) return std::nullopt;
  Lease& lease = found->second;
  if (lease.ending || lease.remaining_seconds > 0 || lease.expires_at <= came_at.count())
    return std::nullopt;
  Extend(id, lease, now);
  return lease.ttl_seconds;
}

void LeaseLoop::RenewHere(int64_t id, Waiting request) {
  auto found = leases_.find(id);
  if (found == leases_.end()) return request.reply(0);
  Lease& lease = found->second;
  if (lease.ending || lease.expires_at <= request.came_at) {
    // It has ended; whoever asks learns of it when the log says so.
    wait_for_end_[id].push_back(std::move(request));
    return;
  }
  Extend(id, lease, Now());
  if (lease.remaining_seconds > 0) return Clear(id, std::move(request));
  request.reply(lease.ttl_seconds);
}

// Always to a later moment: the queue need not hear of it before the old one has come.
void LeaseLoop::Extend(int64_t id, Lease& lease, int64_t now) {
  lease.expires_at = now + lease.ttl_seconds * kSecond;
  if (!lease.queued) Queue(id, lease, lease.expires_at);
}

void LeaseLoop::Queue(int64_t id, Lease& lease, int64_t at) {
  lease.queued = true;
  queue_.Set(id, at);
}

// A later leader would give the lease no more than what its checkpoint left: only when the log has
// forgotten that, its holder may rely on the whole time.
void LeaseLoop::Clear(int64_t id, Waiting request) {
  std::vector<Waiting>& waiting = wait_for_clearing_[id];
  waiting.push_back(std::move(request));
  if (waiting.size() > 1) return;  // under way
  ProposeCheckpoint({{id, 0}}, [this, id, term = primary_term_](const Status& status) {
    if (term == primary_term_) OnCleared(id, status);
  });
}

void LeaseLoop::OnCleared(int64_t id, const Status& status) {
  auto waiting = wait_for_clearing_.extract(id);
  if (waiting.empty()) return;
  for (Waiting& request : waiting.mapped()) {
    // What is told now counts from now.
    if (status.ok())
      Renew(id, env::Duration(request.came_at), request.elsewhere, std::move(request.reply));
    else
      request.reply(status);
  }
}

void LeaseLoop::ForwardRenewal(int64_t id, OnRenewed reply) {
  const env::Duration came_at(Now());  // if this member becomes the one who answers
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(id);
  forwarder_.Ask(
      "/leases", request.SerializeAsString(),
      [this, id, came_at, reply = std::move(reply)](StatusOr<rpc::HttpResponse> answer) mutable {
        if (absl::IsAborted(answer.status()))
          return Renew(id, came_at, Elsewhere::kRefuse, std::move(reply));
        if (!answer.ok()) return reply(answer.status());
        if (answer->status == 404) return reply(0);
        etcdserverpb::LeaseKeepAliveResponse response;
        if (!response.ParseFromString(answer->body)) return reply(Malformed());
        reply(response.ttl());
      });
}

// --- ending ---

void LeaseLoop::ArmTimer() {
  const int64_t* next = queue_.NextAt();
  if (next == nullptr || stopping_ || ends_posted_ || primary_term_.value() == 0) return;
  // Those that are under way come first: OnEndProposed calls again.
  if (ends_under_way_ >= kEndsAtOnce) return;
  if (timer_.value != 0 && timer_at_ <= *next) return;
  loop_.Cancel(std::exchange(timer_, {}));
  timer_at_ = *next;
  timer_ = loop_.RunAfter(env::Duration(std::max<int64_t>(timer_at_ - Now(), 0)), [this] {
    timer_ = {};
    OnTimer();
  });
}

// Renewals that came before this moment may still be in the mailbox: they are carried out first.
void LeaseLoop::OnTimer() {
  ends_posted_ = true;
  loop_.Post([this, now = Now()] { EndExpired(now); });
}

void LeaseLoop::EndExpired(int64_t now) {
  ends_posted_ = false;
  if (!IsPrimary()) return Demote();
  for (int64_t id : queue_.TakeExpired(now, kEndsAtOnce - ends_under_way_)) {
    Lease& lease = leases_.at(id);
    lease.queued = false;
    if (lease.expires_at > now)
      Queue(id, lease, lease.expires_at);  // it was renewed
    else
      End(id, lease);
  }
  ArmTimer();
}

void LeaseLoop::End(int64_t id, Lease& lease) {
  lease.ending = true;
  ++ends_under_way_;
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(id);
  // Never through another leader, who may have renewed it.
  host_.Propose(primary_term_, state::Operation::kLeaseRevoke, request.SerializeAsString(),
                [this, id, term = primary_term_](const Status& status) {
                  if (term == primary_term_) OnEndProposed(id, status);
                });
}

void LeaseLoop::OnEndProposed(int64_t id, const Status& status) {
  --ends_under_way_;
  // Not through the log this time: soon again.
  auto found = leases_.find(id);
  if (!status.ok() && !absl::IsNotFound(status) && found != leases_.end())
    Queue(id, found->second, Now() + kRetryEnd.count());
  ArmTimer();
}

// --- checkpoints ---

void LeaseLoop::ArmCheckpoints() {
  if (!config_.lease_checkpoint || stopping_ || checkpoint_timer_.value != 0) return;
  checkpoint_timer_ = loop_.RunAfter(kCheckpointInterval, [this] {
    checkpoint_timer_ = {};
    if (!IsPrimary()) return;
    ArmCheckpoints();
    CheckpointFrom(INT64_MIN);
  });
}

// One proposal after another: a million leases must not fill the log at once.
void LeaseLoop::CheckpointFrom(int64_t id) {
  std::vector<std::pair<int64_t, int64_t>> remaining;
  auto lease = leases_.lower_bound(id);
  for (; lease != leases_.end() && remaining.size() < kCheckpointsAtOnce; ++lease) {
    const int64_t left = lease->second.expires_at - Now();
    if (left > kCheckpointInterval.count())
      remaining.emplace_back(lease->first, (left + kSecond - 1) / kSecond);
  }
  if (remaining.empty()) return;
  const bool last = lease == leases_.end();
  const int64_t next = last ? 0 : lease->first;
  // One that gets lost costs nothing but time that was given too much.
  ProposeCheckpoint(remaining, [this, last, next, term = primary_term_](const Status& status) {
    if (!last && status.ok() && term == primary_term_ && IsPrimary()) CheckpointFrom(next);
  });
}

void LeaseLoop::ProposeCheckpoint(const std::vector<std::pair<int64_t, int64_t>>& remaining,
                                  LeaseHost::OnStatus done) {
  etcdserverpb::LeaseCheckpointRequest request;
  for (const auto& [id, seconds] : remaining) {
    etcdserverpb::LeaseCheckpoint& checkpoint = *request.add_checkpoints();
    checkpoint.set_id(id);
    checkpoint.set_remaining_ttl(seconds);
  }
  host_.Propose(primary_term_, state::Operation::kLeaseCheckpoint, request.SerializeAsString(),
                std::move(done));
}

// --- looking ---

void LeaseLoop::TimeToLive(int64_t id, bool with_keys, Elsewhere elsewhere, OnTimes reply,
                           Wanted wanted) {
  if (!with_keys) return FindTimes(id, with_keys, elsewhere, std::move(reply));
  with_keys_.Ask({id, elsewhere}, std::move(wanted), std::move(reply));
}

void LeaseLoop::FindTimes(int64_t id, bool with_keys, Elsewhere elsewhere, OnTimes reply) {
  if (stopping_) return reply(errors::Stopped());
  if (!IsPrimary()) {
    if (elsewhere == Elsewhere::kRefuse) return reply(NotPrimary());
    return ForwardTimeToLive(id, with_keys, std::move(reply));
  }
  Prove([this, id, with_keys, reply = std::move(reply)](const Status& status) mutable {
    if (!status.ok()) return reply(status);
    if (!IsPrimary()) return reply(errors::LeaderChanged());
    TimeToLiveHere(id, with_keys, std::move(reply));
  });
}

void LeaseLoop::TimeToLiveHere(int64_t id, bool with_keys, OnTimes reply) {
  auto found = leases_.find(id);
  if (found == leases_.end()) return reply(LeaseTimes());
  LeaseTimes times;
  times.ttl_seconds = (found->second.expires_at - Now()) / kSecond;
  times.granted_seconds = found->second.ttl_seconds;
  if (!with_keys) return reply(std::move(times));
  host_.KeysOf(id, [this, times = std::move(times), term = primary_term_,
                    reply = std::move(reply)](SharedBytes keys) mutable {
    if (!IsPrimary() || term != primary_term_) return reply(errors::LeaderChanged());
    times.keys = std::move(keys);
    reply(std::move(times));
  });
}

void LeaseLoop::ForwardTimeToLive(int64_t id, bool with_keys, OnTimes reply) {
  leasepb::LeaseInternalRequest request;
  request.mutable_leasetimetoliverequest()->set_id(id);
  request.mutable_leasetimetoliverequest()->set_keys(with_keys);
  forwarder_.Ask(
      "/leases/internal", request.SerializeAsString(),
      [this, id, with_keys, reply = std::move(reply)](StatusOr<rpc::HttpResponse> answer) mutable {
        if (absl::IsAborted(answer.status()))
          return FindTimes(id, with_keys, Elsewhere::kRefuse, std::move(reply));
        if (!answer.ok()) return reply(answer.status());
        if (answer->status == 404) return reply(LeaseTimes());
        reply(ParseTimes(answer->body));
      });
}

void LeaseLoop::List(OnList reply, Wanted wanted) {
  lists_.Ask(0, std::move(wanted), std::move(reply));
}

}  // namespace quoin::server
