// Whole members on simulated disks, network and time, speaking the real peer protocol: what one of
// them acknowledged is on a majority, whatever crashes and whatever is cut.

#include "sim/testing/cluster.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "base/limits.h"
#include "env/sim/sim_world.h"
#include "proto/rpc.pb.h"
#include "server/join.h"

namespace quoin::sim {
namespace {

using testing::Cluster;

TEST(SimulatedCluster, WritesAndReadsOnEveryMember) {
  Cluster cluster(1, 3);
  cluster.StartAll();
  std::set<uint64_t> ids;
  for (int i = 0; i < 3; ++i) {
    ids.insert(cluster[i].id());
    EXPECT_EQ(cluster.Put(cluster[i], "k" + std::to_string(i), "v").revision, i + 2);
    for (int j = 0; j < 3; ++j) {
      ASSERT_EQ(cluster.WaitReadable(cluster[j]), OkStatus());
      EXPECT_EQ(cluster[j].Content().size(), i + 1) << "a read that is not linearizable";
    }
  }
  EXPECT_EQ(ids.size(), 3);
}

TEST(SimulatedCluster, GoesOnWithoutItsLeader) {
  Cluster cluster(2, 3);
  cluster.StartAll();
  Machine* old = cluster.Leader();
  ASSERT_TRUE(cluster.Put(*old, "before", "1").status.ok());
  old->Crash();
  Machine* leader = cluster.Leader();
  ASSERT_NE(leader, nullptr);
  EXPECT_NE(leader, old);
  EXPECT_TRUE(cluster.Put(*leader, "after", "2").status.ok());
  cluster.StartAll();
  EXPECT_EQ(cluster.Converge(),
            (std::map<std::string, std::string>{{"before", "1"}, {"after", "2"}}));
}

// A follower knows at once that its connection to the leader broke, and later that it is gone. What
// it is asked in between must not be sent to nobody.
TEST(SimulatedCluster, AProposalAfterTheLeaderDiedWaitsForTheNext) {
  for (uint64_t seed = 12; seed < 42; ++seed) {
    Cluster cluster(seed, 3);
    cluster.StartAll();
    Machine* old = cluster.Leader();
    Machine* follower = cluster.Follower();
    const std::string inactive = "peer became inactive (message send to peer failed)";
    const int before = follower->log().count(inactive);
    const uint64_t leader = old->id();
    old->Crash();
    ASSERT_TRUE(cluster.Until([&] { return follower->log().count(inactive) > before; }));
    cluster.world().RunFor(std::chrono::milliseconds(1));
    ASSERT_EQ(follower->node().info().leader.load(), leader) << "it knows already that it is gone";
    const env::Duration asked = cluster.world().Now();
    EXPECT_EQ(cluster.Put(*follower, "k", "v").status, OkStatus());
    EXPECT_LT(cluster.world().Now() - asked, std::chrono::seconds(4)) << "seed " << seed;
  }
}

// How long five members are without a leader after `lose` has taken it from them; ascending.
std::vector<env::Duration> TimesWithoutLeader(
    const std::function<void(Cluster& cluster, Machine& leader)>& lose) {
  std::vector<env::Duration> took;
  for (uint64_t seed = 100; seed < 140; ++seed) {
    Cluster cluster(seed, 5);
    cluster.StartAll();
    Machine* old = cluster.Leader();
    cluster.world().RunFor(std::chrono::milliseconds(seed % 100));
    const env::Duration lost = cluster.world().Now();
    lose(cluster, *old);
    EXPECT_TRUE(cluster.Until([&] {
      for (int i = 0; i < cluster.size(); ++i) {
        if (&cluster[i] != old && cluster[i].leads()) return true;
      }
      return false;
    }));
    took.push_back(cluster.world().Now() - lost);
  }
  std::sort(took.begin(), took.end());
  return took;
}

// Those that are left often ask for votes at once, or before the others have missed the leader.
TEST(SimulatedCluster, AnElectionThatNobodyWinsIsRepeatedSoon) {
  const auto took = TimesWithoutLeader([](Cluster& cluster, Machine& leader) {
    for (int i = 0; i < cluster.size(); ++i) {
      cluster.network().Cut(leader.host(), cluster[i].host());
      cluster.network().Cut(cluster[i].host(), leader.host());
    }
  });
  EXPECT_LT(took.back(), std::chrono::milliseconds(2200));
  EXPECT_LT(took[took.size() / 2], std::chrono::milliseconds(1500));
}

// Its machine says that nobody listens there any more, so nobody waits for an election timeout.
TEST(SimulatedCluster, AProcessThatEndedIsMissedAtOnce) {
  const auto took = TimesWithoutLeader([](Cluster& cluster, Machine& leader) {
    cluster.network().set_silence_after_crash(env::Duration(0));
    leader.Crash();
  });
  EXPECT_LT(took.back(), std::chrono::milliseconds(900));
  EXPECT_LT(took[took.size() / 2], std::chrono::milliseconds(400));
}

// A leader that is cut off may think that it leads, but neither writes nor linearizable reads end
// there; a write that waits for a leader is made once there is one.
TEST(SimulatedCluster, AMinorityAnswersNothing) {
  Cluster cluster(3, 3);
  cluster.StartAll();
  Machine* old = cluster.Leader();
  for (int i = 0; i < 3; ++i) {
    cluster.network().Cut(old->host(), cluster[i].host());
    cluster.network().Cut(cluster[i].host(), old->host());
  }
  std::optional<Status> write, read;
  old->Put("lost", "1", [&](const state::ApplyResult& result) { write = result.status; });
  old->WaitReadable([&](Status status) { read = status; });
  EXPECT_TRUE(cluster.Until([&] { return write.has_value() && read.has_value(); }));
  EXPECT_EQ(write->code(), StatusCode::kUnavailable) << *write;
  EXPECT_EQ(read->code(), StatusCode::kUnavailable) << *read;
  Machine* leader = nullptr;
  EXPECT_TRUE(cluster.Until([&] {
    for (int i = 0; i < 3; ++i) {
      if (&cluster[i] != old && cluster[i].leads()) leader = &cluster[i];
    }
    return leader != nullptr && !old->leads();
  }));
  EXPECT_TRUE(cluster.Put(*leader, "kept", "2").status.ok());
  write.reset();
  old->Put("waited", "3", [&](const state::ApplyResult& result) { write = result.status; });
  cluster.network().HealAll();
  EXPECT_TRUE(cluster.Until([&] { return write.has_value(); }));
  EXPECT_EQ(*write, OkStatus());
  const auto content = cluster.Converge();
  EXPECT_FALSE(content.contains("lost"));
  EXPECT_TRUE(content.contains("kept") && content.contains("waited"));
}

// The leader keeps its log for a follower that has answered within the last election timeout.
constexpr env::Duration kForgotten = std::chrono::milliseconds(2500);

// The follower is down, and what was put meanwhile is in no log that it could get.
void LeaveFarBehind(Cluster& cluster, Machine& follower, int puts) {
  follower.Crash();
  Machine* leader = cluster.Leader();
  cluster.world().RunFor(kForgotten);
  cluster.PutMany(*leader, puts, "late");
  EXPECT_TRUE(cluster.Until([&] { return leader->log().count("saved snapshot") > 0; }));
}

TEST(SimulatedCluster, AFarFollowerGetsTheDataFile) {
  Cluster cluster(4, 3);
  cluster.StartAll();
  Machine* follower = cluster.Follower();
  cluster.PutMany(*follower, 20, "early");
  LeaveFarBehind(cluster, *follower, 400);
  Machine* leader = cluster.Leader();
  cluster.PutMany(*leader, 100, "last");
  ASSERT_EQ(follower->Start(), OkStatus());
  EXPECT_TRUE(cluster.Until([&] { return follower->ready(); }));
  EXPECT_EQ(cluster.Converge().size(), 520);
  EXPECT_EQ(follower->log().count("installed snapshot from leader"), 1);
  // And what it has installed is what it finds again; it is ready although nothing is written.
  follower->Crash();
  cluster.StartAll();
  EXPECT_EQ(cluster.Converge().size(), 520);
}

// Clients that take snapshots and never end keep images; a member that lags gets its own.
TEST(SimulatedCluster, AFarFollowerWaitsForNoClientsSnapshot) {
  Cluster cluster(4, 3);
  cluster.StartAll();
  Machine* follower = cluster.Follower();
  LeaveFarBehind(cluster, *follower, 400);
  Machine* leader = cluster.Leader();
  std::vector<std::shared_ptr<server::FrozenImage>> held;
  auto keep = [&](std::shared_ptr<server::FrozenImage> image) { held.push_back(std::move(image)); };
  const size_t asked = limits::kFrozenImagesMax + 3;
  for (size_t i = 0; i < asked; ++i) {
    leader->node().WithFrozenImage(keep);
    cluster.PutMany(*leader, 1, "between" + std::to_string(i));
  }
  EXPECT_EQ(held.size(), limits::kFrozenImagesMax) << "the others wait";
  ASSERT_EQ(follower->Start(), OkStatus());
  EXPECT_TRUE(cluster.Until([&] { return follower->ready(); }));
  EXPECT_EQ(cluster.Converge().size(), 400 + asked);
  EXPECT_EQ(follower->log().count("installed snapshot from leader"), 1);
  held.clear();
  EXPECT_TRUE(cluster.Until([&] { return held.size() == 3; })) << "their turn has come";
  held.clear();
}

// While the data file is under way the leader goes on, over more entries than it keeps for
// followers that are gone: it must not let go of those that follow the file, or another one is
// needed, and so on for as long as the writes last.
TEST(SimulatedCluster, AFollowerThatTakesTheDataFileUnderLoadTakesItOnce) {
  Cluster cluster(4, 3);
  cluster.StartAll();
  Machine* follower = cluster.Follower();
  LeaveFarBehind(cluster, *follower, 400);
  Machine* leader = cluster.Leader();
  cluster.PutMany(*leader, 100, "last");
  ASSERT_EQ(follower->Start(), OkStatus());
  ASSERT_TRUE(
      cluster.Until([&] { return follower->log().count("installing snapshot from leader") > 0; }));
  follower->disk().set_sync_time(std::chrono::seconds(1), std::chrono::seconds(1));
  const int saved = leader->log().count("saved snapshot");
  for (int i = 0; i < 10; ++i) {
    cluster.PutMany(*leader, 100, std::to_string(i) + "-");
    cluster.world().RunFor(std::chrono::milliseconds(50));
  }
  ASSERT_EQ(follower->log().count("installed snapshot from leader"), 0);
  ASSERT_TRUE(cluster.Until([&] { return leader->log().count("saved snapshot") > saved; }));
  EXPECT_TRUE(cluster.Until([&] { return follower->ready(); }));
  EXPECT_EQ(cluster.Converge().size(), 1500);
  EXPECT_EQ(follower->log().count("installed snapshot from leader"), 1);
}

// Power fails while a follower takes a snapshot, after every so many events of it.
class SnapshotCrash : public ::testing::TestWithParam<int> {};

TEST_P(SnapshotCrash, LeavesAStateThatGoesOn) {
  Cluster cluster(100 + GetParam(), 3);
  cluster.StartAll();
  Machine* follower = cluster.Follower();
  cluster.PutMany(*follower, 20, "early");
  LeaveFarBehind(cluster, *follower, 300);
  Machine* leader = cluster.Leader();
  int crashes = 0;
  for (int round = 0; round < 12; ++round) {
    const int before = follower->log().count("installing snapshot from leader");
    ASSERT_EQ(follower->Start(), OkStatus()) << "round " << round;
    ASSERT_TRUE(cluster.Until([&] {
      return follower->applied() >= leader->applied() ||
             follower->log().count("installing snapshot from leader") > before;
    }));
    if (follower->log().count("installing snapshot from leader") == before) break;
    const size_t end = cluster.world().events() + cluster.world().random().Below(120);
    while (cluster.world().events() < end) cluster.world().Step();
    follower->Crash();
    ++crashes;
    cluster.world().RunFor(kForgotten);
    cluster.PutMany(*leader, 120, "round" + std::to_string(round) + "-");
  }
  EXPECT_GT(crashes, 0);
  cluster.StartAll();
  EXPECT_EQ(cluster.Converge().size(), 320 + 120 * static_cast<size_t>(crashes));
}

INSTANTIATE_TEST_SUITE_P(Seeds, SnapshotCrash, ::testing::Range(0, 6));

TEST(SimulatedCluster, AnOrderlyStopHandsTheLeadOver) {
  Cluster cluster(5, 3);
  cluster.StartAll();
  Machine* old = cluster.Leader();
  const env::Duration start = cluster.world().Now();
  old->Stop();
  EXPECT_TRUE(cluster.Until([&] { return old->stopped(); }));
  old->Down();
  Machine* leader = cluster.Leader();
  EXPECT_TRUE(cluster.Put(*leader, "k", "v").status.ok());
  // Virtual time: no election timeout passed.
  EXPECT_LT(cluster.world().Now() - start, std::chrono::milliseconds(300));
  EXPECT_EQ(old->log().count("leadership transfer finished"), 1);
  cluster.StartAll();
  EXPECT_EQ(cluster.Converge().size(), 1);
}

// The leader that hands over takes nothing new: what its followers pass on to it meanwhile goes to
// the next one.
TEST(SimulatedCluster, AHandOverLosesNoProposalOfAFollower) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Cluster cluster(seed, 3);
    cluster.StartAll();
    Machine* old = cluster.Leader();
    Machine* follower = cluster.Follower();
    const env::Duration start = cluster.world().Now();
    old->Stop();
    int asked = 0, answered = 0;
    while (!old->stopped()) {
      follower->Put("k" + std::to_string(asked++), "v",
                    [&](const state::ApplyResult& result) { answered += result.status.ok(); });
      cluster.world().RunFor(std::chrono::microseconds(100));
    }
    EXPECT_TRUE(cluster.Until([&] { return answered == asked; })) << answered << " of " << asked;
    EXPECT_LT(cluster.world().Now() - start, std::chrono::milliseconds(300));
    old->Down();
  }
}

