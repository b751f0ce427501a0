#include "raft/progress.h"

#include <algorithm>

#include "base/check.h"

namespace quoin::raft {

void Progress::Reset(State to) {
  paused = false;
  pending_snapshot = Index(0);
  state = to;
  inflights.Clear();
}

void Progress::BecomeProbe() {
  // After a snapshot was sent, the follower has it or will ask again: probe behind it.
  const Index behind_snapshot = state == State::kSnapshot ? pending_snapshot + 1 : Index(0);
  Reset(State::kProbe);
  next = std::max(match + 1, behind_snapshot);
  sent_commit = std::min(sent_commit, next - 1);
}

void Progress::BecomeReplicate() {
  Reset(State::kReplicate);
  next = match + 1;
}

void Progress::BecomeSnapshot(Index snapshot_index) {
  Reset(State::kSnapshot);
  pending_snapshot = snapshot_index;
  next = snapshot_index + 1;
  sent_commit = snapshot_index;
}

void Progress::SentEntries(uint64_t count, size_t bytes) {
  CHECK(state != State::kSnapshot);
  if (state == State::kProbe) {
    if (count > 0) paused = true;
    return;
  }
  if (count > 0) {
    next += count;
    inflights.Add(next - 1, bytes);
  }
  paused = inflights.Full();
}

bool Progress::MaybeUpdate(Index index) {
  if (index <= match) return false;
  match = index;
  next = std::max(next, index + 1);
  paused = false;
  return true;
}

bool Progress::MaybeDecrease(Index rejected, Index hint) {
  // An old answer, or that of a member which denies what it has said: asked again at once, it would
  // deny for ever.
  if (rejected <= match) return false;
  if (state == State::kReplicate) {
    next = match + 1;
  } else {
    if (next - 1 != rejected) return false;  // not the answer to the last probe
    next = std::max(std::min(rejected, hint + 1), match + 1);
    paused = false;
  }
  sent_commit = std::min(sent_commit, next - 1);
  CHECK_LT(match, next);
  return true;
}

}  // namespace quoin::raft
