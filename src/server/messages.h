// What crosses between the loops of one member: plain structs, moved. Nothing else is shared but
// the tree, the key index (both readable by anyone) and the gauges of node_info.h.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/shared_bytes.h"
#include "base/strong_int.h"
#include "cluster/membership.h"
#include "raft_types/types.h"
#include "server/data.h"
#include "state/state_machine.h"
#include "watch/events.h"

namespace quoin::server {

// I/O loop → raft loop. All that one turn gathered travels together.
struct Proposal {
  uint64_t request_id = 0;
  SharedBytes data;
  Term as_leader_of;  // not 0: only if this member is the leader of that term
};

// apply loop → I/O loop: the answer to one proposal.
struct Completion {
  uint64_t request_id = 0;
  state::ApplyResult result;
};

// What changes seldom and everyone may want to know. Immutable once shared.
struct ClusterInfo {
  std::vector<cluster::Member> members;  // ascending ids
  std::set<uint64_t> removed;            // ids that must not come back
  std::string cluster_version;           // empty while undecided
  std::string storage_version;
  cluster::Downgrade downgrade;
  std::vector<state::StateMachine::Alarm> alarms;
  bool auth_enabled = false;
};

// apply loop → each I/O loop, after a batch has become visible, where somebody waits for it; and
// with every new view (`cluster`, `data`), where nobody waits too.
struct Published {
  Index applied;
  std::vector<Completion> completions;
  std::shared_ptr<const ClusterInfo> cluster;  // set when it changed
  std::shared_ptr<Data> data;                  // set when a leader's snapshot replaced all state
  int64_t revision = 0;                        // the store's
  // What brought the store there; null when nobody watched, or nothing changed.
  std::shared_ptr<const watch::Batch> events;
};

// raft loop → I/O loop: reads that asked with `id` may be answered once `index` is applied.
struct ReadReady {
  uint64_t id = 0;
  Index index;
  Status status;  // not OK: it will not be confirmed
};

}  // namespace quoin::server
