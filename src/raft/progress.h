// Progress: what a leader knows about one member's log, and how it therefore sends to it.
//
//   kProbe      nextIndex is a guess: one append per heartbeat interval until the follower agrees
//   to one kReplicate  the follower agrees: nextIndex moves as entries are sent, bounded by a
//   window kSnapshot   the follower needs entries that are gone: nothing is sent until it has the
//   snapshot
//
// Value type. Invariant: match < next.
#pragma once

#include <cstdint>
#include <map>

#include "base/strong_int.h"
#include "raft/inflights.h"

namespace quoin::raft {

struct Progress {
  enum class State : uint8_t { kProbe, kReplicate, kSnapshot };

  Index match;        // matchIndex: highest entry known to be replicated there
  Index next;         // nextIndex: the next entry to send
  Index sent_commit;  // highest commit index that it was told
  State state = State::kProbe;
  Index pending_snapshot;        // kSnapshot: the one on its way
  bool recently_active = false;  // heard from since the last quorum check
  bool active_before = false;    // … between that one and the one before
  bool paused = false;           // kProbe: waits for an answer; kReplicate: the window is full
  uint64_t probed_in = 0;        // the Ready that takes, or took, the last append
  bool learner = false;
  Inflights inflights;

  void BecomeProbe();
  void BecomeReplicate();
  void BecomeSnapshot(Index snapshot_index);

  // Right after a quorum check nobody has been heard from yet.
  bool Answers() const { return recently_active || active_before; }
  // Nothing with entries may be sent now.
  bool Paused() const { return state == State::kSnapshot || paused; }
  // An append of `count` entries from `next` leaves.
  void SentEntries(uint64_t count, size_t bytes);
  void SentCommit(Index commit) { sent_commit = commit; }
  // Would telling it `commit` tell it anything new?
  bool CanBumpCommit(Index commit) const { return commit > sent_commit && sent_commit < next - 1; }
  // It has everything up to `index`. False: that was known.
  bool MaybeUpdate(Index index);
  // It refused the append whose previous entry is `rejected`; `hint` is the highest index where the
  // logs may agree. False: the answer is out of date.
  bool MaybeDecrease(Index rejected, Index hint);

 private:
  void Reset(State to);
};

using ProgressMap = std::map<NodeId, Progress>;

}  // namespace quoin::raft