// The one that was to lead never hears of it. What another one has passed on meanwhile is made by
// the leader that stops, before it stops.
TEST(SimulatedCluster, AHandOverThatFailsLosesNoProposalOfAFollower) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Cluster cluster(seed, 3);
    cluster.StartAll();
    Machine* old = cluster.Leader();
    cluster.Converge();
    // The one with the longest log, or the lower id, is chosen.
    Machine* chosen = nullptr;
    Machine* other = nullptr;
    Index match;
    for (const raft::ProgressStatus& progress : old->node().raft_loop().status().progress) {
      Machine* machine = nullptr;
      for (int i = 0; i < 3; ++i)
        if (cluster[i].id() == progress.id.value()) machine = &cluster[i];
      if (machine == old) continue;
      const bool better = chosen == nullptr || progress.match > match;
      other = better ? std::exchange(chosen, machine) : machine;
      if (better) match = progress.match;
    }
    ASSERT_NE(other, nullptr);
    cluster.network().Cut(old->host(), chosen->host());
    old->Stop();
    int asked = 0, answered = 0;
    const env::Duration start = cluster.world().Now();
    while (cluster.world().Now() - start < std::chrono::milliseconds(900)) {
      other->Put("k" + std::to_string(asked++), "v",
                 [&](const state::ApplyResult& result) { answered += result.status.ok(); });
      cluster.world().RunFor(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(answered, 0) << "it has handed over";
    EXPECT_TRUE(cluster.Until([&] { return old->stopped(); }));
    EXPECT_EQ(old->log().count("leadership transfer failed"), 1);
    EXPECT_EQ(answered, asked) << "it stopped before it had passed them on";
    old->Down();
  }
}

