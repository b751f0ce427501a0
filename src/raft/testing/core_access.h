// CoreAccess: the one door by which tests look into a Raft and turn what no server may turn.
//
// Thread: the owner of that Raft.
#pragma once

#include <algorithm>
#include <utility>

#include "raft/core.h"
#include "raft_types/codec.h"

namespace quoin::raft::testing {

class CoreAccess {
 public:
  static const Log& log(const Raft& raft) { return raft.core_->log_; }
  static const Members& members(const Raft& raft) { return raft.core_->members_; }
  static HardState hard_state(const Raft& raft) { return raft.core_->CurrentHardState(); }
  static size_t uncommitted_bytes(const Raft& raft) { return raft.core_->uncommitted_bytes_; }
  static Index pending_conf_index(const Raft& raft) { return raft.core_->pending_conf_index_; }

  // Messages to itself appear in Ready::after_persist and come back by Deliver.
  static void ExposeMessagesToSelf(Raft& raft) { raft.core_->expose_messages_to_self_ = true; }
  static void Deliver(Raft& raft, Message message) { raft.core_->Dispatch(message); }
  static void OfferSnapshot(Raft& raft, Snapshot snapshot) {
    raft.core_->offered_snapshot_ = std::move(snapshot);
  }
  static void SetElectionTimeout(Raft& raft, int ticks) {
    raft.core_->election_timeout_ticks_ = ticks;
  }

  // The mistake of figure 8: commits what a majority has, whatever its term.
  static void CommitByCountingAnyTerm(Raft& raft) {
    Core& core = *raft.core_;
    if (!core.IsLeader()) return;
    const uint64_t agreed =
        core.members_.configuration.voters.Agreed([&](NodeId id) -> std::optional<uint64_t> {
          const Progress* progress = core.FindProgress(id);
          if (progress == nullptr) return std::nullopt;
          return progress->match.value();
        });
    if (agreed != kEverything) core.log_.CommitTo(std::min(Index(agreed), core.log_.last_index()));
  }
  // A joint configuration decides by its incoming half alone.
  static void CommitByOneHalf(Raft& raft) {
    Core& core = *raft.core_;
    if (!core.IsLeader() || !core.members_.configuration.joint()) return;
    const uint64_t agreed = core.members_.configuration.voters.incoming.Agreed(
        [&](NodeId id) -> std::optional<uint64_t> {
          const Progress* progress = core.FindProgress(id);
          if (progress == nullptr) return std::nullopt;
          return progress->match.value();
        });
    if (agreed == kEverything || Index(agreed) <= core.log_.committed()) return;
    const Index index = std::min(Index(agreed), core.log_.last_index());
    if (core.log_.TermAt(index) == core.term_) core.log_.CommitTo(index);
  }
  // A leader takes its reads for confirmed, whether anybody has heard of it or not.
  static void AnswerReadsUnasked(Raft& raft) {
    Core& core = *raft.core_;
    if (!core.IsLeader()) return;
    for (NodeId id : core.members_.configuration.voters.All())
      core.reads_.Acknowledge(id, core.reads_.count());
    core.AnswerConfirmedReads();
  }
  // A leader confirms reads while it does not know yet what its predecessors committed.
  static void StartReadsBeforeOwnTerm(Raft& raft) {
    Core& core = *raft.core_;
    if (!core.IsLeader()) return;
    for (PendingRead& read : std::exchange(core.postponed_reads_, {})) {
      core.reads_.Add(std::move(read), core.self());
      core.read_round_due_ = true;
    }
  }
  // A member takes what it has applied for enough.
  static void AnswerReadsAtApplied(Raft& raft) {
    Core& core = *raft.core_;
    for (ReadState& read : core.read_states_)
      read.index = std::min(read.index, core.log_.applied());
  }
  // A candidate asks `removed`, too, and counts their votes as anybody's.
  static void AskForVotes(Raft& raft, const NodeSet& removed) {
    Core& core = *raft.core_;
    const EntryId last = core.log_.last();
    for (NodeId id : removed)
      core.Send({.type = MessageType::kVote,
                 .to = id,
                 .term = core.term_,
                 .log_term = last.term,
                 .index = last.index});
  }
  static void CountAllVotes(Raft& raft) {
    Core& core = *raft.core_;
    if (core.role_ != Role::kCandidate || !core.votes_.contains(core.self())) return;
    size_t granted = 0;
    for (const auto& [id, vote] : core.votes_) granted += vote;
    if (granted <= core.members_.configuration.voters.incoming.voters.size() / 2) return;
    core.BecomeLeader();
    core.BroadcastAppend();
  }
  // Takes on the changes behind `from` that are in the log, applied or not; returns where it ends.
  static Index AdoptAtAppend(Raft& raft, Index from) {
    Core& core = *raft.core_;
    const Index last = core.log_.last_index();
    for (Index i = std::max(from, core.log_.applied()) + 1; i <= last; ++i) {
      const Entry& entry = core.log_.At(i);
      if (entry.type != EntryType::kConfChange) continue;
      StatusOr<ConfChange> change = DecodeConfChange(entry.data.view());
      Members members = core.members_;
      if (change.ok() && Apply(members, AsV2(*change), core.Defaults()).ok())
        core.AdoptMembers(std::move(members));
    }
    return last;
  }
};

}  // namespace quoin::raft::testing
