// Core: what stands behind Raft. Internal to this folder and its tests; raft.h has the contract.
//
// One file per subject: election.cc, append_entries.cc, heartbeat.cc, install_snapshot.cc,
// read_index.cc, transfer.cc, conf_change.cc, propose.cc, ready.cc; core.cc has construction, time,
// the roles and the one switch over messages.
//
// Thread: as Raft.
#pragma once

#include <deque>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "raft/configuration.h"
#include "raft/log.h"
#include "raft/raft.h"
#include "raft/read_index.h"

namespace quoin::raft {

namespace testing {
class CoreAccess;
}

// The context of a vote request that the leader asked for.
inline constexpr std::string_view kCampaignTransfer = "CampaignTransfer";

class Core {
 public:
  Core(const Config& config, RecoveredState recovered, uint64_t seed);

  void Tick();
  void Campaign();
  StepResult Step(Message message);
  ProposeResult Propose(std::vector<SharedBytes> requests);
  ProposeResult ProposeEntry(Entry entry);
  ConfState ConfChangeApplied(Index index, const std::optional<ConfChangeV2>& change);
  ProposeResult ReadIndex(std::string context);
  void TransferLeadership(NodeId to);
  void ForgetLeader();
  void ReportUnreachable(NodeId id);
  void ReportSnapshot(NodeId id, bool ok);
  void Persisted(PersistId id);
  void Applied(Index index);
  void Compact(Index index, SnapshotMetadata snapshot, SharedBytes data);
  void TrimLog(const LogBounds& bounds);
  void BoundUnapplied(size_t bytes_max) { unapplied_bytes_max_ = bytes_max; }
  bool refuses_appends() const { return refuses_appends_; }
  size_t log_bytes() const { return log_.bytes(); }
  size_t uncommitted_bytes() const { return uncommitted_bytes_; }
  Index last_index() const { return log_.last_index(); }
  Index applied_index() const { return log_.applied(); }
  bool HasReady() const;
  Ready TakeReady();
  RaftStatus Status() const;
  Role role() const { return role_; }
  Term term() const { return term_; }
  NodeId leader() const { return leader_; }
  Index commit_index() const { return log_.committed(); }
  bool SoleMember() const;

 private:
  friend class testing::CoreAccess;

  enum class CampaignKind : uint8_t { kPreElection, kElection, kTransfer };
  enum class EmptyAppend : uint8_t { kSend, kOmit };
  enum class ConfChangeVerdict : uint8_t { kProceed, kReplaceByNothing, kMalformed };

  // A Ready that the caller is making durable.
  struct Persisting {
    PersistId id;
    Index last;      // the log up to here is durable with it; lowered when that part is overwritten
    Index snapshot;  // 0 = none
    std::vector<Message> to_self;
  };

  // core.cc
  StepResult SettleTerm(const Message& message, bool& done);
  StepResult Dispatch(Message& message);
  bool WellFormed(const Message& message) const;
  static bool EntriesFollow(const Message& message);
  bool InLease() const;
  void Reset(Term term);
  void BecomeFollower(Term term, NodeId leader);
  void BecomePreCandidate();
  void BecomeCandidate();
  void BecomeLeader();
  void TickElection();
  void TickHeartbeat();
  void Send(Message message);
  ProgressDefaults Defaults() const;
  Progress* FindProgress(NodeId id);
  bool IsLeader() const { return role_ == Role::kLeader; }
  NodeId self() const { return config_.id; }

  // election.cc
  void StartElection(CampaignKind kind);
  void RequestVotes(CampaignKind kind);
  bool Promotable() const;
  bool HasUnappliedConfChange() const;
  StepResult OnRequestVote(const Message& request);
  StepResult OnVoteResponse(const Message& response);
  VoteResult TallyVotes() const;
  void CheckQuorum();