// The cluster's version is one that all members know; while one is not heard, the oldest stands.
TEST(SimulatedCluster, AVersionIsDecidedWhenAllAreHeard) {
  Cluster cluster(9, 3);
  ASSERT_EQ(cluster[0].Start(), OkStatus());
  ASSERT_EQ(cluster[1].Start(), OkStatus());
  ASSERT_TRUE(cluster.Until([&] { return cluster[0].ready() && cluster[1].ready(); }));
  auto version = [&] { return cluster[0].node().frontend(0).cluster()->cluster_version; };
  EXPECT_EQ(version(), "3.0.0");
  ASSERT_EQ(cluster[2].Start(), OkStatus());
  EXPECT_TRUE(cluster.Until([&] { return version() == "3.7.0"; }));
}

TEST(SimulatedCluster, ASlowDiskDelaysNoHeartbeat) {
  Cluster cluster(10, 3);
  cluster.StartAll();
  Machine* leader = cluster.Leader();
  const uint64_t term = leader->node().info().term.load();
  // Three election timeouts per sync.
  leader->disk().set_sync_time(std::chrono::seconds(3), std::chrono::seconds(3));
  bool answered = false;
  leader->Put("k", "v", [&](const state::ApplyResult& result) { answered = result.status.ok(); });
  cluster.world().RunFor(std::chrono::seconds(20));
  EXPECT_TRUE(answered);
  EXPECT_EQ(cluster.Leader(), leader);
  EXPECT_EQ(leader->node().info().term.load(), term);
}

