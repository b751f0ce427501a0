#include "server/lease_door.h"

namespace quoin::server {
namespace {

// The answers of one turn of the lease loop, on their way to one I/O loop.
// Thread: the lease loop.
struct Answers : std::enable_shared_from_this<Answers> {
  explicit Answers(env::Executor& lease, env::Executor& io) : lease(lease), io(io) {}
  void Add(LeaseLoop::OnRenewed done, StatusOr<int64_t> ttl) {
    if (ready.empty()) lease.AtEndOfTurn([self = shared_from_this()] { self->Flush(); });
    ready.emplace_back(std::move(done), std::move(ttl));
  }
  void Flush() {
    io.Post([all = std::exchange(ready, {})]() mutable {
      for (auto& [done, ttl] : all) done(std::move(ttl));
    });
  }

  env::Executor& lease;
  env::Executor& io;
  std::vector<std::pair<LeaseLoop::OnRenewed, StatusOr<int64_t>>> ready;
};

}  // namespace

void LeaseDoor::Renew(int64_t id, OnRenewed done) {
  if (gathered_.empty()) loop_.AtEndOfTurn([this] { Flush(); });
  gathered_.emplace_back(id, std::move(done));
}

void LeaseDoor::Flush() {
  lease_executor_.Post([&leases = leases_, &lease = lease_executor_, &io = loop_,
                        asked = std::exchange(gathered_, {})]() mutable {
    auto answers = std::make_shared<Answers>(lease, io);
    for (auto& [id, done] : asked) {
      leases.Renew(id, LeaseLoop::Elsewhere::kForward,
                   [answers, done = std::move(done)](StatusOr<int64_t> ttl) mutable {
                     answers->Add(std::move(done), std::move(ttl));
                   });
    }
  });
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
