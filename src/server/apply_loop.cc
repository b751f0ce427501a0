#include "server/apply_loop.h"

#include <algorithm>

#include "base/check.h"
#include "base/errors.h"
#include "raft_types/codec.h"
#include "server/raft_loop.h"
#include "wal/wal.h"

namespace quoin::server {
namespace {

constexpr size_t kRelocatePagesPerTurn = 256;

// Keeps the newest `keep_max` .snap files; names sort by term and index.
void PurgeSnapFiles(env::BlockingFileSystem& files, const std::string& dir, size_t keep_max) {
  StatusOr<std::vector<std::string>> names = files.List(dir);
  if (!names.ok() || keep_max == 0) return;
  std::erase_if(*names, [](const std::string& name) { return !name.ends_with(".snap"); });
  for (size_t i = 0; i + keep_max < names->size(); ++i) (void)files.Remove(dir + "/" + (*names)[i]);
}

// Whether an operation may change what ClusterInfo tells.
bool ChangesClusterInfo(state::Operation operation) {
  return operation == state::Operation::kAlarm || operation == state::Operation::kLegacy ||
         operation >= state::Operation::kAuthEnable;
}

}  // namespace

ApplyLoop::ApplyLoop(const NodeConfig& config, NodeInfo& info, Loops loops, env::FileSystem& files,
                     std::string snap_dir, state::StateMachine& machine, const RequestIds& ids,
                     Logger& log)
    : config_(config),
      info_(info),
      loops_(loops),
      files_(files),
      snap_dir_(std::move(snap_dir)),
      machine_(machine),
      ids_(ids),
      log_(log) {}

ApplyLoop::~ApplyLoop() = default;

void ApplyLoop::Connect(RaftLoop& raft, std::vector<Frontend*> frontends) {
  raft_ = &raft;
  frontends_ = std::move(frontends);
  completions_.resize(frontends_.size());
}

void ApplyLoop::Start() {
  last_snapshot_ = machine_.applied_index();
  CheckpointTimer();
  EndBatch();
  ScheduleCompaction();
}

void ApplyLoop::OnCommitted(std::vector<raft::Entry> entries) {
  for (raft::Entry& entry : entries) queue_.push_back(std::move(entry));
  Drain();
}

void ApplyLoop::Drain() {
  if (waits_for_conf_state_ || queue_.empty()) return;
  const env::Duration start = loops_.apply.clock().Now();
  while (!queue_.empty() && !waits_for_conf_state_) {
    raft::Entry entry = std::move(queue_.front());
    queue_.pop_front();
    ApplyEntry(entry);
  }
  EndBatch();
  if (loops_.apply.clock().Now() - start > std::chrono::milliseconds(100)) info_.slow_applies.Add();
}

void ApplyLoop::ApplyEntry(const raft::Entry& entry) {
  info_.proposals_applied.Add();
  if (entry.type == raft::EntryType::kNormal) {
    const state::Command command = state::ParseLogged(entry.index, entry.data);
    std::optional<size_t> waiter;
    if (command.operation != state::Operation::kNone) waiter = ids_.LoopOf(command.request_id);
    state::ApplyResult result =
        machine_.Apply(entry.index, entry.term, command, waiter.has_value());
    cluster_changed_ |= ChangesClusterInfo(command.operation);
    if (!waiter) return;
    Completion completion{command.request_id, std::move(result)};
    if (completion.result.wait_for_compaction) {
      waits_for_compaction_.emplace_back(*waiter, std::move(completion));
    } else {
      completions_[*waiter].push_back(std::move(completion));
    }
    return;
  }
  // Configuration changes: etcd proposes the first form only; the second is understood for raft's
  // own sake.
  std::optional<raft::ConfChange> effective;
  if (entry.type == raft::EntryType::kConfChange) {
    StatusOr<raft::ConfChange> change = raft::DecodeConfChange(entry.data);
    if (!change.ok())
      DieOnDiskError("log entry " + std::to_string(entry.index.value()) +
                     ": malformed configuration change");
    state::StateMachine::ConfChangeResult result =
        machine_.ApplyConfChange(entry.index, entry.term, *change);
    if (result.effective) effective = *change;
    if (std::optional<size_t> waiter = ids_.LoopOf(change->id)) {
      Completion completion;
      completion.request_id = change->id;
      completion.result.status = result.status;
      completions_[*waiter].push_back(std::move(completion));
    }
  }
  cluster_changed_ = true;
  waits_for_conf_state_ = true;
  loops_.raft.Post(
      [raft = raft_, index = entry.index, effective] { raft->OnConfChange(index, effective); });
}

void ApplyLoop::OnConfState(raft::ConfState state) {
  machine_.SetConfState(state);
  waits_for_conf_state_ = false;
  EndBatch();
  Drain();
}

void ApplyLoop::EndBatch() {
  machine_.Publish();
  const Index applied = machine_.applied_index();
  info_.applied_index.store(applied.value(), std::memory_order_release);
  if (!machine_.membership().cluster_version().empty())
    info_.capable.store(true, std::memory_order_release);
  if (cluster_changed_) ShareClusterInfo();
  for (size_t i = 0; i < frontends_.size(); ++i) {
    // Loops without an answer learn the applied index only if reads may wait for it there.
    if (completions_[i].empty() && info_.sole_voter_leads.load(std::memory_order_relaxed)) continue;
    Frontend* frontend = frontends_[i];
    frontend->loop().Post(
        [frontend,
         published = Published{applied, std::exchange(completions_[i], {}), nullptr}]() mutable {
          frontend->OnPublished(std::move(published));
        });
  }
  loops_.raft.Post([raft = raft_, applied] { raft->OnApplied(applied); });
  ScheduleCompaction();
  if (machine_.tree().stats().dirty_bytes > config_.checkpoint_dirty_bytes)
    MaybeCheckpoint(/*force=*/true);
  if (after_batch_) after_batch_();
}

void ApplyLoop::ShareClusterInfo() {
  cluster_changed_ = false;
  auto info = std::make_shared<ClusterInfo>();
  for (const auto& [id, member] : machine_.membership().members()) info->members.push_back(member);
  info->cluster_version = machine_.membership().cluster_version();
  info->storage_version = machine_.storage_version();
  info->downgrade = machine_.membership().downgrade();
  info->alarms.assign(machine_.alarms().begin(), machine_.alarms().end());
  info->auth_enabled = machine_.auth().enabled();
  auto self = machine_.membership().members().find(info_.member_id);
  info_.is_learner.store(self != machine_.membership().members().end() && self->second.learner);
  for (Frontend* frontend : frontends_) {
    frontend->loop().Post([frontend, applied = machine_.applied_index(), info] {
      frontend->OnPublished({applied, {}, info});
    });
  }
}

// --- compaction ---

void ApplyLoop::ScheduleCompaction() {
  if (compaction_scheduled_ || stopping_ || !machine_.store().compaction_pending()) return;
  compaction_scheduled_ = true;
  if (config_.compaction_pause.count() > 0) {
    loops_.apply.RunAfter(config_.compaction_pause, [this] { CompactionTurn(); });
  } else {
    loops_.apply.Post([this] { CompactionTurn(); });
  }
}

void ApplyLoop::CompactionTurn() {
  compaction_scheduled_ = false;
  if (stopping_) return;
  const bool finished = machine_.CompactionSlice(config_.compaction_batch_revisions);
  machine_.Publish();
  if (!finished) return ScheduleCompaction();
  // `physical` compactions answer only now, with their effect on disk.
  if (waits_for_compaction_.empty()) return;
  after_checkpoint_.push_back(
      [this, waiting = std::exchange(waits_for_compaction_, {})](Status) mutable {
        for (auto& [frontend, completion] : waiting)
          completions_[frontend].push_back(std::move(completion));
        EndBatch();
      });
  MaybeCheckpoint(/*force=*/true);
}

// --- checkpoints and snapshots ---

void ApplyLoop::CheckpointTimer() {
  checkpoint_timer_ = loops_.apply.RunAfter(config_.checkpoint_interval, [this] {
    MaybeCheckpoint(/*force=*/false);
    CheckpointTimer();
  });
}

void ApplyLoop::MaybeCheckpoint(bool force) {
  if (checkpoint_ != nullptr) return;
  checkpoint_ = machine_.tree().BeginCheckpoint();
  if (checkpoint_ == nullptr) {  // nothing changed since the last one
    for (env::DoneStatus& done : std::exchange(after_checkpoint_, {})) done(OkStatus());
    return;
  }
  checkpoint_holds_ = {machine_.conf_state(), machine_.applied_index(), machine_.applied_term()};
  checkpoint_membership_ = machine_.membership().LegacyStoreJson();
  checkpoint_started_ = loops_.apply.clock().Now();
  // Slices spread over most of the interval, so that the log's syncs see an idle disk in between.
  const uint64_t slices = machine_.tree().stats().dirty_bytes / (1 << 20) + 1;
  env::Duration pace = force ? env::Duration(0)
                             : config_.checkpoint_interval * 8 / 10 / static_cast<int64_t>(slices);
  pace = std::min<env::Duration>(pace, std::chrono::milliseconds(100));
  loops_.storage.Post([this, pace, image = checkpoint_.get()] {
    machine_.tree().RunCheckpoint(*image, loops_.storage, pace, [this](Status status) {
      loops_.apply.Post([this, status] { OnCheckpointWritten(status); });
    });
  });
}

void ApplyLoop::OnCheckpointWritten(Status status) {
  if (!status.ok()) DieOnDiskError(std::string(status.message()));
  info_.backend_commit.Observe((loops_.apply.clock().Now() - checkpoint_started_).count());
  machine_.tree().EndCheckpoint(std::move(checkpoint_));
  checkpoint_ = nullptr;
  raft::SnapshotMetadata held = std::exchange(checkpoint_holds_, {});
  if (held.index.value() >= last_snapshot_.value() + config_.snapshot_count) {
    MaybeSaveSnapshot(std::move(held), std::move(checkpoint_membership_));
  }
  for (env::DoneStatus& done : std::exchange(after_checkpoint_, {})) done(OkStatus());
  if (stopping_) FinishStop();
}

void ApplyLoop::MaybeSaveSnapshot(raft::SnapshotMetadata metadata, std::string data) {
  if (snapshot_under_way_ || stopping_ || metadata.index.value() == 0) return;
  snapshot_under_way_ = true;
  loops_.storage.Post([this, metadata = std::move(metadata), data = std::move(data)]() mutable {
    raft::Snapshot snapshot{SharedBytes(data), metadata};
    Status status = wal::WriteSnapFile(files_.blocking(), snap_dir_, snapshot);
    if (!status.ok()) DieOnDiskError(std::string(status.message()));
    PurgeSnapFiles(files_.blocking(), snap_dir_, config_.snapshots_max);
    loops_.apply.Post([this, metadata = std::move(metadata)]() mutable {
      snapshot_under_way_ = false;
      last_snapshot_ = metadata.index;
      log_.Info("saved snapshot", {{"snapshot-index", metadata.index.value()}});
      loops_.raft.Post([raft = raft_, metadata = std::move(metadata)]() mutable {
        raft->OnSnapshotSaved(std::move(metadata));
      });
      if (stopping_) FinishStop();
    });
  });
}

// --- frozen images and space ---

void ApplyLoop::Freeze(OnImage ready) {
  freezers_.push_back(std::move(ready));
  ServeFreezers();
}

void ApplyLoop::ServeFreezers() {
  if (frozen_ || freezers_.empty()) return;
  std::unique_ptr<btree::Image> image = machine_.tree().Freeze();
  CHECK(image != nullptr);
  frozen_ = true;
  OnImage ready = std::move(freezers_.front());
  freezers_.pop_front();
  ready(std::move(image));
}

void ApplyLoop::Thaw(std::unique_ptr<btree::Image> image) {
  machine_.tree().Thaw(std::move(image));
  frozen_ = false;
  ServeFreezers();
  if (stopping_) FinishStop();
}

void ApplyLoop::Defragment(env::DoneStatus done) {
  defragmenters_.push_back(std::move(done));
  if (defragmenters_.size() == 1) DefragmentTurn();
}

// One slice of moving per turn, so that writes go on in between; then two checkpoints: the file may
// only be cut once both metas know the lower mark.
void ApplyLoop::DefragmentTurn() {
  if (stopping_) {
    for (env::DoneStatus& done : std::exchange(defragmenters_, {})) done(errors::Stopped());
    return;
  }
  StatusOr<size_t> moved = machine_.tree().RelocateSlice(kRelocatePagesPerTurn);
  if (!moved.ok()) DieOnDiskError(std::string(moved.status().message()));
  machine_.Publish();
  if (*moved > 0) {
    idle_checkpoints_ = 0;
    loops_.apply.Post([this] { DefragmentTurn(); });
    return;
  }
  if (idle_checkpoints_ >= 3) {
    idle_checkpoints_ = 0;
    for (env::DoneStatus& done : std::exchange(defragmenters_, {})) done(OkStatus());
    return;
  }
  ++idle_checkpoints_;
  after_checkpoint_.push_back([this](Status) { loops_.apply.Post([this] { DefragmentTurn(); }); });
  MaybeCheckpoint(/*force=*/true);
}

// --- stop ---

void ApplyLoop::Stop(env::Task stopped) {
  stopping_ = true;
  loops_.apply.Cancel(checkpoint_timer_);
  stopped_ = std::move(stopped);
  freezers_.clear();
  FinishStop();
}

void ApplyLoop::FinishStop() {
  if (!stopped_ || checkpoint_ != nullptr || snapshot_under_way_ || frozen_) return;
  Status status = machine_.tree().CheckpointNow();
  if (!status.ok()) DieOnDiskError(std::string(status.message()));
  std::exchange(stopped_, nullptr)();
}

}  // namespace quoin::server
