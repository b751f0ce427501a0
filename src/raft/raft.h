// Raft: the consensus protocol of one member, as a pure state machine.
//
// Inputs are the methods below; each advances the state and returns at once. The only output is TakeReady(). There is
// no I/O, no clock, no thread and no log: what does not apply is answered by an enum.
//
// Thread:     one owner (the raft loop); not safe for concurrent use.
// Reference:  Ongaro, "Consensus: Bridging Theory and Practice" (the thesis); § marks in the sources.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/strong_int.h"
#include "raft_types/types.h"

namespace quoin::raft {

using PersistId = StrongInt<struct PersistIdTag, uint64_t>;

enum class ReadOnlyMode : uint8_t { kSafe, kLeaseBased };

struct Config {
  NodeId id;
  int election_ticks = 10;
  int heartbeat_ticks = 1;
  size_t message_bytes_max = 1 << 20;
  size_t inflight_messages_max = 512;
  size_t inflight_bytes_max = SIZE_MAX;
  size_t uncommitted_bytes_max = SIZE_MAX;
  size_t committed_bytes_per_ready_max = 64 << 20;
  bool check_quorum = true;
  bool pre_vote = true;
  bool step_down_on_removal = false;
  bool disable_proposal_forwarding = false;
  bool disable_conf_change_validation = false;
  ReadOnlyMode read_only = ReadOnlyMode::kSafe;
  bool apply_unstable = false;  // hand out committed entries that are not yet durable here; off in the server
};

// What the WAL and the data file gave back.
struct RecoveredState {
  HardState hard_state;
  SnapshotMetadata snapshot;      // the log starts after it; conf_state = configuration at `applied`
  std::vector<Entry> entries;     // after snapshot.index, durable
  Index applied;                  // the data file's applied index
};

enum class StepResult : uint8_t { kAccepted, kDropped, kUnknownPeer, kRefused };
enum class ProposeResult : uint8_t { kAccepted, kForwarded, kNoLeader, kDroppedTransfer, kDroppedFull, kDroppedRemoved };

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };

struct SoftState {
  NodeId leader;  // 0 = unknown
  Role role = Role::kFollower;
  friend bool operator==(const SoftState&, const SoftState&) = default;
};

// A read may be answered once `index` is applied (§6.4).
struct ReadState {
  Index index;
  std::string context;  // the caller's request id
};

// Work to do. Order: persist {entries, hard_state, snapshot}; messages may leave at once (thesis §10.2.1);
// after_persist may leave only after Persisted(persist_id).
struct Ready {
  PersistId persist_id;  // strictly increasing where something is to be persisted; 0 = nothing is
  std::optional<SoftState> soft_state;    // when changed
  std::optional<HardState> hard_state;    // when changed
  bool must_sync = false;                 // false: only the commit index moved
  std::vector<Entry> entries;             // to append (an index already in the log replaces it and all after it)
  std::optional<Snapshot> snapshot;       // to install
  std::vector<Entry> committed;           // to apply, in order
  std::vector<Message> messages;
  std::vector<Message> after_persist;
  std::vector<ReadState> read_states;
};

struct ProgressStatus {
  NodeId id;
  Index match;
  Index next;
  bool learner = false;
  bool recently_active = false;
};

struct RaftStatus {
  NodeId id;
  Term term;
  NodeId vote;
  NodeId leader;
  Role role = Role::kFollower;
  Index commit, applied, last_index;
  ConfState conf_state;
  std::vector<ProgressStatus> progress;  // on the leader
};

class Raft {
 public:
  // `seed` decides election jitter and nothing else.
  Raft(const Config& config, RecoveredState recovered, uint64_t seed);
  ~Raft();
  Raft(Raft&&) noexcept;

  void Tick();                               // one unit of logical time
  void Campaign();                           // start an election now (a lone voter at start)
  StepResult Step(Message message);          // a peer's message
  [[nodiscard]] ProposeResult Propose(std::vector<SharedBytes> requests);
  [[nodiscard]] ProposeResult ProposeConfChange(const ConfChange& change);
  [[nodiscard]] ProposeResult ProposeConfChangeV2(const ConfChangeV2& change);
  // A committed configuration change was applied (nullopt = it was found invalid and is a no-op). Returns the
  // configuration from then on.
  ConfState ConfChangeApplied(Index index, const std::optional<ConfChangeV2>& change);
  [[nodiscard]] ProposeResult ReadIndex(std::string context);
  void TransferLeadership(NodeId to);
  void ForgetLeader();
  void ReportUnreachable(NodeId id);
  void ReportSnapshot(NodeId id, bool ok);

  void Persisted(PersistId id);              // what that Ready and all before it carried is durable
  void Applied(Index index);
  // Drops log entries up to `index` (a snapshot covers them); `snapshot` is what lagging members get.
  void Compact(Index index, SnapshotMetadata snapshot, SharedBytes data);

  bool HasReady() const;
  Ready TakeReady();
  RaftStatus Status() const;
  // Cheap parts of Status(), for every turn of the loop.
  Role role() const;
  Term term() const;
  NodeId leader() const;
  Index commit_index() const;
};

ConfChangeV2 AsV2(const ConfChange& change);

}  // namespace quoin::raft