// Tests of mixed clusters and of downgrades wait for the file.
TEST(SimulatedCluster, ASnapshotIsSavedWhenItIsDue) {
  Cluster cluster(9, 1);
  cluster[0].config().checkpoint_interval = std::chrono::hours(1);
  cluster.StartAll();
  const auto saved = [&] { return cluster[0].log().count("saved snapshot"); };
  for (int i = 1; i <= 3; ++i) {
    cluster.PutMany(cluster[0], 61, "k");
    cluster.world().RunFor(std::chrono::milliseconds(500));
    EXPECT_EQ(saved(), i) << "it waits for a checkpoint";
  }
}

TEST(SimulatedCluster, GrowsAndShrinks) {
  Cluster cluster(6, 1);
  cluster.StartAll();
  cluster.PutMany(cluster[0], 200, "k");
  ASSERT_TRUE(cluster.Until([&] { return cluster[0].log().count("saved snapshot") > 0; }));

  Machine& joiner = cluster.AddMachine();
  cluster::Member member;
  member.id = 4711;
  member.peer_urls = {joiner.peer_url()};
  const raft::ConfChange add{
      0, raft::ConfChangeType::kAddLearnerNode, NodeId(member.id),
      R"({"id":4711,"peerURLs":[")" + joiner.peer_url() + R"("],"isLearner":true})"};
  EXPECT_EQ(cluster.ChangeMembers(cluster[0], add), OkStatus());
  EXPECT_EQ(cluster.ChangeMembers(cluster[0], add).code(), StatusCode::kFailedPrecondition)
      << "a member that is there already";
  joiner.config().joins_existing = true;
  joiner.config().existing = server::NodeConfig::Existing{
      4711,
      cluster[0].node().info().cluster_id,
      {{cluster[0].id(), {cluster[0].peer_url()}}, {4711, {joiner.peer_url()}}}};
  cluster.StartAll();
  EXPECT_EQ(cluster.Converge().size(), 200);
  EXPECT_TRUE(joiner.node().info().is_learner.load());

  const raft::ConfChange promote{0, raft::ConfChangeType::kAddNode, NodeId(4711),
                                 cluster::PromoteJson(4711)};
  EXPECT_EQ(cluster.ChangeMembers(joiner, promote), OkStatus());
  EXPECT_TRUE(cluster.Put(joiner, "two", "voters").status.ok());
  cluster.Converge();

  // The old member is removed and hears of it; the new one goes on alone.
  const raft::ConfChange remove{0, raft::ConfChangeType::kRemoveNode, NodeId(cluster[0].id()), ""};
  EXPECT_EQ(cluster.ChangeMembers(joiner, remove), OkStatus());
  EXPECT_TRUE(cluster.Until([&] { return cluster[0].removed(); }));
  cluster[0].Crash();
  ASSERT_EQ(cluster.Leader(), &joiner);
  EXPECT_TRUE(cluster.Put(joiner, "one", "voter").status.ok());
  EXPECT_EQ(joiner.Content().size(), 202);
}

