// ReadQueue: a leader's reads that wait for the proof that it still was leader after they arrived
// (§6.4).
//
// Reads are numbered 1, 2, … in the order they came. A heartbeat carries the number of the newest
// one; a follower's echo acknowledges every read up to that number, and a quorum of echoes proves
// them all at once.
//
// Value type; owned by Core, fresh for each term.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/strong_int.h"
#include "raft/quorum.h"

namespace quoin::raft {

// Reads that wait, over both queues of a leader; more are dropped.
inline constexpr size_t kWaitingReadsMax = 1 << 16;

struct PendingRead {
  NodeId from;          // who asked: this member or a follower
  std::string context;  // its request id
  Index index;          // the commit index when it arrived
};

class ReadQueue {
 public:
  void Add(PendingRead read, NodeId self);
  // A member echoed `count`. An echo of reads that do not exist yet is not ours and ignored.
  void Acknowledge(NodeId from, uint64_t count);
  // Removes and returns what a quorum has confirmed, oldest first.
  std::vector<PendingRead> TakeConfirmed(const JointQuorum& voters);
  bool empty() const { return waiting_.empty(); }
  size_t size() const { return waiting_.size(); }
  uint64_t count() const { return count_; }

 private:
  uint64_t count_ = 0;  // reads since this leadership began; the newest one's number
  std::deque<PendingRead> waiting_;
  std::map<NodeId, uint64_t> acknowledged_;
};

// A heartbeat's context: the count as 8 bytes, little endian. What is shorter was not made by us.
std::string EncodeReadContext(uint64_t count);
std::optional<uint64_t> DecodeReadContext(std::string_view context);

}  // namespace quoin::raft
