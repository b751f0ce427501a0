#include "raft/core.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quoin::raft {
namespace {

// No term and no index of a real cluster comes near this; sums of what is below cannot wrap.
constexpr uint64_t kNumberMax = uint64_t{1} << 62;
// So many elections nobody misses. Who believed in a term far above could never be elected again,
// nor could anybody who hears of it.
constexpr uint64_t kTermLeapMax = uint64_t{1} << 32;

Index RecoveredCommit(const RecoveredState& recovered) {
  // The commit index is written without a sync of its own, so the applied index may be ahead of it.
  return std::max({recovered.hard_state.commit, recovered.applied, recovered.snapshot.index});
}

bool IsResponse(MessageType type) {
  switch (type) {
    case MessageType::kAppResp:
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
    case MessageType::kHeartbeatResp:
    case MessageType::kReadIndexResp:
      return true;
    default:
      return false;
  }
}

bool FromNetwork(MessageType type) {
  switch (type) {
    case MessageType::kProp:
    case MessageType::kApp:
    case MessageType::kVote:
    case MessageType::kPreVote:
    case MessageType::kSnap:
    case MessageType::kHeartbeat:
    case MessageType::kTransferLeader:
    case MessageType::kTimeoutNow:
    case MessageType::kReadIndex:
      return true;
    default:
      return IsResponse(type);
  }
}

}  // namespace

Core::Core(const Config& config, RecoveredState recovered, uint64_t seed)
    : config_(config),
      term_(recovered.hard_state.term),
      vote_(recovered.hard_state.vote),
      log_({recovered.snapshot.term, recovered.snapshot.index}, std::move(recovered.entries),
           RecoveredCommit(recovered), recovered.applied,
           {config.committed_bytes_per_ready_max, config.apply_unstable}),
      prng_(seed) {
  CHECK(config.id.value() != 0);
  CHECK(config.heartbeat_ticks > 0);
  CHECK(config.election_ticks > config.heartbeat_ticks);
  CHECK(config.inflight_messages_max > 0);
  CHECK(config.committed_bytes_per_ready_max > 0);
  // A lease is only as good as the leader's habit of stepping down without a quorum.
  CHECK(config.read_only != ReadOnlyMode::kLeaseBased || config.check_quorum);

  members_.configuration = FromConfState(recovered.snapshot.conf_state);
  for (NodeId id : members_.configuration.voters.All()) {
    members_.progress[id] = NewProgress(Defaults(), /*learner=*/false);
  }
  for (NodeId id : members_.configuration.learners) {
    members_.progress[id] = NewProgress(Defaults(), /*learner=*/true);
  }
  if (recovered.applied.value() != 0) {
    // The configuration that was recovered is the one at the applied index, and so is the state
    // behind it.
    offered_snapshot_.metadata = {std::move(recovered.snapshot.conf_state), recovered.applied,
                                  *log_.TermAt(recovered.applied)};
  }
  reported_hard_state_ = recovered.hard_state;
  // A write that was torn may have left entries of a term without the state that says so; no vote
  // of it was told.
  if (log_.last().index > log_.start().index && log_.last().term > term_) {
    term_ = log_.last().term;
    vote_ = NodeId(0);
  }
  BecomeFollower(term_, NodeId(0));
  reported_soft_state_ = CurrentSoftState();
}

ProgressDefaults Core::Defaults() const {
  return {log_.last_index(), config_.inflight_messages_max,
          config_.inflight_bytes_max == SIZE_MAX ? 0 : config_.inflight_bytes_max};
}

Progress* Core::FindProgress(NodeId id) {
  auto at = members_.progress.find(id);
  return at == members_.progress.end() ? nullptr : &at->second;
}

// ---- roles ----

void Core::Reset(Term term) {
  CHECK_GE(term, term_) << "a term never goes back";
  if (term != term_) {
    term_ = term;
    vote_ = NodeId(0);
  }
  leader_ = NodeId(0);
  election_elapsed_ticks_ = 0;
  heartbeat_elapsed_ticks_ = 0;
  // "Election timeouts are chosen randomly from a fixed interval": §5.2. So few elections collide.
  election_timeout_ticks_ =
      config_.election_ticks +
      static_cast<int>(prng_.Below(static_cast<uint64_t>(config_.election_ticks)));
  votes_.clear();
  transferee_ = NodeId(0);
  pending_conf_index_ = Index(0);
  uncommitted_bytes_ = 0;
  refuses_appends_ = false;
  reads_ = ReadQueue();
  read_round_due_ = false;
  postponed_reads_.clear();
  for (auto& [id, progress] : members_.progress) {
    const bool learner = progress.learner;
    progress = Progress();
    progress.learner = learner;
    progress.next = log_.last_index() + 1;
    progress.inflights = Inflights(Defaults().inflight_messages_max, Defaults().inflight_bytes_max);
    if (id == self()) progress.match = log_.last_index();
  }
}

