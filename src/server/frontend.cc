#include "server/frontend.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "base/errors.h"
#include "base/limits.h"
#include "proto/rpc.pb.h"
#include "server/raft_loop.h"

namespace quoin::server {
namespace {

constexpr uint64_t kReadBit = uint64_t{1} << 63;  // tells waits for reads from waits for proposals
constexpr env::Duration kDeadlineGranule = std::chrono::milliseconds(50);
constexpr env::Duration kReadRetry = std::chrono::milliseconds(500);

}  // namespace

Frontend::Frontend(size_t number, const RequestIds& ids, const NodeConfig& config, NodeInfo& info,
                   env::Executor& loop, env::Executor& raft_executor, env::Executor& bulk,
                   RaftLoop& raft, std::shared_ptr<Data> data)
    : number_(number),
      ids_(ids),
      config_(config),
      info_(info),
      loop_(loop),
      raft_executor_(raft_executor),
      raft_(raft),
      bulk_(bulk),
      data_(std::move(data)),
      slot_(std::make_unique<EpochDomain::ReaderSlot>(data_->tree->epochs())) {}

Frontend::~Frontend() = default;

StatusOr<Frontend::Wait> Frontend::Propose(state::Operation operation, std::string_view payload,
                                           OnApplied done) {
  const size_t bytes = state::EncodedCommandSize(IdOf(next_sequence_), operation, payload.size());
  ASSIGN_OR_RETURN(const WaitId id, Register(bytes, std::move(done)));
  if (gathered_.empty()) {
    loop_.AtEndOfTurn([this] { FlushProposals(); });
  }
  gathered_.push_back({id, state::EncodeCommand(id, operation, payload)});
  return Wait(*this, id);
}

StatusOr<Frontend::Wait> Frontend::ProposeAsLeader(Term term, state::Operation operation,
                                                   std::string_view payload, OnApplied done) {
  ASSIGN_OR_RETURN(Wait wait, Propose(operation, payload, std::move(done)));
  gathered_.back().as_leader_of = term;
  return wait;
}

StatusOr<Frontend::Wait> Frontend::ProposeConfChange(raft::ConfChange change, OnApplied done) {
  ASSIGN_OR_RETURN(const WaitId id, Register(change.context.size(), std::move(done)));
  change.id = id;
  raft_executor_.Post([&raft = raft_, number = number_, change = std::move(change)]() mutable {
    raft.OnConfChangeProposal(number, std::move(change));
  });
  return Wait(*this, id);
}

StatusOr<Frontend::WaitId> Frontend::Register(size_t bytes, OnApplied done) {
  if (stopping_) return errors::Stopped();
  uint64_t commit = info_.commit_index.load(std::memory_order_relaxed);
  if (commit > info_.applied_index.load(std::memory_order_relaxed) + limits::kApplyLagMax) {
    return errors::TooManyRequests();
  }
  if (bounded_ && info_.unapplied.over()) return errors::TooManyRequests();
  if (bounded_ && bytes > config_.request_bytes_max) return errors::RequestTooLarge();
  const uint64_t id = IdOf(next_sequence_);
  CHECK((id & kReadBit) == 0);
  NoteDeadline();
  ++next_sequence_;
  waiting_.emplace(id, std::move(done));
  Account();
  info_.proposals_pending.Add(1);
  return id;
}

void Frontend::FlushProposals() {
  if (std::exchange(gathered_cancelled_, false)) {
    std::erase_if(gathered_,
                  [this](const Proposal& p) { return !waiting_.contains(p.request_id); });
  }
  if (gathered_.empty()) return;
  raft_executor_.Post([&raft = raft_, number = number_, batch = std::move(gathered_)]() mutable {
    raft.OnProposals(number, std::move(batch));
  });
  gathered_.clear();
}

bool Frontend::HasSpace(int64_t cost) const {
  if (cost == 0 || config_.quota_bytes < 0) return true;
  return static_cast<int64_t>(data_->tree->stats().file_bytes) + cost < config_.quota_bytes;
}

StatusOr<Frontend::Wait> Frontend::RefuseForSpace(OnApplied done) {
  etcdserverpb::AlarmRequest alarm;
  alarm.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  alarm.set_memberid(info_.member_id);
  alarm.set_alarm(etcdserverpb::NOSPACE);
  StatusOr<Wait> wait = Propose(state::Operation::kAlarm, alarm.SerializeAsString(),
                                [done = std::move(done)](const state::ApplyResult&) mutable {
                                  state::ApplyResult refused;
                                  refused.status = errors::NoSpace();
                                  done(std::move(refused));
                                });
  if (!wait.ok()) return errors::NoSpace();
  return wait;
}

Frontend::Wait Frontend::WaitReadable(OnReadable done) {
  NoteDeadline();
  const WaitId wait = kReadBit | next_read_++;
  if (gathered_reads_.empty()) {
    loop_.AtEndOfTurn([this] { StartReadRound(); });
  }
  gathered_reads_.emplace_back(wait, std::move(done));
  return Wait(*this, wait);
}

// The commit index of this moment covers all that any member has acknowledged: one that another
// member acts on has been published before (RaftLoop::Send checks it), and no other one leads. The
// flag is loaded first: it is set after the commit index that goes with it.
bool Frontend::ReadableNow() const {
  if (!info_.sole_member_leads.load(std::memory_order_acquire)) return false;
  const Index committed(info_.commit_index.load(std::memory_order_acquire));
  return VisibleIndex() >= committed;
}

// What was applied up to here is visible on this loop, in the store and in the views. The store is
// shared; the views come by post, so that a batch which has changed them must have arrived.
Index Frontend::VisibleIndex() const {
  const Index applied(info_.applied_index.load(std::memory_order_seq_cst));
  const bool views_are_new = info_.views_shared.load(std::memory_order_acquire) == views_taken_;
  return views_are_new ? std::max(applied_, applied) : applied_;
}

void Frontend::NoteRounds() {
  const bool wait = !rounds_.empty();
  if (wait != reads_wait_.load(std::memory_order_relaxed))
    reads_wait_.store(wait, std::memory_order_seq_cst);
}

void Frontend::StartReadRound() {
  if (stopping_) return AnswerReads(std::exchange(gathered_reads_, {}), errors::Stopped());
  if (gathered_reads_.empty()) return;
  // A round that is under way was asked for before these reads came: they need one of their own.
  if (!rounds_.empty() && !rounds_.back().index) return;  // started when that one is answered
  ReadRound round;
  round.reads = std::move(gathered_reads_);
  gathered_reads_.clear();
  rounds_.push_back(std::move(round));
  NoteRounds();
  if (info_.sole_member_leads.load(std::memory_order_acquire)) {
    rounds_.back().index = Index(info_.commit_index.load(std::memory_order_acquire));
    return ReleaseReads();
  }
  AskForRound();
  if (read_retry_timer_.value == 0)
    read_retry_timer_ = loop_.RunAfter(kReadRetry, [this] { OnReadRetryTimer(); });
}

// Every request has an id that no member ever used before: an answer that comes late, even to an
// earlier life of this member, then fits nothing.
void Frontend::AskForRound() {
  ReadRound& round = rounds_.back();
  round.asked = loop_.clock().Now();
  round.ids.push_back(IdOf(next_sequence_++));
  raft_executor_.Post(
      [&raft = raft_, number = number_, id = round.ids.back()] { raft.OnReadIndex(number, id); });
}

// The question or its answer was lost, or there was nobody to ask.
void Frontend::OnReadRetryTimer() {
  read_retry_timer_ = {};
  if (rounds_.empty() || rounds_.back().index) return;
  if (rounds_.back().reads.empty()) {  // all have given up
    rounds_.pop_back();
    NoteRounds();
    return StartReadRound();
  }
  env::Duration wait = rounds_.back().asked + kReadRetry - loop_.clock().Now();
  if (wait <= env::Duration(0)) {
    AskForRound();
    wait = kReadRetry;
  }
  read_retry_timer_ = loop_.RunAfter(wait, [this] { OnReadRetryTimer(); });
}

void Frontend::OnReadReady(ReadReady ready) {
  if (rounds_.empty() || rounds_.back().index) return;
  ReadRound& round = rounds_.back();
  if (std::find(round.ids.begin(), round.ids.end(), ready.id) == round.ids.end()) return;
  if (ready.status.ok()) {
    round.index = ready.index;
    ReleaseReads();
  } else {
    Reads reads = std::move(round.reads);
    rounds_.pop_back();
    NoteRounds();
    AnswerReads(std::move(reads), ready.status);
  }
  StartReadRound();
}

void Frontend::OnLeaderChanged() {
  if (rounds_.empty() || rounds_.back().index) return;
  OnReadReady({rounds_.back().ids.back(), Index(), errors::LeaderChanged()});
}

void Frontend::ReleaseReads() {
  if (rounds_.empty()) return;
  const Index visible = VisibleIndex();
  while (!rounds_.empty() && rounds_.front().index && *rounds_.front().index <= visible) {
    Reads reads = std::move(rounds_.front().reads);
    rounds_.pop_front();
    NoteRounds();
    AnswerReads(std::move(reads), OkStatus());
  }
}

// One after another: an answer may cancel those that follow.
void Frontend::AnswerReads(Reads reads, const Status& status) {
  for (auto& [wait, done] : reads) answering_.push_back({wait, std::move(done), status});
  while (!answering_.empty()) {
    Answering next = std::move(answering_.front());
    answering_.pop_front();
    next.done(std::move(next.status));
  }
}

void Frontend::OnPublished(Published published) {
  applied_ = std::max(applied_, published.applied);
  if (published.data != nullptr) {
    ++views_taken_;
    slot_ = std::make_unique<EpochDomain::ReaderSlot>(published.data->tree->epochs());
    bulk_.Post([old = std::exchange(data_, std::move(published.data))] {});
  }
  if (published.cluster != nullptr) {
    ++views_taken_;
    cluster_ = std::move(published.cluster);
  }
  for (Completion& completion : published.completions) {
    auto waiting = waiting_.find(completion.request_id);
    if (waiting == waiting_.end()) continue;  // gave up
    OnApplied done = std::move(waiting->second);
    waiting_.erase(waiting);
    info_.proposals_pending.Add(-1);
    done(std::move(completion.result));
  }
  Account();
  if (on_events_ && published.revision != 0) on_events_(published.revision, published.events.get());
  ReleaseReads();
}

void Frontend::OnRefused(std::vector<uint64_t> request_ids, const Status& status) {
  Published answers;
  for (uint64_t id : request_ids) {
    Completion completion;
    completion.request_id = id;
    completion.result.status = status;
    info_.proposals_failed.Add();
    answers.completions.push_back(std::move(completion));
  }
  OnPublished(std::move(answers));
}

void Frontend::Cancel(WaitId wait) {
  if ((wait & kReadBit) == 0) {
    if (waiting_.erase(wait) == 0) return;
    Account();
    info_.proposals_pending.Add(-1);
    // Ids ascend: it has not left this turn yet.
    if (!gathered_.empty() && wait >= gathered_.front().request_id) gathered_cancelled_ = true;
    return;
  }
  auto same = [wait](const auto& read) { return read.first == wait; };
  std::erase_if(gathered_reads_, same);
  std::erase_if(answering_, [wait](const Answering& read) { return read.wait == wait; });
  for (ReadRound& round : rounds_) std::erase_if(round.reads, same);
}

void Frontend::NoteDeadline() {
  const env::Duration at = loop_.clock().Now() + config_.RequestTimeout();
  if (!deadlines_.empty() && at < deadlines_.back().at + kDeadlineGranule) return;
  deadlines_.push_back({at, next_sequence_, kReadBit | next_read_});
  if (deadline_timer_.value != 0) return;
  deadline_timer_ =
      loop_.RunAfter(config_.RequestTimeout() + kDeadlineGranule, [this] { OnDeadlineTimer(); });
}

void Frontend::OnDeadlineTimer() {
  deadline_timer_ = {};
  const env::Duration now = loop_.clock().Now();
  while (!deadlines_.empty() && deadlines_.front().at + kDeadlineGranule <= now) {
    const Status status = TimeoutSince(deadlines_.front().at - config_.RequestTimeout());
    deadlines_.pop_front();
    const bool last = deadlines_.empty();
    ExpireBefore(last ? next_sequence_ : deadlines_.front().first_proposal,
                 last ? kReadBit | next_read_ : deadlines_.front().first_read, status);
  }
  if (deadlines_.empty() || deadline_timer_.value != 0) return;
  deadline_timer_ =
      loop_.RunAfter(deadlines_.front().at + kDeadlineGranule - now, [this] { OnDeadlineTimer(); });
}

// Why a proposal that was made then has had no answer, as far as this member can tell.
Status Frontend::TimeoutSince(env::Duration started) const {
  const env::Duration elected(info_.leader_elected_at.load(std::memory_order_relaxed));
  if (started > elected - 2 * config_.election_timeout && started < elected)
    return errors::TimedOutLeaderFailure();
  const env::Duration connected(info_.connected_since.load(std::memory_order_relaxed));
  if (info_.leader.load(std::memory_order_relaxed) != 0 && connected > started)
    return errors::TimedOutConnectionLost();
  return errors::TimedOut();
}

void Frontend::ExpireBefore(uint64_t proposal_end, WaitId read_end, const Status& status) {
  std::vector<uint64_t> late;
  for (; expired_before_ < proposal_end; ++expired_before_) {
    if (waiting_.contains(IdOf(expired_before_))) late.push_back(IdOf(expired_before_));
  }
  OnRefused(std::move(late), status);
  Reads expired;
  auto take = [&](Reads& reads) {
    auto end = std::find_if(reads.begin(), reads.end(),
                            [read_end](const auto& read) { return read.first >= read_end; });
    std::move(reads.begin(), end, std::back_inserter(expired));
    reads.erase(reads.begin(), end);  // ascending
  };
  for (ReadRound& round : rounds_) take(round.reads);
  take(gathered_reads_);
  AnswerReads(std::move(expired), errors::TimedOut());
}

void Frontend::Stop() {
  stopping_ = true;
  loop_.Cancel(deadline_timer_);
  loop_.Cancel(read_retry_timer_);
  std::vector<uint64_t> ids;
  for (; expired_before_ < next_sequence_; ++expired_before_) {
    if (waiting_.contains(IdOf(expired_before_))) ids.push_back(IdOf(expired_before_));
  }
  OnRefused(std::move(ids), errors::Stopped());
  AnswerReads(std::exchange(gathered_reads_, {}), errors::Stopped());
  while (!rounds_.empty()) {
    Reads reads = std::move(rounds_.front().reads);
    rounds_.pop_front();
    AnswerReads(std::move(reads), errors::Stopped());
  }
}

}  // namespace quoin::server
