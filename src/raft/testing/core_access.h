// CoreAccess: the one door by which tests look into a Raft and turn what no server may turn.
//
// Thread: the owner of that Raft.
#pragma once

#include <algorithm>
#include <utility>

#include "raft/core.h"

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
};

}  // namespace quoin::raft::testing
