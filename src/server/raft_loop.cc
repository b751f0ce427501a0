#include "server/raft_loop.h"

#include "base/check.h"
#include "base/errors.h"
#include "base/limits.h"
#include "server/apply_loop.h"
#include "server/peer_host.h"
#include "state/command.h"

namespace quoin::server {
namespace {

constexpr uint64_t kTrimEveryEntries = 256;

// How much of what its leader has committed a follower takes before it has applied it: half of what
// the log may take in memory. Far more than a leader lets wait, so that a disk which is slow for a
// moment is not noticed.
constexpr size_t FollowerUnappliedBytes(uint64_t inflight_bytes_max) {
  return 2 * inflight_bytes_max;
}
static_assert(FollowerUnappliedBytes(limits::InflightBytes(limits::kMemoryLimitMin)) >
              2 * limits::UnappliedBytes(limits::kMemoryLimitMin));
static_assert(FollowerUnappliedBytes(limits::kInflightBytesMax) + limits::kUnappliedBytesMax +
                      limits::kInflightBytesMax + limits::kLogTailBytesMax <=
                  limits::LogBytes(limits::kMemoryLimitDefault),
              "what waits, what is not committed, what is on its way, the tail");

// A read's context is its id, 8 bytes, big-endian, as etcd sends it: leaders of 3.6 and older take
// it for a key.
std::string ReadContext(uint64_t id) {
  std::string context(8, '\0');
  for (int i = 7; i >= 0; --i, id >>= 8) context[i] = static_cast<char>(id);
  return context;
}

// The context of a read that no client has asked for: one byte more.
constexpr char kProof = 'p';
constexpr size_t kProofsMax = 64;

uint64_t ReadNumber(std::string_view bytes) {
  uint64_t value = 0;
  for (char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

Status StatusOf(raft::ProposeResult result) {
  switch (result) {
    case raft::ProposeResult::kAccepted:
    case raft::ProposeResult::kForwarded:
      return OkStatus();
    case raft::ProposeResult::kNoLeader:
      return errors::NoLeader();
    case raft::ProposeResult::kDroppedFull:
      return errors::TooManyRequests();
    case raft::ProposeResult::kDroppedTransfer:
    case raft::ProposeResult::kDroppedRemoved:
      return errors::ProposalDropped();
  }
  return OkStatus();
}

}  // namespace

RaftLoop::RaftLoop(const NodeConfig& config, NodeInfo& info, Loops loops, raft::Raft raft,
                   uint64_t seed, wal::Writer& wal, env::FileSystem& files, Logger& log)
    : config_(config),
      info_(info),
      loops_(loops),
      raft_(std::move(raft)),
      persister_(config, {loops.raft, loops.wal, loops.apply, loops.bulk}, wal, files, log),
      random_(seed),
      log_(log),
      lost_log_(static_cast<int>(config.election_timeout / config.heartbeat_interval)) {
  raft_.BoundUnapplied(FollowerUnappliedBytes(config.inflight_bytes_max));
}

RaftLoop::~RaftLoop() = default;

void RaftLoop::Connect(ApplyLoop& apply, PeerHost& peers, ReceivedTrees& received,
                       std::vector<Frontend*> frontends, const RequestIds& ids) {
  apply_ = &apply;
  peers_ = &peers;
  received_ = &received;
  frontends_ = std::move(frontends);
  ids_ = ids;
  persister_.Connect(apply, [this](raft::PersistId id, std::vector<raft::Message> after) {
    if (id.value() != 0) raft_.Persisted(id);
    Send(std::move(after));
    ScheduleTurn();
  });
}

void RaftLoop::Start() {
  NoteConfiguration(raft_.Status().conf_state);
  Tick();
  CampaignIfAlone();
  ScheduleTurn();
}

void RaftLoop::NoteConfiguration(const raft::ConfState& state) {
  alone_ = state.voters.size() == 1 && state.voters_outgoing.empty() &&
           state.voters[0].value() == info_.member_id;
}

void RaftLoop::Stop(env::Task stopped) {
  stopping_ = true;
  loops_.raft.Cancel(tick_timer_);
  loops_.raft.Cancel(hand_over_timer_);
  loops_.raft.Cancel(repeat_timer_);
  info_.sole_member_leads.store(false, std::memory_order_release);
  stopped_ = std::move(stopped);
  ScheduleTurn();
}

void RaftLoop::Tick() {
  tick_timer_ = loops_.raft.RunAfter(config_.heartbeat_interval, [this] { Tick(); });
  AskForProofOfLead();  // the tick's heartbeats carry the question
  raft_.Tick();
  DropExpired();
  ScheduleTurn();
}

// The time of the question counts, not that of the answer: a process that was stopped finds answers
// to what it sent before, and another leader may have been elected since.
void RaftLoop::AskForProofOfLead() {
  if (raft_.role() != raft::Role::kLeader) return proofs_.clear();
  if (proofs_.size() >= kProofsMax) return;
  const uint64_t number = ++proofs_asked_;
  if (raft_.ReadIndex(ReadContext(number) + kProof) != raft::ProposeResult::kAccepted) return;
  proofs_.emplace_back(number, loops_.raft.clock().Now());
}

void RaftLoop::OnLeadProved(uint64_t number) {
  while (!proofs_.empty() && proofs_.front().first <= number) {
    if (proofs_.front().first == number)
      info_.lead_proved_at.store(proofs_.front().second.count(), std::memory_order_release);
    proofs_.pop_front();
  }
}

// --- proposals ---

void RaftLoop::OnProposals(size_t frontend, std::vector<Proposal> batch) {
  Propose({frontend, std::move(batch), std::nullopt, {}});
}

// What only the leader of one term may say is never passed on to another one. Time may have passed
// since it came, so this is asked when it goes into raft, too.
void RaftLoop::RefuseForOtherLeaders(Held& batch) {
  std::vector<Proposal> refused;
  const bool leads = raft_.role() == raft::Role::kLeader;
  std::erase_if(batch.batch, [&](Proposal& proposal) {
    const bool wrong = proposal.as_leader_of.value() != 0 &&
                       (!leads || !MayPropose() || proposal.as_leader_of != raft_.term());
    if (wrong) refused.push_back(std::move(proposal));
    return wrong;
  });
  if (!refused.empty())
    Refuse({batch.frontend, std::move(refused), std::nullopt, {}}, errors::ProposalDropped());
}

void RaftLoop::OnConfChangeProposal(size_t frontend, raft::ConfChange change) {
  Propose({frontend, {}, std::move(change), {}});
}

bool RaftLoop::MayPropose() const {
  return raft_.leader().value() != 0 && !leader_lost_ && !handing_over_;
}

void RaftLoop::Propose(Held batch) {
  if (stopping_) return;  // the frontends have answered their callers
  RefuseForOtherLeaders(batch);
  if (batch.batch.empty() && !batch.change) return;
  if (!MayPropose() || !held_.empty()) return Hold(std::move(batch));
  raft::ProposeResult result;
  if (batch.change) {
    result = raft_.ProposeConfChange(*batch.change);
  } else {
    std::vector<SharedBytes> requests;
    requests.reserve(batch.batch.size());
    for (Proposal& proposal : batch.batch) requests.push_back(std::move(proposal.data));
    result = raft_.Propose(std::move(requests));
  }
  if (Status status = StatusOf(result); !status.ok()) Refuse(batch, status);
  ScheduleTurn();
}

void RaftLoop::Hold(Held held) {
  size_t bytes = 0;
  for (const Proposal& proposal : held.batch) bytes += proposal.data.size();
  if (held_bytes_ + bytes > limits::kHeldProposalBytesMax ||
      held_.size() >= limits::kHeldProposalBatchesMax) {
    return Refuse(held, errors::TooManyRequests());
  }
  held_bytes_ += bytes;
  // Looked at with the ticks, and to be told before the frontend gives up and can say less.
  held.until =
      loops_.raft.clock().Now() + config_.RequestTimeout() - 3 * config_.heartbeat_interval;
  held_.push_back(std::move(held));
}

void RaftLoop::ProposeHeld() {
  if (held_.empty() || !MayPropose()) return;
  held_bytes_ = 0;
  std::deque<Held> held = std::exchange(held_, {});
  for (Held& batch : held) Propose(std::move(batch));
}

// They never entered raft, so the answer says no more than that time is up.
void RaftLoop::DropExpired() {
  const env::Duration now = loops_.raft.clock().Now();
  while (!held_.empty() && held_.front().until <= now) {
    for (const Proposal& proposal : held_.front().batch) held_bytes_ -= proposal.data.size();
    Refuse(held_.front(), absl::DeadlineExceededError("context deadline exceeded"));
    held_.pop_front();
  }
}

void RaftLoop::Refuse(const Held& batch, const Status& status) {
  std::vector<uint64_t> ids;
  for (const Proposal& proposal : batch.batch) ids.push_back(proposal.request_id);
  if (batch.change) ids.push_back(batch.change->id);
  Frontend* refused = frontends_[batch.frontend];
  // A status of its own: two loops that hold one would both count its owners.
  refused->loop().Post(
      [refused, ids = std::move(ids), why = Status(status.code(), status.message())]() mutable {
        refused->OnRefused(std::move(ids), std::move(why));
      });
}

void RaftLoop::OnReadIndex(size_t frontend, uint64_t id) {
  if (stopping_) return;
  const raft::ProposeResult result = raft_.ReadIndex(ReadContext(id));
  // Without a leader the frontend asks again, until there is one or its time is up.
  if (result == raft::ProposeResult::kNoLeader) {
    info_.read_indexes_failed.Add();
  } else if (Status status = StatusOf(result); !status.ok()) {
    info_.read_indexes_failed.Add();
    Frontend* asked = frontends_[frontend];
    asked->loop().Post([asked, id, status = std::move(status)]() mutable {
      asked->OnReadReady({id, Index(), std::move(status)});
    });
  }
  ScheduleTurn();
}

// --- messages ---

void RaftLoop::OnMessages(std::vector<raft::Message> messages) {
  if (stopping_) return;
  for (raft::Message& message : messages) {
    if (message.from == raft_.leader()) leader_lost_ = false;
    // As raft drops what is too much; raft does not count what small entries cost beside their
    // bytes.
    if (message.type == raft::MessageType::kProp && info_.unapplied.over()) continue;
    if (!HoldForSuccessor(message)) StepMessage(std::move(message));
  }
  ScheduleTurn();
}

void RaftLoop::StepMessage(raft::Message message) {
  const raft::MessageType type = message.type;
  const NodeId from = message.from;
  const Index snapshot = message.snapshot.metadata.index, commit = message.commit;
  const Term term = message.term;
  const bool refused_appends = raft_.refuses_appends();
  snapshot_taken_ = Index();
  const raft::StepResult result = raft_.Step(std::move(message));
  if (raft_.refuses_appends() != refused_appends) NoteRefusedAppends();
  if (result == raft::StepResult::kRefused || result == raft::StepResult::kUnknownPeer)
    NoteRefused(type, from, term, commit, result);
  if (type != raft::MessageType::kSnap) return;
  // The tree file that came with it is either what raft installs now, or of no use.
  TakeReadies();
  if (snapshot != snapshot_taken_) received_->Drop(snapshot);
}

void RaftLoop::NoteRefusedAppends() {
  const uint64_t unapplied = raft_.commit_index().value() - raft_.applied_index().value();
  if (raft_.refuses_appends()) {
    log_.Warn("takes no more entries from the leader until some are applied",
              {{"unapplied-entries", unapplied}});
  } else {
    log_.Info("takes entries from the leader again", {{"unapplied-entries", unapplied}});
  }
}

void RaftLoop::NoteRefused(raft::MessageType type, NodeId from, Term term, Index commit,
                           raft::StepResult result) {
  log_.Warn("refused a raft message",
            {{"from", cluster::HexId(from.value())},
             {"type", static_cast<int>(type)},
             {"reason", result == raft::StepResult::kRefused
                            ? "it is malformed or contradicts what is committed here"
                            : "its sender is not in the configuration"}});
  const bool of_leader = type == raft::MessageType::kHeartbeat &&
                         result == raft::StepResult::kRefused && from == raft_.leader() &&
                         term == raft_.term();
  if (!of_leader || !lost_log_.Note(from, term, commit, raft_.last_index())) return;
  if (on_lost_) std::exchange(on_lost_, nullptr)(LostLogText(commit, raft_.last_index()));
}

void RaftLoop::OnUnreachable(NodeId id) {
  // A leader that is gone is missed an election timeout later only; what is passed on to it until
  // then would be lost without a word.
  leader_lost_ |= id == raft_.leader();
  raft_.ReportUnreachable(id);
  ScheduleTurn();
}

// Its followers are loyal for an election timeout because it may be alive, and it is not. What they
// forget at once they need not wait for: who is first asks for votes soon (RepeatElection).
void RaftLoop::OnProcessGone(NodeId id) {
  if (stopping_ || id != raft_.leader()) return;
  raft_.ForgetLeader();
  if (raft_.leader() == id) return;  // lease reads count on that loyalty
  log_.Info("the leader's process has ended", {{"leader-id", cluster::HexId(id.value())}});
  leader_missed_ = true;
  ScheduleTurn();
}

void RaftLoop::OnSnapshotSent(NodeId id, bool ok) {
  raft_.ReportSnapshot(id, ok);
  ScheduleTurn();
}

void RaftLoop::Send(std::vector<raft::Message> messages) {
  if (messages.empty()) return;
  // Reads without a round count on it (Frontend::ReadableNow): no other member acts on a commit
  // index that the loops of this one do not see yet.
  for (const raft::Message& message : messages) {
    if (message.type == raft::MessageType::kApp || message.type == raft::MessageType::kHeartbeat)
      CHECK_LE(message.commit.value(), info_.commit_index.load(std::memory_order_relaxed));
  }
  loops_.peer.Post([peers = peers_, messages = std::move(messages)]() mutable {
    peers->Send(std::move(messages));
  });
}

// --- leadership ---

void RaftLoop::TransferLeadership(NodeId to) {
  raft_.TransferLeadership(to);
  ScheduleTurn();
}

void RaftLoop::HandOver(env::Task done) {
  const raft::RaftStatus status = raft_.Status();
  const raft::ProgressStatus* best = nullptr;
  for (const raft::ProgressStatus& progress : status.progress) {
    if (progress.id == status.id || progress.learner || !progress.answers) continue;
    if (best == nullptr || progress.match > best->match) best = &progress;
  }
  if (status.role != raft::Role::kLeader || best == nullptr) return done();
  log_.Info("leadership transfer starting",
            {{"local-member-id", cluster::HexId(status.id.value())},
             {"transferee-member-id", cluster::HexId(best->id.value())}});
  handed_over_ = std::move(done);
  handing_over_ = true;
  hand_over_timer_ = loops_.raft.RunAfter(config_.election_timeout, [this] { FailHandOver(); });
  raft_.TransferLeadership(best->id);
  ScheduleTurn();
}

// A leader that hands over takes no proposals; it would drop those of other members, and who made
// them would hear of it when their time is up.
bool RaftLoop::HoldForSuccessor(raft::Message& message) {
  if (!handing_over_ || message.type != raft::MessageType::kProp) return false;
  size_t bytes = 0;
  for (const raft::Entry& entry : message.entries) bytes += entry.data.size();
  if (for_successor_bytes_ + bytes > limits::kHeldProposalBytesMax ||
      for_successor_.size() >= limits::kHeldProposalBatchesMax) {
    return false;
  }
  for_successor_bytes_ += bytes;
  for_successor_.push_back(std::move(message));
  return true;
}

void RaftLoop::CheckHandOver() {
  if (!handing_over_ || raft_.role() == raft::Role::kLeader || raft_.leader().value() == 0) return;
  log_.Info("leadership transfer finished",
            {{"leader-id", cluster::HexId(raft_.leader().value())}});
  // Until the others have heard of their new leader they pass proposals on to this member.
  EndHandOver(config_.heartbeat_interval);
}

// This member leads on for as long as it takes to pass on what it kept: to raft, which takes
// nothing while it hands over, and then to the followers.
void RaftLoop::FailHandOver() {
  log_.Warn("leadership transfer failed", {{"reason", "no other leader appeared in time"}});
  // To itself: ends the transfer.
  if (raft_.role() == raft::Role::kLeader) raft_.TransferLeadership(NodeId(info_.member_id));
  EndHandOver(config_.heartbeat_interval);
}

void RaftLoop::EndHandOver(env::Duration grace) {
  handing_over_ = false;
  for_successor_bytes_ = 0;
  for (raft::Message& message : std::exchange(for_successor_, {})) StepMessage(std::move(message));
  loops_.raft.Cancel(hand_over_timer_);
  hand_over_timer_ =
      loops_.raft.RunAfter(grace, [this] { std::exchange(handed_over_, nullptr)(); });
  ScheduleTurn();
}

// --- what the apply loop says ---

void RaftLoop::OnApplied(Index index) {
  applied_ = index;
  raft_.Applied(index);
  if (applied_ >= trimmed_at_ + kTrimEveryEntries || raft_.log_bytes() > config_.log_tail_bytes)
    TrimLog();
  CampaignIfAlone();
  ScheduleTurn();
}

void RaftLoop::OnConfChange(Index index, std::optional<raft::ConfChange> change) {
  std::optional<raft::ConfChangeV2> v2;
  if (change) v2 = raft::AsV2(*change);
  raft::ConfState state = raft_.ConfChangeApplied(index, v2);
  NoteConfiguration(state);
  PublishInfo();
  loops_.apply.Post([apply = apply_, state = std::move(state)]() mutable {
    apply->OnConfState(std::move(state));
  });
  CampaignIfAlone();
  ScheduleTurn();
}

// A lone voter need not wait for an election timeout.
void RaftLoop::CampaignIfAlone() {
  if (alone_ && raft_.role() == raft::Role::kFollower) raft_.Campaign();
}

// "Each candidate restarts its randomized election timeout at the start of an election": §3.4. That
// timeout is as long as it is because the leader may be alive. Once it has run out, or the leader
// is known to be gone, an election that nobody won (votes split, or some had heard the leader a
// moment later than this member) need not wait as long again: it is held after a short while, drawn
// so that rivals part, and doubled for slow disks and networks. Only with pre-votes, which disturb
// nobody.
void RaftLoop::RepeatElection() {
  if (raft_.leader().value() != 0) {
    leader_missed_ = false;
    elections_repeated_ = 0;
    return;
  }
  leader_missed_ |=
      raft_.role() == raft::Role::kPreCandidate || raft_.role() == raft::Role::kCandidate;
  const env::Duration least = config_.heartbeat_interval * (1 << elections_repeated_);
  if (!leader_missed_ || repeat_waits_ || stopping_ || !config_.pre_vote) return;
  if (2 * least > config_.election_timeout) return;
  repeat_waits_ = true;
  const env::Duration delay = least + env::Duration(random_.Below(least.count()));
  repeat_timer_ = loops_.raft.RunAfter(delay, [this] {
    repeat_waits_ = false;
    if (!leader_missed_) return;
    ++elections_repeated_;
    raft_.Campaign();
    ScheduleTurn();
  });
}

void RaftLoop::OnSnapshotSaved(raft::SnapshotMetadata metadata) {
  if (stopping_ || !persister_.AddOwnSnapshot(metadata)) return;
  TrimLog();
  ScheduleTurn();
}

// What is applied is in memory for followers alone; those that are further behind get the data
// file as it then is, so this need not wait for a snapshot, nor does a snapshot let go of what a
// follower who answers still lacks: who takes the data file under load would need another one.
void RaftLoop::TrimLog() {
  trimmed_at_ = applied_;
  raft_.TrimLog({config_.catch_up_entries, config_.log_tail_bytes, config_.log_waited_for_bytes});
}

// --- Ready ---

void RaftLoop::ScheduleTurn() {
  if (turn_scheduled_) return;
  turn_scheduled_ = true;
  loops_.raft.AtEndOfTurn([this] { Turn(); });
}

void RaftLoop::Turn() {
  turn_scheduled_ = false;
  TakeReadies();
  ProposeHeld();
  CheckHandOver();
  PublishInfo();
  RepeatElection();
  if (stopping_ && persister_.idle() && stopped_) std::exchange(stopped_, nullptr)();
}

void RaftLoop::TakeReadies() {
  while (!stopping_ && raft_.HasReady()) TakeOneReady();
}

void RaftLoop::TakeOneReady() {
  raft::Ready ready = raft_.TakeReady();
  PublishInfo();  // before any message leaves: see commit_index and sole_member_leads
  if (raft_.role() == raft::Role::kLeader) NoteLeaseChanges(ready.entries);
  Send(std::move(ready.messages));
  if (ready.snapshot) {
    snapshot_taken_ = ready.snapshot->metadata.index;
    NoteConfiguration(ready.snapshot->metadata.conf_state);
  }
  // That a configuration change is committed must survive: a member that forgot it could count a
  // majority of a configuration that is past.
  for (const raft::Entry& entry : ready.committed)
    ready.must_sync |= ready.hard_state.has_value() && entry.type != raft::EntryType::kNormal;
  if (ready.persist_id.value() != 0) persister_.Add(ready);
  if (!ready.committed.empty()) {
    loops_.apply.Post([apply = apply_, entries = std::move(ready.committed)]() mutable {
      apply->OnCommitted(std::move(entries));
    });
  }
  AnswerReads(std::move(ready.read_states));
}

void RaftLoop::NoteLeaseChanges(const std::vector<raft::Entry>& entries) {
  for (const raft::Entry& entry : entries) {
    if (entry.type == raft::EntryType::kNormal && state::MayChangeLeases(entry.data.view()))
      info_.lease_logged.store(entry.index.value(), std::memory_order_release);
  }
}

void RaftLoop::AnswerReads(std::vector<raft::ReadState> reads) {
  for (const raft::ReadState& read : reads) {
    if (read.context.size() == 9 && read.context.back() == kProof)
      OnLeadProved(ReadNumber(std::string_view(read.context).substr(0, 8)));
    if (read.context.size() != 8) continue;  // not one of ours
    const uint64_t id = ReadNumber(read.context);
    const std::optional<size_t> number = ids_.LoopOf(id);
    if (!number) continue;  // an earlier life's
    Frontend* asked = frontends_[*number];
    asked->loop().Post([asked, id, index = read.index] {
      asked->OnReadReady({id, index, OkStatus()});
    });
  }
}

void RaftLoop::OnNewLeader(bool this_member) {
  info_.leader_changes.Add();
  info_.leader_elected_at.store(loops_.raft.clock().Now().count(), std::memory_order_relaxed);
  // What a leader has applied is complete once its own first entry is: everything acknowledged
  // lies before it.
  if (this_member) complete_from_ = raft_.Status().last_index;
  for (Frontend* frontend : frontends_)
    frontend->loop().Post([frontend] { frontend->OnLeaderChanged(); });
  loops_.apply.Post([apply = apply_] { apply->OnLeaderChanged(); });
}

void RaftLoop::PublishInfo() {
  const bool leads = raft_.role() == raft::Role::kLeader;
  const uint64_t leader = raft_.leader().value();
  const uint64_t term = raft_.term().value();
  // First: who is told below of a new leader looks here, and nobody tells it again.
  info_.term.store(term, std::memory_order_relaxed);
  info_.leader.store(leader, std::memory_order_relaxed);
  info_.commit_index.store(raft_.commit_index().value(), std::memory_order_release);
  info_.raft_log_bytes.store(raft_.log_bytes(), std::memory_order_relaxed);
  const uint64_t unapplied = raft_.last_index().value() - raft_.applied_index().value();
  unapplied_.Set(held_bytes_ + raft_.uncommitted_bytes() +
                 unapplied * limits::kLogEntryOverheadBytes);
  info_.is_leader.store(leads, std::memory_order_relaxed);
  if (leader != leader_seen_ || (leads && term != term_seen_)) {
    log_.Info(leader == 0 ? "lost leader"
              : leads     ? "became leader"
                          : "leader changed",
              {{"term", term}, {"leader-id", cluster::HexId(leader)}});
    leader_seen_ = leader;
    leader_lost_ = false;
    term_seen_ = term;
    if (leader != 0) OnNewLeader(leads);
  }
  const bool sole = raft_.SoleMember() && !stopping_ && applied_ >= complete_from_;
  if (sole) CHECK(alone_) << "the log knows no other member, but the server does";
  info_.sole_member_leads.store(sole, std::memory_order_release);
  const uint64_t led = std::exchange(term_led_, leads ? term : 0);
  if (led != 0 && led != term_led_) loops_.apply.Post([apply = apply_] { apply->OnDeposed(); });
}

}  // namespace quoin::server