void Core::BecomeFollower(Term term, NodeId leader) {
  Reset(term);
  role_ = Role::kFollower;
  leader_ = leader;
}

void Core::BecomePreCandidate() {
  CHECK(!IsLeader());
  // Neither term nor vote changes: §9.6.
  votes_.clear();
  leader_ = NodeId(0);
  role_ = Role::kPreCandidate;
}

void Core::BecomeCandidate() {
  CHECK(!IsLeader());
  Reset(term_ + 1);
  vote_ = self();
  role_ = Role::kCandidate;
}

void Core::BecomeLeader() {
  CHECK(role_ == Role::kCandidate);
  Reset(term_);
  role_ = Role::kLeader;
  leader_ = self();
  Progress* own = FindProgress(self());
  CHECK(own != nullptr);
  own->BecomeReplicate();
  own->recently_active = true;
  // Unapplied changes may lie anywhere in the log. Looking for them costs more than waiting for all
  // of it.
  pending_conf_index_ = log_.last_index();
  // "… having each leader commit a blank no-op entry into the log at the start of its term": §6.4.
  std::vector<Entry> blank(1);
  CHECK(AppendAsLeader(std::move(blank)));
}

// ---- time ----

void Core::Tick() {
  if (IsLeader()) {
    TickHeartbeat();
  } else {
    TickElection();
  }
}

void Core::TickElection() {
  ++election_elapsed_ticks_;
  if (!Promotable() || election_elapsed_ticks_ < election_timeout_ticks_) return;
  election_elapsed_ticks_ = 0;
  Campaign();
}

void Core::TickHeartbeat() {
  ++heartbeat_elapsed_ticks_;
  ++election_elapsed_ticks_;
  if (election_elapsed_ticks_ >= config_.election_ticks) {
    election_elapsed_ticks_ = 0;
    if (config_.check_quorum) CheckQuorum();
    // "If leadership transfer does not complete after about an election timeout, the prior leader
    // aborts": §3.10.
    if (transferee_.value() != 0) {
      transferee_ = NodeId(0);
      MaybeLeaveJoint();  // may have been refused meanwhile
    }
  }
  if (!IsLeader() || heartbeat_elapsed_ticks_ < config_.heartbeat_ticks) return;
  heartbeat_elapsed_ticks_ = 0;
  BroadcastHeartbeat();
}

// ---- messages ----

void Core::Send(Message message) {
  message.from = message.from.value() == 0 ? self() : message.from;
  switch (message.type) {
    case MessageType::kVote:
    case MessageType::kVoteResp:
    case MessageType::kPreVote:
    case MessageType::kPreVoteResp:
      CHECK(message.term.value() != 0);  // an election names its own term
      break;
    case MessageType::kProp:
    case MessageType::kReadIndex:
      break;  // on behalf of a client: no term
    default:
      message.term = term_;
      break;
  }
  // What a response promises must be durable before it leaves: §3.8.
  const bool promises = message.type == MessageType::kAppResp ||
                        message.type == MessageType::kVoteResp ||
                        message.type == MessageType::kPreVoteResp;
  CHECK(promises || message.to != self());
  (promises ? after_persist_ : messages_).push_back(std::move(message));
}

// Whether a message from the network can be looked at without tripping over it. Its claims may
// still be false.
bool Core::WellFormed(const Message& message) const {
  if (!FromNetwork(message.type) || message.from.value() == 0) return false;
  if (message.to.value() != 0 && message.to != self()) return false;
  if (message.term.value() > kNumberMax || message.index.value() > kNumberMax) return false;
  if (message.term > term_ + kTermLeapMax) return false;
  // A transfer names its target as the sender, and may come with a term or without.
  if (message.type == MessageType::kTransferLeader) return true;
  const bool for_a_client =
      message.type == MessageType::kProp || message.type == MessageType::kReadIndex;
  if (for_a_client != (message.term.value() == 0)) return false;
  // A request that we passed on may come back when we have become leader meanwhile; nothing else of
  // ours does.
  if (message.from == self() && !for_a_client) return false;
  switch (message.type) {
    case MessageType::kReadIndex:
    case MessageType::kReadIndexResp:
      return message.entries.size() == 1;
    case MessageType::kSnap:
      return message.snapshot.metadata.index.value() != 0 &&
             message.snapshot.metadata.index.value() <= kNumberMax &&
             message.snapshot.metadata.term <= message.term &&
             Valid(FromConfState(message.snapshot.metadata.conf_state));
    case MessageType::kApp:
      return EntriesFollow(message);
    default:
      return true;
  }
}

