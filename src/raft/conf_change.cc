// Configuration changes: §4. A change takes effect when it is applied (not, as in the paper, when
// it is appended), which is why only one may be unapplied at a time and why nobody campaigns with
// an unapplied one.
#include <utility>

#include "base/check.h"
#include "raft/core.h"
#include "raft_types/codec.h"

namespace quoin::raft {

// What becomes of a change that is proposed here and now.
Core::ConfChangeVerdict Core::JudgeConfChange(const Entry& entry) const {
  if (entry.type == EntryType::kNormal) return ConfChangeVerdict::kProceed;
  ConfChangeV2 change;
  if (entry.type == EntryType::kConfChange) {
    StatusOr<ConfChange> decoded = DecodeConfChange(entry.data.view());
    if (!decoded.ok()) return ConfChangeVerdict::kMalformed;
    change = AsV2(*decoded);
  } else {
    StatusOr<ConfChangeV2> decoded = DecodeConfChangeV2(entry.data.view());
    if (!decoded.ok()) return ConfChangeVerdict::kMalformed;
    change = *std::move(decoded);
  }
  if (config_.disable_conf_change_validation) return ConfChangeVerdict::kProceed;
  const bool joint = members_.configuration.joint();
  const bool leaves_joint = change.changes.empty();
  const bool earlier_unapplied = pending_conf_index_ > log_.applied();
  if (earlier_unapplied || joint != leaves_joint) return ConfChangeVerdict::kReplaceByNothing;
  return ConfChangeVerdict::kProceed;
}

ConfState Core::ConfChangeApplied(Index index, const std::optional<ConfChangeV2>& change) {
  CHECK_LE(index, log_.applying()) << "a configuration change that was not handed out";
  if (log_.HasPendingSnapshot()) {
    // Handed out before the snapshot replaced the log. It still counts for the state machine that
    // it is applied to, but our configuration is the snapshot's.
    CHECK(members_until_installed_.has_value());
    if (change.has_value()) (void)Apply(*members_until_installed_, *change, Defaults());
    return ToConfState(members_until_installed_->configuration);
  }
  if (change.has_value()) {
    Members members = members_;
    // A change that the configuration does not allow is void, on every member alike.
    if (Apply(members, *change, Defaults()).ok()) AdoptMembers(std::move(members));
  }
  MaybeLeaveJoint();
  return ToConfState(members_.configuration);
}

void Core::AdoptMembers(Members members) {
  members_ = std::move(members);
  if (!IsLeader()) return;
  const Progress* own = FindProgress(self());
  if (own == nullptr || own->learner) {
    // "A leader that is removed from the configuration steps down once the Cnew entry is committed"
    // (§4.2.2). By default it goes on until another is elected: the rest may not have a leader
    // sooner otherwise.
    if (config_.step_down_on_removal) BecomeFollower(term_, NodeId(0));
    return;
  }
  if (members_.configuration.voters.incoming.voters.empty()) return;
  // A smaller quorum may have decided already.
  if (MaybeCommit()) {
    StartPostponedReads();
    BroadcastAppend();
  } else {
    for (auto& [id, progress] : members_.progress) {
      if (id != self()) MaybeSendAppend(id, progress, EmptyAppend::kOmit);
    }
  }
  AnswerConfirmedReads();
  if (transferee_.value() != 0 && !members_.configuration.voters.Contains(transferee_)) {
    transferee_ = NodeId(0);
  }
}

// Once the joint configuration is applied, the leader proposes to leave it if that was asked for:
// §4.3.
void Core::MaybeLeaveJoint() {
  if (!IsLeader() || !members_.configuration.auto_leave) return;
  if (log_.applied() < pending_conf_index_) return;
  // Empty data is the change that leaves; it is never refused for its size. If it is refused
  // because of a transfer, the next Applied tries again.
  (void)ProposeAsLeader({{.type = EntryType::kConfChangeV2}});
}

// A member that a committed change adds may apply it, and act by it, before this one does: so an
// unapplied change counts as another member.
bool Core::SoleMember() const {
  const Configuration& configuration = members_.configuration;
  return IsLeader() && !configuration.joint() && configuration.learners.empty() &&
         configuration.learners_next.empty() && configuration.voters.incoming.voters.size() == 1 &&
         configuration.voters.Contains(self()) && pending_conf_index_ <= log_.applied();
}

ConfChangeV2 AsV2(const ConfChange& change) {
  ConfChangeV2 v2;
  v2.changes.push_back({change.type, change.node_id});
  v2.context = change.context;
  return v2;
}

}  // namespace quoin::raft
