#include "server/lease_door.h"

namespace quoin::server {

void LeaseDoor::Renew(int64_t id, RenewerHandle renewer, uint64_t number) {
  if (gathered_.empty()) loop_.AtEndOfTurn([this] { Flush(); });
  gathered_.push_back({id, number, std::move(renewer), 0});
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
    leases.Renew(renewal.id, LeaseLoop::Elsewhere::kForward,
                 [&io, number = renewal.number,
                  renewer = std::move(renewal.renewer)](StatusOr<int64_t> ttl) mutable {
                   io.Post([renewal = Renewal{0, number, std::move(renewer), std::move(ttl)}] {
                     Answer(renewal);
                   });
                 });
  }
  io.Post([renewals = std::move(renewals)] {
    for (const Renewal& renewal : renewals) Answer(renewal);
  });
}

void LeaseDoor::Answer(const Renewal& renewal) {
  // Those that wait have taken their renewer along.
  if (renewal.renewer == nullptr || *renewal.renewer == nullptr) return;
  (*renewal.renewer)->OnRenewed(renewal.number, renewal.ttl_seconds);
}

void LeaseDoor::TimeToLive(int64_t id, bool with_keys, OnTimes done) {
  lease_executor_.Post(
      [&leases = leases_, &io = loop_, id, with_keys, done = std::move(done)]() mutable {
        leases.TimeToLive(id, with_keys, LeaseLoop::Elsewhere::kForward,
                          [&io, done = std::move(done)](StatusOr<LeaseTimes> times) mutable {
                            io.Post([done = std::move(done), times = std::move(times)]() mutable {
                              done(std::move(times));
                            });
                          });
      });
}

void LeaseDoor::List(OnList done) {
  lease_executor_.Post([&leases = leases_, &io = loop_, done = std::move(done)]() mutable {
    io.Post([done = std::move(done), ids = leases.List()]() mutable { done(std::move(ids)); });
  });
}

}  // namespace quoin::server
