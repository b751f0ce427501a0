// NodeInfo: gauges of one member that any thread may read: for Status, metrics, health and
// admission.
//
// Thread: written by the loop named at each, read by all.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/limits.h"
#include "base/memory.h"
#include "base/metrics.h"

namespace quoin::server {

struct NodeInfo {
  // Set once before the loops start.
  uint64_t member_id = 0;
  uint64_t cluster_id = 0;

  // raft loop
  std::atomic<uint64_t> term{0};
  std::atomic<uint64_t> leader{0};
  // No other member has heard of a higher one: stored before the messages that tell it leave.
  std::atomic<uint64_t> commit_index{0};
  std::atomic<uint64_t> raft_log_bytes{0};  // of the entries in memory
  // As leader: the newest entry of the log that may grant or end a lease, committed or not. Stored
  // before the messages that carry it leave.
  std::atomic<uint64_t> lease_logged{0};
  std::atomic<bool> is_leader{false};
  // As leader: a quorum has answered what was sent at or after this moment of the member's clock
  // (ns), so that nobody else was elected before it.
  std::atomic<int64_t> lead_proved_at{INT64_MIN / 2};
  std::atomic<bool> is_learner{false};
  // This member leads, and its log knows no other member, unapplied changes included: nobody else
  // can have been elected, so a linearizable read needs no round. It still waits until what is
  // committed is applied. Cleared before any message leaves that could end this, and set after
  // commit_index.
  std::atomic<bool> sole_member_leads{false};

  // When the present leader was elected, on the member's clock, in ns; and since when the leader,
  // or on the leader a quorum, has been reachable without a break (INT64_MAX: it is not; peer
  // loop).
  std::atomic<int64_t> leader_elected_at{0};
  std::atomic<int64_t> connected_since{0};

  // I/O loops: how many watchers there are. None: batches carry no events.
  std::atomic<int64_t> watchers{0};

  // apply loop
  // Stored when the batch is visible in the store, and after all that it makes other loops know has
  // been posted to them.
  std::atomic<uint64_t> applied_index{0};
  // How many views (ClusterInfo, Data) have been posted to every frontend.
  std::atomic<uint64_t> views_shared{0};
  std::atomic<bool> capable{false};         // the cluster version is known
  std::atomic<uint64_t> images_awaited{0};  // clients that wait until others give theirs back

  // What clients' proposals hold until they are applied: those that wait (I/O loops) and the log
  // behind what is applied (raft loop). Above it proposals of clients are refused; the member's own
  // and those of leases are not.
  MemoryBudget unapplied{limits::kUnappliedBytesMax};

  Counter proposals_applied;
  Counter proposals_failed;
  Gauge proposals_pending;
  Counter leader_changes;
  Counter slow_applies;
  Counter read_indexes_failed;
  Counter slow_read_indexes;
  DurationHistogram wal_fsync{0.001, 14};
  DurationHistogram backend_commit{0.001, 14};
};

}  // namespace quoin::server
