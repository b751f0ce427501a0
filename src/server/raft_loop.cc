#include "server/raft_loop.h"

#include "base/check.h"
#include "base/errors.h"
#include "base/limits.h"
#include "server/apply_loop.h"
#include "server/frontend.h"

namespace quoin::server {
namespace {

// A read's context names who asked: 8 bytes round, 8 bytes frontend.
std::string ReadContext(size_t frontend, uint64_t round) {
  std::string context(16, '\0');
  for (int i = 0; i < 8; ++i) {
    context[i] = static_cast<char>(round >> (8 * i));
    context[8 + i] = static_cast<char>(static_cast<uint64_t>(frontend) >> (8 * i));
  }
  return context;
}

uint64_t ReadNumber(std::string_view bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
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
                   wal::Writer& wal, Logger& log)
    : config_(config), info_(info), loops_(loops), raft_(std::move(raft)), wal_(wal), log_(log) {}

RaftLoop::~RaftLoop() = default;

void RaftLoop::Connect(ApplyLoop& apply, std::vector<Frontend*> frontends) {
  apply_ = &apply;
  frontends_ = std::move(frontends);
}

void RaftLoop::Start() {
  raft::RaftStatus status = raft_.Status();
  const raft::ConfState& conf = status.conf_state;
  alone_ = conf.voters.size() == 1 && conf.voters_outgoing.empty() &&
           conf.voters[0].value() == info_.member_id;
  Tick();
  CampaignIfAlone();
  ScheduleTurn();
}

void RaftLoop::Stop(env::Task stopped) {
  stopping_ = true;
  loops_.raft.Cancel(tick_timer_);
  info_.sole_voter_leads.store(false, std::memory_order_release);
  stopped_ = std::move(stopped);
  ScheduleTurn();
}

void RaftLoop::Tick() {
  tick_timer_ = loops_.raft.RunAfter(config_.heartbeat_interval, [this] { Tick(); });
  raft_.Tick();
  ScheduleTurn();
}

void RaftLoop::OnProposals(size_t frontend, std::vector<Proposal> batch) {
  if (stopping_) return;  // the frontends have answered their callers
  std::vector<SharedBytes> requests;
  requests.reserve(batch.size());
  for (Proposal& proposal : batch) requests.push_back(std::move(proposal.data));
  Status status = StatusOf(raft_.Propose(std::move(requests)));
  if (!status.ok()) {
    std::vector<uint64_t> ids;
    for (const Proposal& proposal : batch) ids.push_back(proposal.request_id);
    Frontend* refused = frontends_[frontend];
    refused->loop().Post([refused, ids = std::move(ids), status]() mutable {
      refused->OnRefused(std::move(ids), status);
    });
  }
  ScheduleTurn();
}

void RaftLoop::OnReadIndex(size_t frontend, uint64_t round) {
  if (stopping_) return;
  Status status = StatusOf(raft_.ReadIndex(ReadContext(frontend, round)));
  if (!status.ok()) {
    info_.read_indexes_failed.Add();
    Frontend* asked = frontends_[frontend];
    asked->loop().Post([asked, round, status] { asked->OnReadReady({round, Index(), status}); });
  }
  ScheduleTurn();
}

void RaftLoop::OnApplied(Index index) {
  applied_ = index;
  raft_.Applied(index);
  ScheduleTurn();
}

void RaftLoop::OnConfChange(Index index, std::optional<raft::ConfChange> change) {
  std::optional<raft::ConfChangeV2> v2;
  if (change) v2 = raft::AsV2(*change);
  raft::ConfState state = raft_.ConfChangeApplied(index, v2);
  alone_ = state.voters.size() == 1 && state.voters_outgoing.empty() &&
           state.voters[0].value() == info_.member_id;
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

void RaftLoop::OnSnapshotSaved(raft::SnapshotMetadata metadata) {
  const Index index = metadata.index;
  wal::Writer::Batch batch;
  batch.snapshot = wal::SnapshotRecord{metadata.index, metadata.term, metadata.conf_state};
  ++persists_under_way_;
  loops_.wal.Post([this, batch = std::move(batch), index]() mutable {
    wal_.Append(std::move(batch), [this, index](Status status) {
      DieOnWalError(status);
      wal_.ReleaseTo(index, config_.wals_max);
      loops_.raft.Post([this] { --persists_under_way_, ScheduleTurn(); });
    });
  });
  const uint64_t keep = config_.catch_up_entries;
  if (index.value() > keep)
    raft_.Compact(Index(index.value() - keep), std::move(metadata), SharedBytes());
  ScheduleTurn();
}

void RaftLoop::ScheduleTurn() {
  if (turn_scheduled_) return;
  turn_scheduled_ = true;
  loops_.raft.AtEndOfTurn([this] { Turn(); });
}

void RaftLoop::Turn() {
  turn_scheduled_ = false;
  while (!stopping_ && raft_.HasReady()) TakeOneReady();
  PublishInfo();
  if (stopping_ && persists_under_way_ == 0 && stopped_) std::exchange(stopped_, nullptr)();
}

void RaftLoop::TakeOneReady() {
  raft::Ready ready = raft_.TakeReady();
  PublishInfo();  // before any message leaves: see sole_voter_leads
  CHECK(!ready.snapshot) << "a snapshot without a peer to send it";
  if (ready.persist_id.value() != 0) Persist(ready);
  if (!ready.committed.empty()) {
    loops_.apply.Post([apply = apply_, entries = std::move(ready.committed)]() mutable {
      apply->OnCommitted(std::move(entries));
    });
  }
  AnswerReads(std::move(ready.read_states));
}

void RaftLoop::Persist(raft::Ready& ready) {
  wal::Writer::Batch batch;
  batch.entries = std::move(ready.entries);
  batch.hard_state = ready.hard_state;
  batch.must_sync = ready.must_sync;
  ++persists_under_way_;
  loops_.wal.Post([this, batch = std::move(batch), id = ready.persist_id]() mutable {
    wal_.Append(std::move(batch), [this, id](Status status) {
      DieOnWalError(status);
      loops_.raft.Post([this, id] {
        --persists_under_way_;
        raft_.Persisted(id);
        ScheduleTurn();
      });
    });
  });
}

void RaftLoop::AnswerReads(std::vector<raft::ReadState> reads) {
  for (const raft::ReadState& read : reads) {
    if (read.context.size() != 16) continue;  // not one of ours
    uint64_t round = ReadNumber(read.context);
    uint64_t number = ReadNumber(std::string_view(read.context).substr(8));
    CHECK_LT(number, frontends_.size());
    Frontend* asked = frontends_[number];
    asked->loop().Post([asked, round, index = read.index] {
      asked->OnReadReady({round, index, OkStatus()});
    });
  }
}

void RaftLoop::PublishInfo() {
  const bool leads = raft_.role() == raft::Role::kLeader;
  const uint64_t leader = raft_.leader().value();
  if (leader != leader_seen_) {
    leader_seen_ = leader;
    info_.leader_changes.Add();
    // What a leader has applied is complete once its own first entry is: everything acknowledged
    // lies before it.
    if (leads) complete_from_ = raft_.Status().last_index;
    log_.Info(leads ? "became leader" : "leader changed",
              {{"term", raft_.term().value()}, {"leader-id", cluster::HexId(leader)}});
  }
  info_.term.store(raft_.term().value(), std::memory_order_relaxed);
  info_.leader.store(leader, std::memory_order_relaxed);
  info_.commit_index.store(raft_.commit_index().value(), std::memory_order_relaxed);
  info_.is_leader.store(leads, std::memory_order_relaxed);
  info_.sole_voter_leads.store(leads && alone_ && !stopping_ && applied_ >= complete_from_,
                               std::memory_order_release);
}

void RaftLoop::DieOnWalError(const Status& status) {
  if (!status.ok()) DieOnDiskError(std::string(status.message()));
}

}  // namespace quoin::server