// The leader's apply loop is busy; what it then applies together grants a lease and raises an
// alarm. A renewal that waits for it is answered when the lease is known to the one who counts its
// time.
TEST(SimulatedCluster, ALeaseIsToldOfBeforeReadsAreReleased) {
  Cluster cluster(11, 3);
  cluster.StartAll();
  Machine* leader = cluster.Leader();
  Machine* follower = cluster.Follower();
  // Busy with one change of the log while the next two wait for it.
  leader->SetPace("apply", {.task = {std::chrono::seconds(1), std::chrono::seconds(1)}});
  cluster.Put(*follower, "k", "v");
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_id(7);
  grant.set_ttl(60);
  etcdserverpb::AlarmRequest alarm;
  alarm.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  alarm.set_alarm(etcdserverpb::CORRUPT);
  alarm.set_memberid(follower->id());
  std::optional<Status> granted;
  follower->Propose(state::Operation::kLeaseGrant, grant.SerializeAsString(),
                    [&](const state::ApplyResult& result) { granted = result.status; });
  follower->Propose(state::Operation::kAlarm, alarm.SerializeAsString(),
                    [](const state::ApplyResult&) {});
  ASSERT_TRUE(cluster.Until([&] { return granted.has_value(); }));
  ASSERT_EQ(*granted, OkStatus());
  std::optional<StatusOr<int64_t>> ttl;
  leader->node().lease_executor().Post([&] {
    leader->node().lease_loop().Renew(7, cluster.world().Now(),
                                      server::LeaseLoop::Elsewhere::kForward,
                                      [&](StatusOr<int64_t> got) { ttl = std::move(got); });
  });
  ASSERT_TRUE(cluster.Until([&] { return ttl.has_value(); }));
  ASSERT_TRUE(ttl->ok()) << ttl->status();
  EXPECT_EQ(**ttl, 60) << "the leader did not know the lease";
}

