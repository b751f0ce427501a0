// A member is stopped at every event of what it may be doing: starting, electing, joining, taking
// a snapshot, handing over, writing a checkpoint. It stops in bounded time, nobody posts to a loop
// that is gone (ASan looks), and the next start finds everything.

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "cluster/membership.h"
#include "sim/testing/cluster.h"

namespace quoin::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Cluster;

constexpr size_t kStopsMax = 1000;
// The leader keeps its log for a follower that has answered within the last election timeout.
constexpr env::Duration kForgotten = milliseconds(2500);

// Stops it, and takes it down as the program does: the I/O loop ends while the member's own loops
// still run.
void StopNow(Cluster& cluster, Machine& machine) {
  machine.Stop();
  ASSERT_TRUE(cluster.Until([&] { return machine.stopped(); }));
  machine.io().Stop();
  for (int i = 0; i < 20; ++i) cluster.world().Step();
  machine.Down();
}

void Step(Cluster& cluster, size_t events) {
  for (size_t i = 0; i < events; ++i) ASSERT_TRUE(cluster.world().Step());
}

// Runs `begin` again and again, and stops its machine 0, `stride`, 2 × `stride`... events after it,
// until `over` says that what is looked at has come to its end. `then` brings everybody back.
void StopAtEach(Cluster& cluster, const std::function<Machine&()>& begin,
                const std::function<bool(Machine&)>& over, size_t stride,
                const std::function<void(Machine&)>& then) {
  size_t stops = 0;
  for (size_t at = 0;; at += stride, ++stops) {
    ASSERT_LT(stops, kStopsMax) << "what is looked at never comes to its end";
    Machine& machine = begin();
    if (::testing::Test::HasFatalFailure()) return;
    Step(cluster, at);
    const bool last = over(machine);
    SCOPED_TRACE("stopped after " + std::to_string(at) + " events");
    StopNow(cluster, machine);
    then(machine);
    if (::testing::Test::HasFatalFailure()) return;
    if (last) break;
  }
  EXPECT_GT(stops, 10) << "the stride is too wide to see anything";
}

void Restart(Cluster& cluster, Machine& machine) {
  ASSERT_EQ(machine.Start(), OkStatus());
  ASSERT_TRUE(cluster.Until([&] { return machine.ready(); }));
  ASSERT_EQ(cluster.WaitReadable(machine), OkStatus());  // its log is applied
}

