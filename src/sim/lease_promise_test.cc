// What a holder of a lease was told last stays true: the lease lives on for the time that the
// answer named, whoever leads by then. The leader that gave the answer may not know that it is
// none.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "env/sim/sim_world.h"
#include "proto/rpc.pb.h"
#include "sim/testing/cluster.h"

namespace quoin::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Cluster;

constexpr int64_t kLease = 7, kTtl = 3;
constexpr env::Duration kStep = milliseconds(10);

// Three members, and a holder who asks the first leader again and again.
class Holder {
 public:
  explicit Holder(uint64_t seed) : cluster_(seed, 3) {
    cluster_.StartAll();
    asked_ = cluster_.Leader();
    etcdserverpb::LeaseGrantRequest grant;
    grant.set_id(kLease);
    grant.set_ttl(kTtl);
    EXPECT_EQ(
        cluster_.Propose(*asked_, state::Operation::kLeaseGrant, grant.SerializeAsString()).status,
        OkStatus());
    KeepAskingFor(milliseconds(500 + 37 * seed));
  }

  // No question waits for the one before.
  void KeepAskingFor(env::Duration time) {
    const env::Duration end = cluster_.world().Now() + time;
    for (; cluster_.world().Now() < end; cluster_.world().RunFor(kStep)) {
      Ask();
      Look();
    }
  }
  void Ask() {
    asked_->node().lease_executor().Post([this] {
      asked_->node().lease_loop().Renew(kLease, cluster_.world().Now(),
                                        server::LeaseLoop::Elsewhere::kRefuse,
                                        [this](const StatusOr<int64_t>& ttl) {
                                          if (ttl.ok() && *ttl > 0)
                                            holds_until_ = cluster_.world().Now() + seconds(*ttl);
                                        });
    });
  }

  // As a firewall between them that refuses.
  void RejectAskedOne() {
    for (int i = 0; i < cluster_.size(); ++i) {
      if (&cluster_[i] != asked_) cluster_.network().Reject(asked_->host(), cluster_[i].host());
    }
  }
  // As SIGSTOP and SIGCONT.
  void StandStill(env::Duration time) {
    server::Node& node = asked_->node();
    for (env::Executor* loop : {&node.raft_executor(), &node.peer_executor(),
                                &node.lease_executor(), &node.apply_executor(), &asked_->io()}) {
      env::SimExecutor::Of(*loop).set_pace({.task = {time, time}});
      loop->Post([] {});
    }
    cluster_.world().RunFor(milliseconds(1));
    for (env::Executor* loop : {&node.raft_executor(), &node.peer_executor(),
                                &node.lease_executor(), &node.apply_executor(), &asked_->io()})
      env::SimExecutor::Of(*loop).set_pace({});
  }

  void ExpectItLivedAsLongAsPromised() {
    for (int i = 0; i < 10'000 && !ended_; ++i) {
      Look();
      cluster_.world().RunFor(kStep);
    }
    ASSERT_TRUE(ended_.has_value()) << "it never ends";
    EXPECT_GE(*ended_, holds_until_) << "it has ended early";
  }

 private:
  Machine* NewLeader() {
    Machine* found = nullptr;
    for (int i = 0; i < cluster_.size(); ++i) {
      if (&cluster_[i] != asked_ && cluster_[i].leads()) found = &cluster_[i];
    }
    return found;
  }
  static const lease::Lease* Find(Machine& machine) {
    return machine.node().apply_loop().machine().lessor().Find(LeaseId(kLease));
  }

  void Look() {
    Machine* leader = NewLeader();
    if (!ended_ && leader != nullptr && Find(*leader) == nullptr) ended_ = cluster_.world().Now();
  }

  Cluster cluster_;
  Machine* asked_ = nullptr;
  env::Duration holds_until_{0};
  std::optional<env::Duration> ended_;  // for the new leader
};

class SimulatedLeasePromises : public ::testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, SimulatedLeasePromises, ::testing::Range<uint64_t>(1, 31));

// The others forget their leader at once and elect another one in a fraction of an election
// timeout.
TEST_P(SimulatedLeasePromises, AreKeptWhenAFirewallRefusesInPlaceOfTheLeader) {
  Holder holder(GetParam());
  holder.RejectAskedOne();
  holder.KeepAskingFor(seconds(3));
  holder.ExpectItLivedAsLongAsPromised();
}

// The first tick after it, and answers to what was sent before it, prove nothing.
TEST_P(SimulatedLeasePromises, AreKeptByALeaderThatWasStopped) {
  Holder holder(GetParam());
  holder.StandStill(milliseconds(2'500 + 50 * GetParam()));
  holder.KeepAskingFor(seconds(3));
  holder.ExpectItLivedAsLongAsPromised();
}

}  // namespace
}  // namespace quoin::sim