TEST(SimulatedCluster, AMajorityThatIsGoneCanBeForgotten) {
  Cluster cluster(7, 3);
  cluster.StartAll();
  cluster.PutMany(*cluster.Leader(), 30, "k");
  cluster.Converge();
  for (int i = 0; i < 3; ++i) cluster[i].Crash();
  cluster[1].config().force_new_cluster = true;
  ASSERT_EQ(cluster[1].Start(), OkStatus());
  EXPECT_TRUE(cluster.Until([&] { return cluster[1].ready(); }));
  EXPECT_TRUE(cluster.Put(cluster[1], "alone", "1").status.ok());
  EXPECT_EQ(cluster[1].Content().size(), 31);
  cluster[1].Crash();
  cluster[1].config().force_new_cluster = false;
  ASSERT_EQ(cluster[1].Start(), OkStatus());
  EXPECT_TRUE(cluster.Until([&] { return cluster[1].ready(); }));
  EXPECT_EQ(cluster.WaitReadable(cluster[1]), OkStatus());
  EXPECT_EQ(cluster[1].Content().size(), 31);
}

// What Joining finds out by asking the others.
StatusOr<std::optional<server::NodeConfig::Existing>> AskOthers(Cluster& cluster,
                                                                Machine& machine) {
  env::SimDisk disk(&cluster.world());
  env::SimEnv env(cluster.world(), disk, cluster.network(), machine.host());
  std::unique_ptr<env::Executor> loop = env.NewExecutor("main");
  std::optional<StatusOr<std::optional<server::NodeConfig::Existing>>> found;
  NullLogger log;
  auto joining =
      server::Joining::Start(env, *loop, machine.config(), log, [&](auto got) { found = got; });
  EXPECT_TRUE(cluster.Until([&] { return found.has_value(); }));
  joining.reset();
  return *found;
}