// The entries of an append lie behind its previous one without a gap, their terms never go back.
bool Core::EntriesFollow(const Message& message) {
  Index index = message.index;
  Term term = message.log_term;
  for (const Entry& entry : message.entries) {
    if (entry.index != index + 1 || entry.term < term) return false;
    index = entry.index;
    term = entry.term;
  }
  return term <= message.term;
}

StepResult Core::Step(Message message) {
  if (!WellFormed(message)) return StepResult::kRefused;
  if (IsResponse(message.type) && FindProgress(message.from) == nullptr) {
    return StepResult::kUnknownPeer;
  }
  return Dispatch(message);
}

bool Core::InLease() const {
  return config_.check_quorum && leader_.value() != 0 &&
         election_elapsed_ticks_ < config_.election_ticks;
}

// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to
// follower" (§5.1), and what PreVote and CheckQuorum make of that. Sets `done` when the message
// goes no further.
StepResult Core::SettleTerm(const Message& message, bool& done) {
  const MessageType type = message.type;
  const bool asks_for_vote = type == MessageType::kVote || type == MessageType::kPreVote;
  if (message.term > term_) {
    // "If a server receives a RequestVote request within the minimum election timeout of hearing
    // from a current leader, it does not update its term or grant its vote" (§4.2.3), unless that
    // leader asked for it.
    if (asks_for_vote && message.context != kCampaignTransfer && InLease()) {
      done = true;
      return StepResult::kDropped;
    }
    const bool future_term =
        type == MessageType::kPreVote || (type == MessageType::kPreVoteResp && !message.reject);
    if (future_term) return StepResult::kAccepted;
    const bool from_leader =
        type == MessageType::kApp || type == MessageType::kHeartbeat || type == MessageType::kSnap;
    BecomeFollower(message.term, from_leader ? message.from : NodeId(0));
    return StepResult::kAccepted;
  }
  if (message.term == term_) return StepResult::kAccepted;

  done = true;
  if ((config_.check_quorum || config_.pre_vote) &&
      (type == MessageType::kHeartbeat || type == MessageType::kApp)) {
    // A deposed leader that nobody answers would stay deposed in its own term; show it ours.
    // Without this, a member whose term ran ahead could not come back: its requests are ignored.
    Send({.type = MessageType::kAppResp, .to = message.from});
  } else if (type == MessageType::kPreVote) {
    Send({.type = MessageType::kPreVoteResp, .to = message.from, .term = term_, .reject = true});
  }
  return StepResult::kDropped;
}

StepResult Core::Dispatch(Message& message) {
  if (message.term.value() != 0) {
    bool done = false;
    const StepResult result = SettleTerm(message, done);
    if (done) return result;
  }
  switch (message.type) {
    case MessageType::kVote:
    case MessageType::kPreVote:
      return OnRequestVote(message);
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
      return OnVoteResponse(message);
    case MessageType::kApp:
      return OnAppendEntries(message);
    case MessageType::kAppResp:
      return OnAppendResponse(message);
    case MessageType::kHeartbeat:
      return OnHeartbeat(message);
    case MessageType::kHeartbeatResp:
      return OnHeartbeatResponse(message);
    case MessageType::kSnap:
      return OnInstallSnapshot(message);
    case MessageType::kProp:
      return OnPropose(message);
    case MessageType::kReadIndex:
      return OnReadIndex(message);
    case MessageType::kReadIndexResp:
      return OnReadIndexResponse(message);
    case MessageType::kTransferLeader:
      return OnTransferLeader(message);
    case MessageType::kTimeoutNow:
      if (role_ != Role::kFollower) return StepResult::kDropped;
      // "The prior leader sends a TimeoutNow request to the target server" (§3.10): no pre-vote, no
      // lease.
      StartElection(CampaignKind::kTransfer);
      return StepResult::kAccepted;
    default:
      return StepResult::kRefused;  // not for the network
  }
}

void Core::ForgetLeader() {
  // A lease read trusts that followers stay loyal for an election timeout; forgetting would let
  // them vote earlier.
  if (role_ != Role::kFollower || config_.read_only == ReadOnlyMode::kLeaseBased) return;
  leader_ = NodeId(0);
}

RaftStatus Core::Status() const {
  RaftStatus status;
  status.id = self();
  status.term = term_;
  status.vote = vote_;
  status.leader = leader_;
  status.role = role_;
  status.commit = log_.committed();
  status.applied = log_.applied();
  status.last_index = log_.last_index();
  status.conf_state = ToConfState(members_.configuration);
  if (!IsLeader()) return status;
  for (const auto& [id, progress] : members_.progress) {
    status.progress.push_back(
        {id, progress.match, progress.next, progress.learner, progress.Answers()});
  }
  return status;
}

}  // namespace quoin::raft
