// Raft: the consensus protocol of one member, as a pure state machine.
//
// Inputs are the methods below; each advances the state and returns at once. The only output is
// TakeReady(). There is no I/O, no clock, no thread and no log: what does not apply is answered by
// an enum.
//
// Thread:     one owner (the raft loop); not safe for concurrent use.
// Reference:  Ongaro, "Consensus: Bridging Theory and Practice" (the thesis); its § in the sources.
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
  // Hand out committed entries that are not yet durable here. Off in the server.
  bool apply_unstable = false;
};

// What the WAL and the data file gave back. hard_state.commit may be behind `applied` (it is
// written without a sync). REQUIRES: snapshot.index ≤ applied, and max(applied, hard_state.commit)
// ≤ the last entry's index. What is committed but not applied is handed out again, configuration
// changes included.
struct RecoveredState {
  HardState hard_state;
  SnapshotMetadata snapshot;   // the log starts after it; conf_state = configuration at `applied`
  std::vector<Entry> entries;  // after snapshot.index, durable
  Index applied;               // the data file's applied index
};

enum class StepResult : uint8_t {
  kAccepted,
  kDropped,      // out of date, nobody to pass it on to, or BoundUnapplied
  kUnknownPeer,  // a response of a member that is not in the configuration
  kRefused,      // malformed, or contradicts what is committed here: some member has lost data
};
enum class ProposeResult : uint8_t {
  kAccepted,
  kForwarded,  // to the leader; whether it takes it is not heard
  kNoLeader,
  kDroppedTransfer,  // leadership is being handed over
  kDroppedFull,      // uncommitted_bytes_max, or too many reads wait
  kDroppedRemoved,   // this leader is no longer a member
};

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

// Work to do. Order: persist {entries, hard_state, snapshot}; messages may leave at once (thesis
// §10.2.1); after_persist may leave only after Persisted(persist_id). Readies are persisted in the
// order they were taken. What a member says to itself (its own vote, its own acknowledgement) stays
// inside and counts from Persisted on.
struct Ready {
  // Strictly increasing; 0 = there is nothing to persist and after_persist is empty. A Ready may
  // have an id and nothing to write: its after_persist then waits for the writes before it.
  PersistId persist_id;
  std::optional<SoftState> soft_state;  // when changed
  std::optional<HardState> hard_state;  // when changed
  bool must_sync = false;  // false: only the commit index moved; the write needs no sync of its own
  std::vector<Entry> entries;  // to append; an index already in the log replaces it and the rest
  // To install: Persisted(persist_id) then says that it is durable and is the state machine's
  // content, and implies Applied(its index). Nothing is handed out to apply before that.
  std::optional<Snapshot> snapshot;
  // To apply, in order; durable here unless apply_unstable. After a configuration change nothing
  // may be applied before ConfChangeApplied for it, and Applied may not pass it before that either.
  std::vector<Entry> committed;
  std::vector<Message> messages;
  std::vector<Message> after_persist;
  std::vector<ReadState> read_states;
};

struct ProgressStatus {
  NodeId id;
  Index match;
  Index next;
  bool learner = false;
  bool answers = false;  // in this or the last election timeout
};

// What of the log may stay in memory once it is applied and durable.
struct LogBounds {
  size_t entries_kept = 0;                 // though nobody waits for them
  size_t bytes_max = SIZE_MAX;             // of all the log, where nobody waits for it
  size_t bytes_waited_for_max = SIZE_MAX;  // where a follower who answers lacks it
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

class Core;
namespace testing {
class CoreAccess;
}

class Raft {
 public:
  // `seed` decides election jitter and nothing else.
  Raft(const Config& config, RecoveredState recovered, uint64_t seed);
  ~Raft();
  Raft(Raft&&) noexcept;

  void Tick();                       // one unit of logical time
  void Campaign();                   // start an election now (a lone voter at start)
  StepResult Step(Message message);  // a peer's message
  [[nodiscard]] ProposeResult Propose(std::vector<SharedBytes> requests);
  [[nodiscard]] ProposeResult ProposeConfChange(const ConfChange& change);
  [[nodiscard]] ProposeResult ProposeConfChangeV2(const ConfChangeV2& change);
  // A committed configuration change was applied (nullopt = it was found invalid and is a no-op);
  // before Applied for its index. Returns the configuration from then on. A change that the
  // configuration does not allow is a no-op too.
  ConfState ConfChangeApplied(Index index, const std::optional<ConfChangeV2>& change);
  // The answer comes as a ReadState with this context, or never (leader lost, message lost): try
  // again then. All reads between two Readies share one round of heartbeats.
  [[nodiscard]] ProposeResult ReadIndex(std::string context);
  void TransferLeadership(NodeId to);
  void ForgetLeader();
  void ReportUnreachable(NodeId id);
  // REQUIRED once per MsgSnap, however it ended: nothing else is sent to that member before.
  void ReportSnapshot(NodeId id, bool ok);

  void Persisted(PersistId id);  // what that Ready and all before it carried is durable
  void Applied(Index index);
  // Drops log entries up to `index` (a snapshot covers them); `snapshot` is what lagging members
  // get from now on. With an `index` that is dropped already it only replaces the snapshot. After a
  // restart {applied, its term, conf_state} without data is on offer. Whoever sends a MsgSnap may
  // replace its snapshot by a newer one. REQUIRES: index ≤ snapshot.index ≤ applied.
  void Compact(Index index, SnapshotMetadata snapshot, SharedBytes data);
  // Drops what nobody will ask for: applied and durable entries, but for the last of them and those
  // that a follower who answers still lacks, or will lack when it has the snapshot that is on its
  // way. Whoever needs what is dropped gets the state as applied, as after a restart.
  void TrimLog(const LogBounds& bounds);
  // As follower: once more than `bytes_max` of the log is committed and not applied, nothing is
  // appended until it is half of that, and the leader gets no answer to its appends. Votes and
  // heartbeats are answered as ever. What is committed waits for the state machine of this member
  // and for no other member, so no two members can wait for each other.
  void BoundUnapplied(size_t bytes_max);
  // The last append with new entries was refused by that bound.
  bool refuses_appends() const;
  // Of the entries in memory; what bytes_max is held against.
  size_t log_bytes() const;
  // As leader: data of entries that are not applied; what uncommitted_bytes_max is held against.
  size_t uncommitted_bytes() const;
  Index last_index() const;
  Index applied_index() const;

  bool HasReady() const;
  Ready TakeReady();
  RaftStatus Status() const;
  // Cheap parts of Status(), for every turn of the loop.
  Role role() const;
  Term term() const;
  NodeId leader() const;
  Index commit_index() const;
  // This member leads, and no other one is in the configuration of its log, unapplied changes
  // included: as voter or as learner.
  bool SoleMember() const;

 private:
  friend class testing::CoreAccess;

  std::unique_ptr<Core> core_;
};

ConfChangeV2 AsV2(const ConfChange& change);

}  // namespace quoin::raft
