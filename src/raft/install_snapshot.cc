// InstallSnapshot: §7 (thesis §5): for members whose next entry is gone from the leader's log.
#include <utility>

#include "base/check.h"
#include "raft/core.h"

namespace quoin::raft {

bool Core::MaybeSendSnapshot(NodeId to, Progress& progress) {
  // To a member that does not answer it would be sent again and again.
  if (!progress.recently_active || offered_snapshot_.empty()) return false;
  CHECK_GE(offered_snapshot_.metadata.index + 1, log_.first_index()) << "the snapshot leaves a gap";
  progress.BecomeSnapshot(offered_snapshot_.metadata.index);
  Send({.type = MessageType::kSnap, .to = to, .snapshot = offered_snapshot_});
  return true;
}

StepResult Core::OnInstallSnapshot(Message& request) {
  if (!AcceptLeader(request)) return StepResult::kRefused;
  const bool restored = Restore(std::move(request.snapshot));
  Send({.type = MessageType::kAppResp,
        .to = request.from,
        .index = restored ? log_.last_index() : log_.committed()});
  return StepResult::kAccepted;
}

// True when the snapshot replaces our log; it goes to the caller with the next Ready.
bool Core::Restore(Snapshot snapshot) {
  const SnapshotMetadata& metadata = snapshot.metadata;
  if (metadata.index <= log_.committed()) return false;
  Members members;
  members.configuration = FromConfState(metadata.conf_state);
  const JointQuorum& voters = members.configuration.voters;
  // It was made before we were added; a later one will come.
  if (!voters.Contains(self()) && !members.configuration.learners.Contains(self())) return false;
  // "If existing log entry has same index and term as snapshot's last included entry, retain log
  // entries following it": figure 13. All of it up to there is then committed.
  if (log_.Matches({metadata.term, metadata.index})) {
    log_.CommitTo(metadata.index);
    return false;
  }
  // "Discard the entire log": figure 13.
  log_.Restore({metadata.term, metadata.index});
  ForgetDurabilityFrom(Index(0));
  for (NodeId id : voters.All()) members.progress[id] = NewProgress(Defaults(), /*learner=*/false);
  for (NodeId id : members.configuration.learners) {
    members.progress[id] = NewProgress(Defaults(), /*learner=*/true);
  }
  if (!members_until_installed_.has_value()) members_until_installed_ = members_;
  AdoptMembers(std::move(members));
  offered_snapshot_ = snapshot;
  snapshot_to_install_ = std::move(snapshot);
  return true;
}

void Core::ReportUnreachable(NodeId id) {
  Progress* progress = FindProgress(id);
  if (!IsLeader() || id == self() || progress == nullptr) return;
  // What was sent ahead was probably lost.
  if (progress->state == Progress::State::kReplicate) progress->BecomeProbe();
}

void Core::ReportSnapshot(NodeId id, bool ok) {
  Progress* progress = FindProgress(id);
  if (!IsLeader() || progress == nullptr || progress->state != Progress::State::kSnapshot) return;
  if (!ok) progress->pending_snapshot = Index(0);
  progress->BecomeProbe();
  // Sent: its response comes first. Failed: not again before the next heartbeat.
  progress->paused = true;
}

}  // namespace quoin::raft
