// Configuration: who belongs to the cluster and in what part (§4), and the ways from one to
// another.
//
// Value types.
#pragma once

#include <span>

#include "base/status.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft_types/types.h"

namespace quoin::raft {

// Invariants: no id is voter and learner at once; learners_next holds outgoing voters only, and
// only while joint.
struct Configuration {
  JointQuorum voters;
  NodeSet learners;  // get entries, neither vote nor count
  NodeSet
      learners_next;  // demoted, but still voters of the outgoing half: learners once that is left
  bool auto_leave = false;

  bool joint() const { return voters.joint(); }
  friend bool operator==(const Configuration&, const Configuration&) = default;
};

// The invariants hold, there are voters, and no id is 0.
bool Valid(const Configuration& configuration);

ConfState ToConfState(const Configuration& configuration);
Configuration FromConfState(const ConfState& state);

// A configuration with a Progress for each of its members.
struct Members {
  Configuration configuration;
  ProgressMap progress;
};

// Decides how members that join start out.
struct ProgressDefaults {
  Index last_index;
  size_t inflight_messages_max = 0;
  size_t inflight_bytes_max = 0;
};

Progress NewProgress(const ProgressDefaults& defaults, bool learner);

// The three ways from one configuration to the next. An error leaves `members` as it was.
Status ChangeSimple(Members& members, std::span<const ConfChangeSingle> changes,
                    const ProgressDefaults& defaults);
Status EnterJoint(Members& members, std::span<const ConfChangeSingle> changes, bool auto_leave,
                  const ProgressDefaults& defaults);
Status LeaveJoint(Members& members);
// Picks the way that `change` asks for.
Status Apply(Members& members, const ConfChangeV2& change, const ProgressDefaults& defaults);

// A change without changes asks to leave the joint configuration.
bool IsLeaveJoint(const ConfChangeV2& change);

}  // namespace quoin::raft