TEST(SimulatedCluster, AMemberWithoutDataAsksWhoItIs) {
  Cluster cluster(8, 3);
  cluster.StartAll();
  Machine& machine = cluster[2];
  const uint64_t id = machine.id();
  // Known to the others: its data is gone, and with it what it promised.
  machine.Crash();
  EXPECT_EQ(AskOthers(cluster, machine).status().message(),
            "member " + cluster::HexId(id) + " has already been bootstrapped");
  machine.config().joins_existing = true;
  EXPECT_EQ(AskOthers(cluster, machine).status().message(),
            "member " + cluster::HexId(id) + " has already been bootstrapped");
  // Removed and added again, it may join under its new id.
  ASSERT_NE(cluster.Leader(), nullptr);
  const raft::ConfChange remove{0, raft::ConfChangeType::kRemoveNode, NodeId(id), ""};
  EXPECT_EQ(cluster.ChangeMembers(cluster[0], remove), OkStatus());
  EXPECT_EQ(AskOthers(cluster, machine).status().message(),
            "error validating peerURLs: member count is unequal");
  const raft::ConfChange add{0, raft::ConfChangeType::kAddNode, NodeId(99),
                             R"({"id":99,"peerURLs":[")" + machine.peer_url() + R"("]})"};
  EXPECT_EQ(cluster.ChangeMembers(cluster[0], add), OkStatus());
  auto found = AskOthers(cluster, machine);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->self, 99);
  EXPECT_EQ((*found)->cluster_id, cluster[0].node().info().cluster_id);
  EXPECT_EQ((*found)->peer_urls.size(), 3);
}

// Load on all members while machines crash and links are cut. Returns the trace of the run.
uint64_t RandomRound(uint64_t seed) {
  Cluster cluster(seed, 3);
  cluster.StartAll();
  Prng& random = cluster.world().random();
  std::map<std::string, std::string> acknowledged;
  int sent = 0;
  for (int step = 0; step < 60; ++step) {
    Machine& machine = cluster[random.Below(3)];
    const uint64_t what = random.Below(12);
    if (what == 0) {
      machine.Crash();
    } else if (what == 1) {
      cluster.network().Cut(machine.host(), cluster[random.Below(3)].host());
    } else if (what == 2) {
      cluster.network().HealAll();
    } else if (!machine.up()) {
      Status started = machine.Start();
      EXPECT_TRUE(started.ok()) << "seed " << seed << " step " << step << ": " << started;
    } else {
      for (int i = 0; i < 15; ++i) {
        const std::string key = "k" + std::to_string(++sent);
        machine.Put(key, std::to_string(sent), [&, key, sent](const state::ApplyResult& result) {
          if (result.status.ok()) acknowledged[key] = std::to_string(sent);
        });
      }
    }
    cluster.world().RunFor(std::chrono::milliseconds(random.Below(600)));
  }
  cluster.network().HealAll();
  for (int i = 0; i < 3; ++i) {
    if (cluster[i].up()) continue;
    EXPECT_EQ(cluster[i].Start(), OkStatus()) << "seed " << seed;
  }
  Machine* leader = cluster.Leader();
  if (leader == nullptr) return 0;
  EXPECT_TRUE(cluster.Put(*leader, "end", "1").status.ok()) << "seed " << seed;
  const auto content = cluster.Converge();
  for (const auto& [key, value] : acknowledged) {
    auto found = content.find(key);
    EXPECT_TRUE(found != content.end() && found->second == value)
        << "seed " << seed << ": " << key << " was acknowledged and is lost";
  }
  EXPECT_GT(acknowledged.size(), 50) << "seed " << seed;
  return cluster.world().trace();
}

