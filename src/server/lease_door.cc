#include "server/lease_door.h"

namespace quoin::server {

void LeaseDoor::Renew(int64_t id, Renewer& renewer, uint64_t number) {
  if (gathered_.empty()) loop_.AtEndOfTurn([this] { Flush(); });
  gathered_.push_back({id, number, loop_.clock().Now(), &renewer, renewer.lifeline_.sign(), 0});
}

void LeaseDoor::Flush() {
  lease_executor_.Post(
      [&leases = leases_, &io = loop_, renewals = std::exchange(gathered_, {})]() mutable {
        RenewAll(leases, io, std::move(renewals));
      });
}

void LeaseDoor::RenewAll(LeaseLoop& leases, env::Executor& io, std::vector<Renewal> renewals) {
  for (Renewal& renewal : renewals) {
    if (std::optional<int64_t> ttl = leases.RenewAtOnce(renewal.id, renewal.came_at)) {
      renewal.ttl_seconds = *ttl;
      continue;
    }
    // Without the sign it is not answered with the others.
    Renewal waits = std::move(renewal);
    leases.Renew(waits.id, waits.came_at, LeaseLoop::Elsewhere::kForward,
                 [&io, waits = std::move(waits)](StatusOr<int64_t> ttl) mutable {
                   waits.ttl_seconds = std::move(ttl);
                   io.Post([waits = std::move(waits)] { Answer(waits); });
                 });
  }
  io.Post([renewals = std::move(renewals)] {
    for (const Renewal& renewal : renewals) Answer(renewal);
  });
}

void LeaseDoor::Answer(const Renewal& renewal) {
  if (renewal.wanted.alive()) renewal.renewer->OnRenewed(renewal.number, renewal.ttl_seconds);
}

LeaseDoor::Question LeaseDoor::TimeToLive(int64_t id, bool with_keys, OnTimes done) {
  Question question;
  question.want_ = std::make_unique<Want>();
  lease_executor_.Post([&leases = leases_, &io = loop_, id, with_keys,
                        wanted = question.want_->wanted(),
                        done = question.line_.Tie(std::move(done))]() mutable {
    if (!IsWanted(wanted)) return;
    leases.TimeToLive(
        id, with_keys, LeaseLoop::Elsewhere::kForward,
        [&io, done = std::move(done)](StatusOr<LeaseTimes> times) mutable {
          io.Post([done = std::move(done), times = std::move(times)]() mutable {
            done(std::move(times));
          });
        },
        std::move(wanted));
  });
  return question;
}

LeaseDoor::Question LeaseDoor::List(OnList done) {
  Question question;
  question.want_ = std::make_unique<Want>();
  lease_executor_.Post([&leases = leases_, &io = loop_, wanted = question.want_->wanted(),
                        done = question.line_.Tie(std::move(done))]() mutable {
    leases.List(
        [&io, done = std::move(done)](SharedBytes list) mutable {
          io.Post([done = std::move(done), list = std::move(list)]() mutable {
            done(std::move(list));
          });
        },
        std::move(wanted));
  });
  return question;
}

}  // namespace quoin::server
