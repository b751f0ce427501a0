#include "raft/configuration.h"

#include <algorithm>

#include "base/check.h"

namespace quoin::raft {
namespace {

Status Refused(const char* why) { return Status(StatusCode::kFailedPrecondition, why); }

void MakeVoter(Members& members, NodeId id, const ProgressDefaults& defaults) {
  Configuration& configuration = members.configuration;
  auto [at, added] = members.progress.try_emplace(id);
  if (added) at->second = NewProgress(defaults, /*learner=*/false);
  at->second.learner = false;
  configuration.learners.Erase(id);
  configuration.learners_next.Erase(id);
  configuration.voters.incoming.voters.Insert(id);
}

void MakeLearner(Members& members, NodeId id, const ProgressDefaults& defaults) {
  Configuration& configuration = members.configuration;
  auto [at, added] = members.progress.try_emplace(id);
  if (added) at->second = NewProgress(defaults, /*learner=*/true);
  if (configuration.learners.Contains(id)) return;
  configuration.voters.incoming.voters.Erase(id);
  configuration.learners_next.Erase(id);
  if (configuration.voters.outgoing.voters.Contains(id)) {
    configuration.learners_next.Insert(id);  // the outgoing half still counts its vote
  } else {
    at->second.learner = true;
    configuration.learners.Insert(id);
  }
}

void Remove(Members& members, NodeId id) {
  Configuration& configuration = members.configuration;
  configuration.voters.incoming.voters.Erase(id);
  configuration.learners.Erase(id);
  configuration.learners_next.Erase(id);
  if (!configuration.voters.outgoing.voters.Contains(id)) members.progress.erase(id);
}

Status ApplyEach(Members& members, std::span<const ConfChangeSingle> changes,
                 const ProgressDefaults& defaults) {
  for (const ConfChangeSingle& change : changes) {
    if (change.node_id.value() == 0) continue;  // how a change is made void when it is applied
    switch (change.type) {
      case ConfChangeType::kAddNode:
        MakeVoter(members, change.node_id, defaults);
        break;
      case ConfChangeType::kAddLearnerNode:
        MakeLearner(members, change.node_id, defaults);
        break;
      case ConfChangeType::kRemoveNode:
        Remove(members, change.node_id);
        break;
      case ConfChangeType::kUpdateNode:
        break;  // concerns addresses, not Raft
    }
  }
  if (members.configuration.voters.incoming.voters.empty()) return Refused("removed all voters");
  return OkStatus();
}

void CheckInvariants(const Members& members) {
  const Configuration& configuration = members.configuration;
  CHECK(Valid(configuration));
  CHECK_EQ(members.progress.size(),
           configuration.voters.All().size() + configuration.learners.size());
  for (const auto& [id, progress] : members.progress) {
    CHECK_EQ(progress.learner, configuration.learners.Contains(id)) << id;
  }
}

}  // namespace

bool Valid(const Configuration& configuration) {
  const NodeSet voters = configuration.voters.All();
  if (configuration.voters.incoming.voters.empty()) return false;
  if (voters.Contains(NodeId(0)) || configuration.learners.Contains(NodeId(0))) return false;
  for (NodeId id : configuration.learners) {
    if (voters.Contains(id)) return false;
  }
  for (NodeId id : configuration.learners_next) {
    if (!configuration.voters.outgoing.voters.Contains(id)) return false;
    if (configuration.voters.incoming.voters.Contains(id)) return false;
  }
  return configuration.joint() ||
         (configuration.learners_next.empty() && !configuration.auto_leave);
}

ConfState ToConfState(const Configuration& configuration) {
  return {.voters = configuration.voters.incoming.voters.ids(),
          .learners = configuration.learners.ids(),
          .voters_outgoing = configuration.voters.outgoing.voters.ids(),
          .learners_next = configuration.learners_next.ids(),
          .auto_leave = configuration.auto_leave};
}

Configuration FromConfState(const ConfState& state) {
  Configuration configuration;
  configuration.voters.incoming.voters = NodeSet(state.voters);
  configuration.voters.outgoing.voters = NodeSet(state.voters_outgoing);
  configuration.learners = NodeSet(state.learners);
  configuration.learners_next = NodeSet(state.learners_next);
  configuration.auto_leave = state.auto_leave;
  return configuration;
}

Progress NewProgress(const ProgressDefaults& defaults, bool learner) {
  Progress progress;
  progress.next = std::max(defaults.last_index, Index(1));
  progress.learner = learner;
  progress.inflights = Inflights(defaults.inflight_messages_max, defaults.inflight_bytes_max);
  // A newcomer counts as heard from, or the next quorum check could depose the leader for it.
  progress.recently_active = true;
  return progress;
}

Status ChangeSimple(Members& members, std::span<const ConfChangeSingle> changes,
                    const ProgressDefaults& defaults) {
  if (members.configuration.joint()) {
    return Refused("can't apply simple config change in joint config");
  }
  Members changed = members;
  RETURN_IF_ERROR(ApplyEach(changed, changes, defaults));
  // One server at a time: then "any majority of the old cluster overlaps with any majority of the
  // new": §4.1.
  if (SymmetricDifference(members.configuration.voters.incoming.voters,
                          changed.configuration.voters.incoming.voters) > 1) {
    return Refused("more than one voter changed without entering joint config");
  }
  CheckInvariants(changed);
  members = std::move(changed);
  return OkStatus();
}

Status EnterJoint(Members& members, std::span<const ConfChangeSingle> changes, bool auto_leave,
                  const ProgressDefaults& defaults) {
  if (members.configuration.joint()) return Refused("config is already joint");
  if (members.configuration.voters.incoming.voters.empty()) {
    return Refused("can't make a zero-voter config joint");
  }
  Members changed = members;
  changed.configuration.voters.outgoing = changed.configuration.voters.incoming;
  RETURN_IF_ERROR(ApplyEach(changed, changes, defaults));
  changed.configuration.auto_leave = auto_leave;
  CheckInvariants(changed);
  members = std::move(changed);
  return OkStatus();
}

Status LeaveJoint(Members& members) {
  Configuration& configuration = members.configuration;
  if (!configuration.joint()) return Refused("can't leave a non-joint config");
  for (NodeId id : configuration.learners_next) {
    configuration.learners.Insert(id);
    members.progress[id].learner = true;
  }
  configuration.learners_next.Clear();
  for (NodeId id : configuration.voters.outgoing.voters) {
    const bool stays =
        configuration.voters.incoming.voters.Contains(id) || configuration.learners.Contains(id);
    if (!stays) members.progress.erase(id);
  }
  configuration.voters.outgoing.voters.Clear();
  configuration.auto_leave = false;
  CheckInvariants(members);
  return OkStatus();
}

bool IsLeaveJoint(const ConfChangeV2& change) {
  return change.transition == ConfChangeTransition::kAuto && change.changes.empty();
}

Status Apply(Members& members, const ConfChangeV2& change, const ProgressDefaults& defaults) {
  if (IsLeaveJoint(change)) return LeaveJoint(members);
  if (change.transition != ConfChangeTransition::kAuto || change.changes.size() > 1) {
    const bool auto_leave = change.transition != ConfChangeTransition::kJointExplicit;
    return EnterJoint(members, change.changes, auto_leave, defaults);
  }
  return ChangeSimple(members, change.changes, defaults);
}

}  // namespace quoin::raft
