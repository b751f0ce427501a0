// Linearizable reads where another member may apply first: whoever was answered before a read came
// must be visible to it, however far behind the member that is asked has fallen.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "env/sim/sim_world.h"
#include "proto/rpc.pb.h"
#include "server/frontend.h"
#include "sim/testing/cluster.h"

namespace quoin::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Cluster;

constexpr uint64_t kJoiner = 4711;

raft::ConfChange AddLearner(const Machine& joiner) {
  return {0, raft::ConfChangeType::kAddLearnerNode, NodeId(kJoiner),
          R"({"id":4711,"peerURLs":[")" + joiner.peer_url() + R"("],"isLearner":true})"};
}
raft::ConfChange Promote() {
  return {0, raft::ConfChangeType::kAddNode, NodeId(kJoiner), cluster::PromoteJson(kJoiner)};
}
raft::ConfChange Remove(uint64_t id) {
  return {0, raft::ConfChangeType::kRemoveNode, NodeId(id), ""};
}

// A member that is alone, and one that learns from it.
class Pair {
 public:
  explicit Pair(uint64_t seed) : cluster_(seed, 1), old_(nullptr), joiner_(nullptr) {
    cluster_.StartAll();
    joiner_ = &cluster_.AddMachine();
    old_ = &cluster_[0];
    EXPECT_EQ(cluster_.ChangeMembers(*old_, AddLearner(*joiner_)), OkStatus());
    joiner_->config().joins_existing = true;
    joiner_->config().existing = server::NodeConfig::Existing{
        kJoiner,
        old_->node().info().cluster_id,
        {{old_->id(), {old_->peer_url()}}, {kJoiner, {joiner_->peer_url()}}}};
  }
  void Join() {
    cluster_.StartAll();
    cluster_.Converge();
    ASSERT_EQ(cluster_.Leader(), old_);
  }
  void JoinAndPromote() {
    Join();
    ASSERT_EQ(cluster_.ChangeMembers(*old_, Promote()), OkStatus());
    ASSERT_TRUE(cluster_.Put(*joiner_, "both", "voters").status.ok());
    cluster_.Converge();
    ASSERT_EQ(cluster_.Leader(), old_);
  }

  Cluster& cluster() { return cluster_; }
  Machine& old() { return *old_; }
  Machine& joiner() { return *joiner_; }

 private:
  Cluster cluster_;
  Machine* old_;
  Machine* joiner_;
};

// From now on each task of the member's apply loop takes that long; the first one is empty.
void SlowDownApply(Machine& machine, env::Duration task) {
  env::Executor& apply = machine.node().apply_executor();
  env::SimExecutor::Of(apply).set_pace({.task = {task, task}});
  apply.Post([] {});
}

// Asks the member for a change; `answer` is set when it is answered.
void StartChange(Machine& machine, const raft::ConfChange& change, std::optional<Status>& answer) {
  machine.io().Post([&machine, &answer, change] {
    StatusOr<server::Frontend::Wait> wait = machine.node().frontend(0).ProposeConfChange(
        change, [&answer](const state::ApplyResult& result) { answer = result.status; });
    if (!wait.ok()) answer = wait.status();
    if (wait.ok()) std::move(*wait).Detach();
  });
}

// What a linearizable read of `key` sees, and how long it took; nothing if it failed.
struct Read {
  std::optional<Status> status;
  bool found = false;
};
void StartRead(Machine& machine, const std::string& key, Read& read) {
  machine.WaitReadable([&machine, &read, key](const Status& status) {
    read.status = status;
    read.found = machine.Content().contains(key);
  });
}

class SimulatedReads : public ::testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, SimulatedReads, ::testing::Range<uint64_t>(1, 11));

// The old member alone commits the promotion. Then it needs the joiner for every commit, but the
// joiner applies first, and answers a client.
TEST_P(SimulatedReads, SeeWhatTheMemberThatWasPromotedHasAnswered) {
  Pair pair(GetParam());
  pair.Join();
  SlowDownApply(pair.old(), seconds(1));
  ASSERT_EQ(pair.cluster().ChangeMembers(pair.joiner(), Promote()), OkStatus());
  ASSERT_TRUE(pair.cluster().Put(pair.joiner(), "k", "v").status.ok());
  ASSERT_FALSE(pair.old().Content().contains("k")) << "it has not fallen behind";
  Read read;
  StartRead(pair.old(), "k", read);
  ASSERT_TRUE(pair.cluster().Until([&] { return read.status.has_value(); }));
  EXPECT_EQ(*read.status, OkStatus());
  EXPECT_TRUE(read.found) << "a stale read";
}