  // append_entries.cc
  void BroadcastAppend();
  bool MaybeSendAppend(NodeId to, Progress& progress, EmptyAppend empty);
  bool AcceptLeader(const Message& message);
  bool RefuseAppend();
  StepResult OnAppendEntries(Message& request);
  void AppendFromLeader(Message& request, Index first_new);
  StepResult OnAppendResponse(const Message& response);
  void OnAppendRefused(const Message& response, Progress& progress);
  void OnAppendAccepted(const Message& response, Progress& progress);
  bool MaybeCommit();

  // heartbeat.cc
  void BroadcastHeartbeat();
  StepResult OnHeartbeat(const Message& request);
  StepResult OnHeartbeatResponse(const Message& response);

  // install_snapshot.cc
  bool MaybeSendSnapshot(NodeId to, Progress& progress);
  StepResult OnInstallSnapshot(Message& request);
  bool Restore(Snapshot snapshot);

  // read_index.cc
  StepResult OnReadIndex(Message& request);
  StepResult OnReadIndexResponse(Message& response);
  bool CommittedInCurrentTerm() const;
  void StartRead(NodeId from, std::string context);
  void AnswerRead(const PendingRead& read);
  void AnswerConfirmedReads();
  void StartPostponedReads();

  // transfer.cc
  StepResult OnTransferLeader(Message& request);
  void SendTimeoutNow(NodeId to);

  // conf_change.cc
  void AdoptMembers(Members members);
  void MaybeLeaveJoint();
  ConfChangeVerdict JudgeConfChange(const Entry& entry) const;

  // propose.cc
  StepResult OnPropose(Message& request);
  ProposeResult ProposeAsLeader(std::vector<Entry> entries);
  ProposeResult Forward(std::vector<Entry> entries);
  bool AppendAsLeader(std::vector<Entry> entries);

  // ready.cc
  HardState CurrentHardState() const;
  SoftState CurrentSoftState() const { return {leader_, role_}; }
  bool HasToPersist() const;
  void DeliverToSelfAtOnce();
  void RouteAfterPersist(Ready& ready);
  void ForgetDurabilityFrom(Index index);
  Index NotWaitedFor() const;
  Index EndOfExcess(size_t bytes_max, Index limit) const;

  const Config config_;

  // Persistent state (§3.8). Any change appears in the next Ready.
  Term term_;    // currentTerm
  NodeId vote_;  // votedFor in term_; 0 = none
  Log log_;

  // Volatile state of every role.
  Role role_ = Role::kFollower;
  NodeId leader_;  // 0 = unknown
  Members members_;
  // What the state machine has applied, as long as the snapshot that members_ comes from waits.
  std::optional<Members> members_until_installed_;
  Snapshot offered_snapshot_;  // what a member gets that needs compacted entries
  Prng prng_;
  int election_elapsed_ticks_ = 0;
  int heartbeat_elapsed_ticks_ = 0;
  size_t unapplied_bytes_max_ = SIZE_MAX;
  bool refuses_appends_ = false;    // as follower, by that bound
  int election_timeout_ticks_ = 0;  // drawn anew for each role and term from [T, 2T-1]

  // Candidates only.
  std::map<NodeId, bool> votes_;

  // Leaders only; fresh after Reset.
  NodeId transferee_;         // 0 = no transfer under way
  Index pending_conf_index_;  // an unapplied change may be up to here; no other is proposed then
  size_t uncommitted_bytes_ = 0;
  ReadQueue reads_;
  bool read_round_due_ = false;  // heartbeats with the newest read's number leave with next Ready
  std::vector<PendingRead> postponed_reads_;  // until an entry of this term is committed

  // Output.
  uint64_t next_ready_ = 1;
  std::vector<Message> messages_;
  std::vector<Message> after_persist_;
  std::vector<ReadState> read_states_;
  std::optional<Snapshot> snapshot_to_install_;
  SoftState reported_soft_state_;
  HardState reported_hard_state_;
  PersistId last_persist_id_;
  std::deque<Persisting> persisting_;  // oldest first
  // The scripts' adapter shows and delivers messages to self like any other. Set by tests only.
  bool expose_messages_to_self_ = false;
};

}  // namespace quoin::raft
