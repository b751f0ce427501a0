#include "server/lease_door.h"

namespace quoin::server {

void LeaseDoor::Renew(int64_t id, Renewer& renewer, uint64_t number) {
  if (gathered_.empty()) loop_.AtEndOfTurn([this] { Flush(); });
  gathered_.push_back({id, number, &renewer, renewer.lifeline_.sign(), 0});
}

void LeaseDoor::Flush() {
  lease_executor_.Post(
      [&leases = leases_, &io = loop_, renewals = std::exchange(gathered_, {})]() mutable {
        RenewAll(leases, io, std::move(renewals));
      });
}

void LeaseDoor::RenewAll(LeaseLoop& leases, env::Executor& io, std::vector<Renewal> renewals) {
  for (Renewal& renewal : renewals) {
    if (std::optional<int64_t> ttl = leases.RenewAtOnce(renewal.id)) {
      renewal.ttl_seconds = *ttl;
      continue;
    }
    // Without the sign it is not answered with the others.
    Renewal waits = std::move(renewal);
    leases.Renew(waits.id, LeaseLoop::Elsewhere::kForward,
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

Lifeline LeaseDoor::TimeToLive(int64_t id, bool with_keys, OnTimes done) {
  Lifeline line;
  lease_executor_.Post(
      [&leases = leases_, &io = loop_, id, with_keys, done = line.Tie(std::move(done))]() mutable {
        leases.TimeToLive(id, with_keys, LeaseLoop::Elsewhere::kForward,
                          [&io, done = std::move(done)](StatusOr<LeaseTimes> times) mutable {
                            io.Post([done = std::move(done), times = std::move(times)]() mutable {
                              done(std::move(times));
                            });
                          });
      });
  return line;
}

Lifeline LeaseDoor::List(OnList done) {
  Lifeline line;
  lease_executor_.Post(
      [&leases = leases_, &io = loop_, done = line.Tie(std::move(done))]() mutable {
        io.Post([done = std::move(done), ids = leases.List()]() mutable { done(std::move(ids)); });
      });
  return line;
}

}  // namespace quoin::server