TEST(Stop, AtEveryEventOfTheFirstStartOfALoneMember) {
  bool ready = false;
  size_t events = 0;
  for (size_t at = 0; !ready; ++at, events = at) {
    Cluster cluster(5, 1);
    ASSERT_EQ(cluster[0].Start(), OkStatus());
    Step(cluster, at);
    ready = cluster[0].ready();
    SCOPED_TRACE(at);
    StopNow(cluster, cluster[0]);
    if (at % 10 == 0) {
      Restart(cluster, cluster[0]);
      EXPECT_TRUE(cluster.Put(cluster[0], "a", "b").status.ok());
    }
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(events, 50);
}

TEST(Stop, AtEveryEventOfARestart) {
  Cluster cluster(6, 1);
  cluster.StartAll();
  cluster.PutMany(cluster[0], 100, "k");
  cluster[0].Crash();
  StopAtEach(
      cluster,
      [&]() -> Machine& {
        EXPECT_EQ(cluster[0].Start(), OkStatus());
        return cluster[0];
      },
      [](Machine& machine) { return machine.ready(); }, 1, [](Machine&) {});
  Restart(cluster, cluster[0]);
  EXPECT_EQ(cluster.Converge().size(), 100);
}

// Of three that start together for the first time: no leader, elections, conf changes of the start.
TEST(Stop, AtAnyEventOfTheFirstStartOfThree) {
  bool ready = false;
  size_t stops = 0;
  for (size_t at = 0; !ready; at += at < 400 ? 5 : 40, ++stops) {
    Cluster cluster(7, 3);
    for (int i = 0; i < 3; ++i) ASSERT_EQ(cluster[i].Start(), OkStatus());
    Step(cluster, at);
    Machine& machine = cluster[static_cast<size_t>(stops % 3)];
    ready = machine.ready();
    SCOPED_TRACE(at);
    StopNow(cluster, machine);
    if (stops % 16 == 0) {
      Restart(cluster, machine);
      EXPECT_TRUE(cluster.Put(machine, "a", "b").status.ok());
    }
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(stops, 60);
}

TEST(Stop, WhileASnapshotIsInstalled) {
  Cluster cluster(8, 3);
  cluster.StartAll();
  int round = 0, installed = 0;
  StopAtEach(
      cluster,
      [&]() -> Machine& {
        Machine& follower = *cluster.Follower();
        follower.Crash();
        // The leader no longer waits for it, and its log forgets what it lacks.
        cluster.world().RunFor(kForgotten);
        cluster.PutMany(*cluster.Leader(), 400, "round" + std::to_string(++round % 3) + "/");
        installed = follower.log().count("installed snapshot from leader");
        EXPECT_EQ(follower.Start(), OkStatus());
        return follower;
      },
      [&](Machine& machine) {
        return machine.log().count("installed snapshot from leader") > installed && machine.ready();
      },
      20, [&](Machine& machine) { Restart(cluster, machine); });
  cluster.Converge();
}

TEST(Stop, WhileThereIsAnElection) {
  Cluster cluster(9, 3);
  cluster.StartAll();
  Machine* gone = nullptr;
  uint64_t before = 0;
  StopAtEach(
      cluster,
      [&]() -> Machine& {
        gone = cluster.Leader();
        Machine& follower = *cluster.Follower();
        before = gone->id();
        gone->Crash();
        return follower;
      },
      [&](Machine& machine) {
        const uint64_t leader = machine.node().info().leader.load();
        return leader != 0 && leader != before;
      },
      10,
      [&](Machine& machine) {
        ASSERT_EQ(gone->Start(), OkStatus());
        Restart(cluster, machine);
        ASSERT_NE(cluster.Leader(), nullptr);
      });
  cluster.Converge();
}

// The successor is stopped while the leader hands over to it, which is stopping itself.
TEST(Stop, WhileTheLeadIsHandedOver) {
  Cluster cluster(10, 3);
  cluster.StartAll();
  Machine* leader = nullptr;
  StopAtEach(
      cluster,
      [&]() -> Machine& {
        leader = cluster.Leader();
        for (int i = 0; i < 20; ++i)
          leader->Put("k" + std::to_string(i), "v", [](const state::ApplyResult&) {});
        Machine& follower = *cluster.Follower();
        leader->Stop();
        return follower;
      },
      [&](Machine&) { return leader->stopped(); }, 5,
      [&](Machine& machine) {
        ASSERT_TRUE(cluster.Until([&] { return leader->stopped(); }));
        leader->Down();
        ASSERT_EQ(leader->Start(), OkStatus());
        Restart(cluster, machine);
      });
  cluster.Converge();
}

TEST(Stop, WhileACheckpointIsWritten) {
  Cluster cluster(11, 1);
  cluster.StartAll();
  const env::Duration interval = cluster[0].config().checkpoint_interval;
  size_t round = 0;
  StopAtEach(
      cluster,
      [&]() -> Machine& {
        cluster.PutMany(cluster[0], 100, "k" + std::to_string(++round % 7) + "/");
        cluster.world().RunFor(interval - milliseconds(2));
        return cluster[0];
      },
      [&](Machine&) { return round == 60; }, 1,
      [&](Machine& machine) { Restart(cluster, machine); });
  EXPECT_EQ(cluster.Converge().size(), 700);
}

// A learner that has just been added and takes everything by a snapshot.
TEST(Stop, WhileAMemberJoins) {
  Cluster cluster(12, 1);
  cluster.StartAll();
  cluster.PutMany(cluster[0], 200, "k");
  Machine& joiner = cluster.AddMachine();
  cluster::Member member;
  member.id = 4711;
  member.peer_urls = {joiner.peer_url()};
  member.learner = true;
  const raft::ConfChange add{0, raft::ConfChangeType::kAddLearnerNode, NodeId(member.id),
                             cluster::MemberJson(member)};
  ASSERT_EQ(cluster.ChangeMembers(cluster[0], add), OkStatus());
  joiner.config().joins_existing = true;
  joiner.config().existing = server::NodeConfig::Existing{
      4711,
      cluster[0].node().info().cluster_id,
      {{cluster[0].id(), {cluster[0].peer_url()}}, {4711, {joiner.peer_url()}}}};
  StopAtEach(
      cluster,
      [&]() -> Machine& {
        EXPECT_EQ(joiner.Start(), OkStatus());
        return joiner;
      },
      [](Machine& machine) { return machine.ready(); }, 3, [](Machine&) {});
  Restart(cluster, joiner);
  EXPECT_EQ(cluster.Converge().size(), 200);
}

}  // namespace
}  // namespace quoin::sim