// The member that is removed still commits, applies and answers what lies behind its removal,
// before the one that stays has applied it.
TEST_P(SimulatedReads, SeeWhatTheMemberThatWasRemovedHasAnswered) {
  Pair pair(GetParam());
  pair.JoinAndPromote();
  SlowDownApply(pair.old(), milliseconds(300));
  std::optional<Status> removed, put;
  StartChange(pair.joiner(), Remove(kJoiner), removed);
  pair.joiner().Put("k", "v", [&](const state::ApplyResult& result) { put = result.status; });
  ASSERT_TRUE(pair.cluster().Until([&] { return put.has_value(); }));
  ASSERT_EQ(*put, OkStatus());
  ASSERT_FALSE(pair.old().Content().contains("k")) << "it has not fallen behind";
  // At every moment until it has caught up.
  for (bool behind = true; behind;) {
    behind = !pair.old().Content().contains("k");
    Read read;
    const env::Duration asked = pair.cluster().world().Now();
    StartRead(pair.old(), "k", read);
    ASSERT_TRUE(pair.cluster().Until([&] { return read.status.has_value(); }));
    EXPECT_EQ(*read.status, OkStatus()) << "asked at " << asked.count();
    EXPECT_TRUE(read.found) << "a stale read, asked at " << asked.count();
    if (::testing::Test::HasFailure()) return;
    pair.cluster().world().RunFor(milliseconds(10));
  }
}

// A round that began while there were two members, on a loop that waits for no answer.
TEST_P(SimulatedReads, EndWhenTheMemberBecomesTheOnlyOneMeanwhile) {
  Pair pair(GetParam());
  pair.JoinAndPromote();
  SlowDownApply(pair.old(), milliseconds(300));
  std::optional<Status> removed, put;
  StartChange(pair.joiner(), Remove(kJoiner), removed);
  pair.joiner().Put("k", "v", [&](const state::ApplyResult& result) { put = result.status; });
  ASSERT_TRUE(pair.cluster().Until([&] { return put.has_value(); }));
  const env::Duration asked = pair.cluster().world().Now();
  std::optional<Status> read;
  pair.old().io().Post([&] {
    pair.old()
        .node()
        .frontend(0)
        .WaitReadable([&](const Status& status) { read = status; })
        .Detach();
  });
  ASSERT_TRUE(pair.cluster().Until([&] { return read.has_value(); }));
  EXPECT_EQ(*read, OkStatus());
  EXPECT_TRUE(pair.old().Content().contains("k"));
  EXPECT_LT(pair.cluster().world().Now() - asked, seconds(4)) << "told by a later batch only";
}

// Reads that follow one another, so that a round is always under way.
class ManyReads {
 public:
  explicit ManyReads(Machine& machine) : machine_(machine) { Ask(); }
  // From now on an answer is one too many.
  void Stop() { stopped_ = true; }
  int answered() const { return answered_; }

 private:
  void Ask() {
    machine_.WaitReadable([this](const Status& status) {
      if (stopped_) return;
      answered_ += status.ok();
      Ask();
    });
  }

  Machine& machine_;
  int answered_ = 0;
  bool stopped_ = false;
};

// What a member sends is lost from one moment on; what others have sent it, answers to earlier
// questions among them, still comes. A read that begins then has no quorum.
TEST_P(SimulatedReads, AreNotAnsweredByWhatWasUnderWayBeforeACut) {
  for (const bool of_leader : {true, false}) {
    Cluster cluster(GetParam(), 3);
    cluster.StartAll();
    cluster.network().set_delay(milliseconds(1), milliseconds(60));
    Machine* machine = of_leader ? cluster.Leader() : cluster.Follower();
    ManyReads before(*machine);
    ASSERT_TRUE(cluster.Until([&] { return before.answered() > 5; }));
    cluster.world().RunFor(milliseconds(7 * GetParam()));
    for (int i = 0; i < cluster.size(); ++i)
      cluster.network().Cut(machine->host(), cluster[i].host());
    before.Stop();
    Read read;
    StartRead(*machine, "", read);
    ASSERT_TRUE(cluster.Until([&] { return read.status.has_value(); }));
    EXPECT_EQ(read.status->code(), StatusCode::kUnavailable)
        << *read.status << " though nobody heard " << (of_leader ? "the leader" : "the follower");
  }
}

