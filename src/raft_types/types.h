// Raft's plain data: what is logged, persisted and sent. Names and numbers follow etcd's raftpb.
//
// Value types.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/shared_bytes.h"
#include "base/strong_int.h"

namespace quoin::raft {

enum class EntryType : uint8_t { kNormal = 0, kConfChange = 1, kConfChangeV2 = 2 };

struct Entry {
  Term term;
  Index index;
  EntryType type = EntryType::kNormal;
  SharedBytes data;
  friend bool operator==(const Entry&, const Entry&) = default;
};

// What a vote and a term bind us to; must be durable before anyone hears of it (§3.8).
struct HardState {
  Term term;
  NodeId vote;  // 0 = none
  Index commit;
  bool empty() const { return *this == HardState(); }
  friend bool operator==(const HardState&, const HardState&) = default;
};

// A configuration; ids ascending. voters_outgoing is non-empty while joint (§4.3).
struct ConfState {
  std::vector<NodeId> voters;
  std::vector<NodeId> learners;
  std::vector<NodeId> voters_outgoing;
  std::vector<NodeId> learners_next;
  bool auto_leave = false;
  friend bool operator==(const ConfState&, const ConfState&) = default;
};

struct SnapshotMetadata {
  ConfState conf_state;
  Index index;
  Term term;
  friend bool operator==(const SnapshotMetadata&, const SnapshotMetadata&) = default;
};

struct Snapshot {
  SharedBytes data;
  SnapshotMetadata metadata;
  bool empty() const { return metadata.index.value() == 0; }
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

enum class ConfChangeType : uint8_t {
  kAddNode = 0,
  kRemoveNode = 1,
  kUpdateNode = 2,
  kAddLearnerNode = 3
};

// raftpb.ConfChange (v1): the only form that etcd proposes.
struct ConfChange {
  uint64_t id = 0;
  ConfChangeType type = ConfChangeType::kAddNode;
  NodeId node_id;
  std::string context;
  friend bool operator==(const ConfChange&, const ConfChange&) = default;
};

enum class ConfChangeTransition : uint8_t { kAuto = 0, kJointImplicit = 1, kJointExplicit = 2 };

struct ConfChangeSingle {
  ConfChangeType type = ConfChangeType::kAddNode;
  NodeId node_id;
  friend bool operator==(const ConfChangeSingle&, const ConfChangeSingle&) = default;
};

struct ConfChangeV2 {
  ConfChangeTransition transition = ConfChangeTransition::kAuto;
  std::vector<ConfChangeSingle> changes;
  std::string context;
  friend bool operator==(const ConfChangeV2&, const ConfChangeV2&) = default;
};

enum class MessageType : uint8_t {
  kHup = 0,
  kBeat = 1,
  kProp = 2,
  kApp = 3,
  kAppResp = 4,
  kVote = 5,
  kVoteResp = 6,
  kSnap = 7,
  kHeartbeat = 8,
  kHeartbeatResp = 9,
  kUnreachable = 10,
  kSnapStatus = 11,
  kCheckQuorum = 12,
  kTransferLeader = 13,
  kTimeoutNow = 14,
  kReadIndex = 15,
  kReadIndexResp = 16,
  kPreVote = 17,
  kPreVoteResp = 18,
  kStorageAppend = 19,
  kStorageAppendResp = 20,
  kStorageApply = 21,
  kStorageApplyResp = 22,
  kForgetLeader = 23,
};

struct Message {
  MessageType type = MessageType::kHup;
  NodeId to;
  NodeId from;
  Term term;
  Term log_term;
  Index index;
  std::vector<Entry> entries;
  Index commit;
  NodeId vote;
  Snapshot snapshot;
  bool reject = false;
  Index reject_hint;
  std::string context;
  friend bool operator==(const Message&, const Message&) = default;
};

}  // namespace quoin::raft
