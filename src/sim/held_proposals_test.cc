// Proposals that wait in the raft loop: what may be said through one leader only never goes out
// through another one.

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "env/sim/sim_world.h"
#include "server/raft_loop.h"
#include "sim/testing/cluster.h"
#include "state/command.h"

namespace quoin::sim {
namespace {

using raft::MessageType;
using testing::Cluster;

// In one turn of its raft loop a member is elected, takes the end of a lease behind a proposal that
// has waited for a leader, and hears of the next leader.
TEST(HeldProposals, AreLookedAtAgainWhenTheyGoOut) {
  Cluster cluster(1, 3);
  cluster.StartAll();
  Machine& member = *cluster.Follower();
  std::vector<NodeId> others;
  for (int i = 0; i < cluster.size(); ++i) {
    if (&cluster[i] == &member) continue;
    others.emplace_back(cluster[i].id());
    cluster.network().Cut(member.host(), cluster[i].host());
    cluster.network().Cut(cluster[i].host(), member.host());
  }
  server::RaftLoop& loop = member.node().raft_loop();
  ASSERT_TRUE(cluster.Until([&] { return loop.status().role == raft::Role::kPreCandidate; }));
  const uint64_t failed = member.node().info().proposals_failed.value();

  member.node().raft_executor().Post([&] {
    auto proposal = [&](Term as_leader_of) {
      const uint64_t id = member.node().frontend(0).TakeId();
      return server::Proposal{id, state::EncodeCommand(id, state::Operation::kPut, ""),
                              as_leader_of};
    };
    auto propose = [&](Term as_leader_of) {
      std::vector<server::Proposal> batch;
      batch.push_back(proposal(as_leader_of));
      loop.OnProposals(0, std::move(batch));
    };
    auto hear = [&](MessageType type, NodeId from, Term term) {
      loop.OnMessages({{.type = type, .to = NodeId(member.id()), .from = from, .term = term}});
    };
    ASSERT_EQ(loop.status().role, raft::Role::kPreCandidate);
    const Term term = loop.status().term + 1;
    propose(Term());
    for (NodeId other : others) hear(MessageType::kPreVoteResp, other, term);
    for (NodeId other : others) hear(MessageType::kVoteResp, other, term);
    ASSERT_EQ(loop.status().role, raft::Role::kLeader);
    propose(term);
    hear(MessageType::kHeartbeat, others[0], term + 1);
    ASSERT_EQ(loop.status().leader, others[0]);
  });
  cluster.world().RunFor(std::chrono::milliseconds(20));
  EXPECT_EQ(member.node().info().proposals_failed.value(), failed + 1)
      << "the end of a lease went to a leader that may have renewed it";
}

}  // namespace
}  // namespace quoin::sim
