// Leases of three whole members on virtual time: what a change of the leader leaves of their time.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "env/sim/sim_world.h"
#include "proto/rpc.pb.h"
#include "sim/machine.h"

namespace quoin::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr size_t kStepsMax = 6'000'000;
constexpr int64_t kLease = 7, kTtl = 1000;

class Members {
 public:
  Members(uint64_t seed, bool checkpoints) : world_(seed), network_(world_) {
    for (int i = 0; i < 3; ++i) machines_.push_back(std::make_unique<Machine>(world_, network_, i));
    for (auto& machine : machines_) {
      machine->config().lease_checkpoint = checkpoints;
      for (auto& other : machines_)
        machine->config().initial_cluster[other->config().name] = {other->peer_url()};
    }
    for (auto& machine : machines_) EXPECT_EQ(machine->Start(), OkStatus());
    EXPECT_TRUE(Until([&] {
      return std::all_of(machines_.begin(), machines_.end(), [](auto& m) { return m->ready(); });
    }));
  }
  ~Members() {
    for (auto& machine : machines_) machine->Crash();
  }

  bool Until(const std::function<bool()>& done) { return world_.RunUntil(done, kStepsMax); }
  void Pass(env::Duration time) { world_.RunFor(time); }

  Machine& Leader() {
    Machine* found = nullptr;
    EXPECT_TRUE(Until([&] {
      for (auto& machine : machines_) {
        if (machine->leads()) found = machine.get();
      }
      return found != nullptr && found->leads();
    }));
    return *found;
  }
  Machine& Follower() {
    Machine& leader = Leader();
    auto found = std::find_if(machines_.begin(), machines_.end(),
                              [&](auto& m) { return m->up() && m.get() != &leader; });
    return **found;
  }
  // Another member leads afterwards, and the old one is back.
  void ChangeLeader() {
    Machine& old = Leader();
    old.Crash();
    Leader();
    EXPECT_EQ(old.Start(), OkStatus());
    EXPECT_TRUE(Until([&] { return old.ready(); }));
  }

  Status Grant(int64_t id, int64_t ttl) {
    etcdserverpb::LeaseGrantRequest grant;
    grant.set_id(id);
    grant.set_ttl(ttl);
    std::optional<Status> answer;
    Leader().Propose(state::Operation::kLeaseGrant, grant.SerializeAsString(),
                     [&](const state::ApplyResult& result) { answer = result.status; });
    EXPECT_TRUE(Until([&] { return answer.has_value(); }));
    return answer.value_or(absl::DeadlineExceededError("no answer"));
  }
  // Asked at a follower, who asks the leader.
  int64_t Renew(int64_t id) {
    std::optional<StatusOr<int64_t>> answer;
    Machine& asked = Follower();
    asked.node().lease_executor().Post([&] {
      asked.node().lease_loop().Renew(id, world_.Now(), server::LeaseLoop::Elsewhere::kForward,
                                      [&](StatusOr<int64_t> ttl) { answer = std::move(ttl); });
    });
    EXPECT_TRUE(Until([&] { return answer.has_value(); }));
    EXPECT_TRUE((*answer).ok()) << (*answer).status();
    return (*answer).value_or(-1);
  }
  int64_t TimeToLive(int64_t id) {
    std::optional<StatusOr<server::LeaseTimes>> answer;
    Machine& asked = Follower();
    asked.node().lease_executor().Post([&] {
      asked.node().lease_loop().TimeToLive(
          id, /*with_keys=*/false, server::LeaseLoop::Elsewhere::kForward,
          [&](StatusOr<server::LeaseTimes> times) { answer = std::move(times); });
    });
    EXPECT_TRUE(Until([&] { return answer.has_value(); }));
    EXPECT_TRUE((*answer).ok()) << (*answer).status();
    return (*answer).ok() ? (*answer)->ttl_seconds : -1;
  }

 private:
  env::SimWorld world_;
  env::SimNetwork network_;
  std::vector<std::unique_ptr<Machine>> machines_;
};

TEST(SimulatedLeases, ANewLeaderGivesTheWholeTimeAgain) {
  Members members(1, /*checkpoints=*/false);
  ASSERT_EQ(members.Grant(kLease, kTtl), OkStatus());
  members.Pass(minutes(6));
  EXPECT_LE(members.TimeToLive(kLease), kTtl - 360);
  members.ChangeLeader();
  EXPECT_GT(members.TimeToLive(kLease), kTtl - 60);
}

TEST(SimulatedLeases, CheckpointsCarryTheTimeThatIsLeftOver) {
  Members members(2, /*checkpoints=*/true);
  ASSERT_EQ(members.Grant(kLease, kTtl), OkStatus());
  members.Pass(minutes(6));
  members.ChangeLeader();
  // A checkpoint after five minutes knows of at least 240 s: it is made once in five minutes.
  const int64_t left = members.TimeToLive(kLease);
  EXPECT_LE(left, kTtl - 240);
  EXPECT_GT(left, kTtl - 400) << "it must not end early either";
  members.ChangeLeader();
  EXPECT_LE(members.TimeToLive(kLease), kTtl - 240) << "the second leader knows it too";
  // Until the holder renews it.
  EXPECT_EQ(members.Renew(kLease), kTtl);
  members.ChangeLeader();
  EXPECT_GT(members.TimeToLive(kLease), kTtl - 60);
}

TEST(SimulatedLeases, EndOnceWhoeverLeads) {
  Members members(3, /*checkpoints=*/true);
  ASSERT_EQ(members.Grant(kLease, 10), OkStatus());
  ASSERT_EQ(members.Grant(kLease + 1, 10), OkStatus());
  for (int i = 0; i < 8; ++i) {
    members.Pass(seconds(4));
    EXPECT_EQ(members.Renew(kLease), 10);
    if (i == 0 || i == 2) members.ChangeLeader();  // which gives the other lease its time again
  }
  EXPECT_EQ(members.TimeToLive(kLease + 1), -1);
  EXPECT_EQ(members.Renew(kLease + 1), 0);
  EXPECT_EQ(members.Renew(kLease), 10);
  members.Pass(seconds(14));
  EXPECT_EQ(members.TimeToLive(kLease), -1);
}

}  // namespace
}  // namespace quoin::sim
