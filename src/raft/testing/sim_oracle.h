// SimOracle: knows everything about a simulated cluster and says when Raft's promises are broken.
// The names R1 … R14 of the promises stand in docs/design/0005-raft.md.
//
// Thread: one.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "raft/testing/sim_member.h"

namespace quoin::raft::testing {

class SimOracle {
 public:
  using MemberMap = std::map<NodeId, std::unique_ptr<SimMember>>;
  explicit SimOracle(const MemberMap& members) : members_(members) {}

  // The first broken promise; nothing is checked after it.
  const std::optional<std::string>& failure() const { return failure_; }
  void Fail(const std::string& what);

  void Started(const SimMember& member);
  void TookReady(const SimMember& member, const Ready& ready);
  void Promises(const SimMember& member, const Message& message);
  void Leaves(const SimMember& member, const Message& message);
  void Delivered(const SimMember& member, const Message& message);
  // `after`: what that write allows to leave.
  void WriteFinished(const SimMember& member, const std::vector<Message>& after);
  void AppliedEntry(const SimMember& member);
  void Ticked(const SimMember& member);
  void TransferAsked(const SimMember& member);
  void ReadAsked(const std::string& context);
  void ProposedConfChange(const SimMember& member);
  // After whatever was done to the member.
  void Check(const SimMember& member);

  Index max_committed() const { return max_committed_; }
  const std::map<Index, ConfState>& configurations() const { return configurations_; }

 private:
  struct Seen {  // of a member since its last start
    Term term;
    NodeId vote;
    Role role = Role::kFollower;
    Index commit;
    Index applied;
    Index last_index;
    uint64_t ticks = 0;
    std::map<NodeId, uint64_t> heard;  // by a leader: in which tick of its own
  };
  struct LogCell {
    uint64_t hash = 0;
    Term previous;
  };

  void CheckMonotonic(const SimMember& member, const Seen& before, const RaftStatus& now);
  void CheckCommit(const SimMember& member, const Seen& before, const RaftStatus& now);
  void CheckCommitByLeader(const SimMember& member, const RaftStatus& now);
  void CheckNewLeader(const SimMember& member, const RaftStatus& now, Seen& seen);
  void CheckRole(const SimMember& member, const Seen& before, const RaftStatus& now);
  void CheckBounds(const SimMember& member);
  bool HasConfChange(const SimMember& member, Index after, Index to) const;

  const MemberMap& members_;
  std::optional<std::string> failure_;
  std::map<NodeId, Seen> seen_;
  std::map<Term, NodeId> leaders_;
  std::map<std::pair<NodeId, Term>, NodeId> granted_;        // votes that left
  std::map<std::pair<NodeId, Term>, NodeId> durable_votes_;  // votes that were written
  std::map<NodeId, Term> durable_terms_;
  std::map<std::pair<Index, Term>, LogCell> cells_;  // every entry that ever was
  std::map<Index, std::pair<Term, uint64_t>> committed_;
  std::map<Index, uint64_t> states_;
  std::map<Index, ConfState> configurations_;
  std::map<std::string, Index> reads_;  // what each may not be behind of
  Index max_committed_;
};

}  // namespace quoin::raft::testing