// It may neither write nor be read like a voter, and does not yet find itself among the members.
TEST(SimulatedReadsOfOne, AMemberThatDoesNotFindItselfIsNoVoter) {
  Pair pair(1);
  pair.cluster().network().Cut(pair.old().host(), pair.joiner().host());
  ASSERT_EQ(pair.joiner().Start(), OkStatus());
  pair.cluster().world().RunFor(seconds(1));
  EXPECT_EQ(pair.joiner().applied(), 0) << "it has heard something";
  EXPECT_TRUE(pair.joiner().node().info().is_learner.load());
  pair.cluster().network().HealAll();
  pair.Join();
  EXPECT_TRUE(pair.joiner().node().info().is_learner.load());
  EXPECT_FALSE(pair.old().node().info().is_learner.load());
}

// The cluster's view and the data come to a loop by post; the index up to which entries are applied
// does not.
TEST(SimulatedReadsOfOne, AViewThatIsOnItsWayIsNotVisible) {
  Cluster cluster(1, 1);
  cluster.StartAll();
  cluster.LetFrontendsHear();
  server::Node& node = cluster[0].node();
  server::Frontend& frontend = node.frontend(0);
  // Of this batch nobody tells the loop.
  std::optional<Status> put;
  node.apply_executor().Post([&] {
    etcdserverpb::PutRequest request;
    request.set_key("k");
    auto done = [&](const state::ApplyResult& result) { put = result.status; };
    auto wait = node.frontend(2).Propose(state::Operation::kPut, request.SerializeAsString(), done);
    ASSERT_TRUE(wait.ok());
    std::move(*wait).Detach();
  });
  ASSERT_TRUE(cluster.Until([&] { return put.has_value(); }));
  EXPECT_TRUE(frontend.ReadableNow());
  node.info().views_shared.fetch_add(1);
  EXPECT_FALSE(frontend.ReadableNow());
  std::optional<Status> read;
  frontend.WaitReadable([&](const Status& status) { read = status; }).Detach();
  cluster.world().RunFor(milliseconds(10));
  EXPECT_FALSE(read.has_value());
  server::Published view;
  view.applied = Index(cluster[0].applied());
  view.cluster = frontend.cluster();
  frontend.OnPublished(std::move(view));
  EXPECT_TRUE(frontend.ReadableNow());
  EXPECT_EQ(read, OkStatus());
}

TEST(SimulatedReadsOfOne, TheRoundIsSavedOnlyWhileTheLogKnowsNobodyElse) {
  Cluster cluster(1, 1);
  cluster.StartAll();
  Machine& machine = cluster[0];
  const std::atomic<bool>& sole = machine.node().info().sole_member_leads;
  EXPECT_TRUE(cluster.Until([&] { return sole.load(); }));
  Machine& joiner = cluster.AddMachine();  // never started
  SlowDownApply(machine, milliseconds(100));
  std::optional<Status> added;
  StartChange(machine, AddLearner(joiner), added);
  cluster.world().RunFor(milliseconds(10));
  EXPECT_FALSE(added.has_value());
  EXPECT_FALSE(sole.load()) << "the change is in the log";
  ASSERT_TRUE(cluster.Until([&] { return added.has_value(); }));
  EXPECT_EQ(*added, OkStatus());
  EXPECT_FALSE(sole.load()) << "there is a learner";
  EXPECT_EQ(cluster.WaitReadable(machine), OkStatus()) << "of which it needs no answer";
  EXPECT_EQ(cluster.ChangeMembers(machine, Remove(kJoiner)), OkStatus());
  EXPECT_TRUE(cluster.Until([&] { return sole.load(); }));
}

}  // namespace
}  // namespace quoin::sim