class SimulatedFaults : public ::testing::TestWithParam<uint64_t> {};

TEST_P(SimulatedFaults, LoseNothingAcknowledged) { RandomRound(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Seeds, SimulatedFaults, ::testing::Range<uint64_t>(1, 9));

TEST(SimulatedCluster, TheSameSeedGivesTheSameRun) { EXPECT_EQ(RandomRound(3), RandomRound(3)); }

// Raft makes nothing of a change that it is given before it knows that the last one was applied; so
// nobody may hear of the last one sooner.
TEST(SimulatedCluster, AChangeOfMembersIsAnsweredWhenTheNextOneIsPossible) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Cluster cluster(seed, 1);
    cluster[0].config().learners_max = 10;
    cluster.StartAll();
    for (uint64_t id = 101; id <= 105; ++id) {
      raft::ConfChange change;
      change.type = raft::ConfChangeType::kAddLearnerNode;
      change.node_id = NodeId(id);
      change.context =
          cluster::MemberJson({.id = id,
                               .peer_urls = {"http://10.0.1." + std::to_string(id) + ":2380"},
                               .learner = true});
      std::optional<size_t> learners;
      cluster[0].io().Post([&] {
        auto answered = [&](const state::ApplyResult& result) {
          EXPECT_EQ(result.status, OkStatus());
          learners = cluster[0].node().raft_loop().status().conf_state.learners.size();
        };
        auto wait = cluster[0].node().frontend(0).ProposeConfChange(change, answered);
        ASSERT_TRUE(wait.ok());
        std::move(*wait).Detach();
      });
      ASSERT_TRUE(cluster.Until([&] { return learners.has_value(); }));
      EXPECT_EQ(*learners, id - 100);
    }
  }
}

// Members that are known by names. The name of a member that is gone is slow, then unknown, then
// wrong: the others keep their leader and go on writing.
TEST(SimulatedCluster, NamesThatAreSlowStopNoHeartbeat) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Cluster cluster(seed, 3);
    auto name = [](int i) { return "m" + std::to_string(i) + ".test"; };
    std::map<std::string, std::vector<std::string>> initial;
    for (int i = 0; i < 3; ++i) {
      const std::string url = "http://" + name(i) + ":2380";
      initial["m" + std::to_string(i)] = {url};
      cluster[i].config().advertise_peer_urls = {url};
      cluster.network().SetName(name(i), std::vector{cluster[i].host()}, std::chrono::seconds(1));
    }
    for (int i = 0; i < 3; ++i) cluster[i].config().initial_cluster = initial;
    cluster.StartAll();
    Machine* leader = cluster.Leader();
    Machine* gone = cluster.Follower();
    ASSERT_TRUE(leader != nullptr && gone != nullptr);
    const std::string lost = name(static_cast<int>(gone->id() == cluster[0].id()   ? 0
                                                   : gone->id() == cluster[1].id() ? 1
                                                                                   : 2));
    gone->Crash();
    const int elections = leader->log().count("became leader");
    const StatusOr<std::vector<std::string>> answers[] = {
        std::vector{gone->host()}, absl::UnavailableError("lookup: server misbehaving"),
        std::vector<std::string>{"10.0.0.99"}};
    for (const auto& answer : answers) {
      cluster.network().SetName(lost, answer, std::chrono::seconds(5));
      for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(cluster.Put(*leader, "k", std::to_string(i)).status.ok());
        cluster.world().RunFor(std::chrono::milliseconds(500));
      }
    }
    EXPECT_TRUE(leader->leads());
    EXPECT_EQ(leader->log().count("became leader"), elections);
    cluster.network().SetName(lost, std::vector{gone->host()}, std::chrono::milliseconds(1));
    ASSERT_TRUE(gone->Start().ok());
    EXPECT_EQ(cluster.Converge().at("k"), "19");
  }
}

}  // namespace
}  // namespace quoin::sim
