#include "server/apply_loop.h"

#include <algorithm>

#include "base/check.h"
#include "base/errors.h"
#include "base/limits.h"
#include "base/unknown.h"
#include "base/version.h"
#include "raft_types/codec.h"
#include "server/lease_loop.h"
#include "server/raft_loop.h"
#include "wal/wal.h"

namespace quoin::server {
namespace {

constexpr size_t kRelocatePagesPerTurn = 256;
constexpr env::Duration kReadersPoll = std::chrono::milliseconds(10);
// A snapshot that is due does not wait for the next checkpoint if a checkpoint costs no more than
// this; but one of these follows the other after a pause.
constexpr size_t kHurriedSnapshotBytesMax = 4 << 20;
constexpr env::Duration kHurriedSnapshotPause = std::chrono::milliseconds(100);

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

// Tools wait for this line, also when a restart came in the middle of the compaction.
void LogCompaction(state::StateMachine& machine, Logger& log) {
  const std::vector<mvcc::HashResult> hashes = machine.store().CompactionHashes();
  const btree::Stats stats = machine.tree().stats();
  log.Info("finished scheduled compaction",
           {{"compact-revision", machine.store().compact_revision()},
            {"hash", static_cast<uint64_t>(hashes.empty() ? 0 : hashes.front().hash)},
            {"current-db-size-bytes", stats.file_bytes},
            {"current-db-size-in-use-bytes", stats.in_use_bytes}});
}

}  // namespace

ApplyLoop::ApplyLoop(const NodeConfig& config, NodeInfo& info, Loops loops, env::FileSystem& files,
                     Paths paths, std::shared_ptr<Data> data, const RequestIds& ids, Logger& log)
    : config_(config),
      info_(info),
      loops_(loops),
      files_(files),
      paths_(std::move(paths)),
      data_(std::move(data)),
      ids_(ids),
      log_(log) {}

ApplyLoop::~ApplyLoop() = default;

void ApplyLoop::Connect(RaftLoop& raft, LeaseLoop& leases, std::vector<Frontend*> frontends) {
  raft_ = &raft;
  leases_ = &leases;
  frontends_ = std::move(frontends);
  completions_.resize(frontends_.size());
}

void ApplyLoop::Start() {
  last_snapshot_ = machine().applied_index();
  CheckpointTimer();
  TellAllLeases();
  EndBatch();
  ScheduleCompaction();
}

void ApplyLoop::OnCommitted(std::vector<raft::Entry> entries) {
  if (ended_) return;
  for (raft::Entry& entry : entries) queue_.push_back(std::move(entry));
  Drain();
}

void ApplyLoop::Drain() {
  if (waits_for_conf_state_ || queue_.empty()) return;
  const env::Duration start = loops_.apply.clock().Now();
  machine().store().set_collect_events(info_.watchers.load(std::memory_order_acquire) > 0);
  while (!queue_.empty() && !waits_for_conf_state_) {
    raft::Entry entry = std::move(queue_.front());
    queue_.pop_front();
    ApplyEntry(entry);
  }
  EndBatch();
  TryInstall();
  if (loops_.apply.clock().Now() - start > std::chrono::milliseconds(100)) info_.slow_applies.Add();
}

void ApplyLoop::ApplyEntry(const raft::Entry& entry) {
  info_.proposals_applied.Add();
  if (entry.type == raft::EntryType::kNormal) {
    const state::Command command = state::ParseLogged(entry.index, entry.data);
    std::optional<size_t> waiter;
    if (command.operation != state::Operation::kNone) {
      waiter = ids_.LoopOf(command.request_id);
    } else {
      first_entry_of_ = entry.term;
    }
    state::ApplyResult result =
        machine().Apply(entry.index, entry.term, command, waiter.has_value());
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
  ApplyConfChange(entry);
}

void ApplyLoop::ApplyConfChange(const raft::Entry& entry) {
  const raft::ConfChange change = state::ParseLoggedChange(entry);
  std::optional<raft::ConfChange> effective;
  state::StateMachine::ConfChangeResult result =
      machine().ApplyConfChange(entry.index, entry.term, change);
  if (result.effective) effective = change;
  // Raft will say the same; a checkpoint may come before that, and holds this index.
  machine().SetConfState(machine().membership().ConfigurationState());
  if (std::optional<size_t> waiter = ids_.LoopOf(change.id)) {
    Completion completion;
    completion.request_id = change.id;
    completion.result.status = result.status;
    conf_change_done_.emplace(*waiter, std::move(completion));
  }
  cluster_changed_ = true;
  waits_for_conf_state_ = true;
  loops_.raft.Post(
      [raft = raft_, index = entry.index, effective] { raft->OnConfChange(index, effective); });
}

void ApplyLoop::OnConfState(raft::ConfState state) {
  if (ended_) return;
  machine().SetConfState(state);
  waits_for_conf_state_ = false;
  // Not before: whoever hears of it may ask for the next change at once, and raft makes nothing of
  // one that comes while it does not know that this one was applied.
  if (auto done = std::exchange(conf_change_done_, std::nullopt))
    completions_[done->first].push_back(std::move(done->second));
  EndBatch();
  Drain();
  ServeFreezers();
  TryInstall();
}

void ApplyLoop::EndBatch() {
  machine().Publish();
  const Index applied = machine().applied_index();
  if (!machine().membership().cluster_version().empty())
    info_.capable.store(true, std::memory_order_release);
  TellLeases();  // before anybody hears of what they granted, or may read up to here
  if (cluster_changed_) ShareClusterInfo();
  info_.applied_index.store(applied.value(), std::memory_order_seq_cst);
  std::shared_ptr<const watch::Batch> events = TakeEvents();
  const bool watched = info_.watchers.load() > 0;
  for (size_t i = 0; i < frontends_.size(); ++i) {
    // Loops without an answer learn of the batch only if reads or watchers wait for it there.
    if (completions_[i].empty() && !watched && !frontends_[i]->WantsBatches()) continue;
    Published published;
    published.applied = applied;
    published.completions = std::exchange(completions_[i], {});
    published.revision = published_revision_;
    published.events = events;
    Frontend* frontend = frontends_[i];
    frontend->loop().Post([frontend, published = std::move(published)]() mutable {
      frontend->OnPublished(std::move(published));
    });
  }
  loops_.raft.Post([raft = raft_, applied] { raft->OnApplied(applied); });
  ScheduleCompaction();
  BoundDirtyBytes();
  HurrySnapshot();
  if (after_batch_) after_batch_();
}

Index ApplyLoop::LeasesHeard() {
  const Index logged(info_.lease_logged.load(std::memory_order_acquire));
  if (machine().applied_index() >= logged) leases_heard_ = logged;
  return leases_heard_;
}

void ApplyLoop::TellAllLeases() {
  machine().TakeLeaseChanges();  // are among all
  loops_.lease.Post([leases = leases_, all = machine().lessor().All(), heard = LeasesHeard()] {
    leases->OnReplaced(all);
    leases->OnHeard(heard);
  });
}

// What is in the log and changes nothing (a lease that is not there is revoked) is heard too.
void ApplyLoop::TellLeases() {
  std::vector<lease::Change> changes = machine().TakeLeaseChanges();
  const Term first = std::exchange(first_entry_of_, Term());
  const Index heard_before = leases_heard_;
  const Index heard = LeasesHeard();
  if (changes.empty() && first.value() == 0 && heard == heard_before) return;
  loops_.lease.Post([leases = leases_, changes = std::move(changes), first, heard] {
    leases->OnChanges(changes);
    leases->OnHeard(heard);
    if (first.value() != 0) leases->OnFirstEntry(first);
  });
}

// By this way, because a first entry that is applied before it must also be told before it.
void ApplyLoop::OnDeposed() {
  loops_.lease.Post([leases = leases_] { leases->OnDeposed(); });
}

std::shared_ptr<const watch::Batch> ApplyLoop::TakeEvents() {
  auto batch = std::make_shared<watch::Batch>();
  batch->after = std::exchange(published_revision_, machine().store().current_revision());
  batch->revision = published_revision_;
  batch->events = machine().store().TakeEvents();
  // Without events in a batch that changed something nobody was watching when it began.
  if (batch->events.empty() && batch->after != batch->revision) return nullptr;
  return batch;
}

void ApplyLoop::ShareClusterInfo() {
  cluster_changed_ = false;
  auto info = std::make_shared<ClusterInfo>();
  for (const auto& [id, member] : machine().membership().members()) info->members.push_back(member);
  info->removed = machine().membership().removed_ids();
  info->cluster_version = machine().membership().cluster_version();
  NoteClusterVersion(info->cluster_version);
  info->storage_version = machine().storage_version();
  info->downgrade = machine().membership().downgrade();
  info->alarms.assign(machine().alarms().begin(), machine().alarms().end());
  info->auth_enabled = machine().auth().enabled();
  auto self = machine().membership().members().find(info_.member_id);
  // A member that joins does not find itself at first: it is no voter yet, whatever it will be.
  const bool found = self != machine().membership().members().end();
  info_.is_learner.store(found ? self->second.learner : !info->removed.contains(info_.member_id));
  info_.views_shared.fetch_add(1, std::memory_order_release);
  for (Frontend* frontend : frontends_) {
    frontend->loop().Post([frontend, applied = machine().applied_index(), info] {
      Published published;
      published.applied = applied;
      published.cluster = info;
      frontend->OnPublished(std::move(published));
    });
  }
  if (on_cluster_) on_cluster_(info);
}

// A server of the lower version is to start from what it understands, not from a log that was
// written for a higher one.
void ApplyLoop::NoteClusterVersion(const std::string& version) {
  if (ParseVersion(version) < ParseVersion(version_seen_)) {
    snapshot_due_ = machine().applied_index();
    MaybeCheckpoint(Pace::kFast);
  }
  version_seen_ = version;
}

// --- compaction ---

void ApplyLoop::ScheduleCompaction() {
  if (compaction_scheduled_ || stopping_ || !machine().store().compaction_pending()) return;
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
  if (machine().store().ReadersBelowCompaction()) return AwaitReaders();
  compaction_waits_since_.reset();
  const bool finished = machine().CompactionSlice(config_.compaction_batch_revisions);
  machine().Publish();
  if (!finished) return ScheduleCompaction();
  LogCompaction(machine(), log_);
  // `physical` compactions answer only now, with their effect on disk.
  if (waits_for_compaction_.empty()) return;
  after_checkpoint_.push_back(
      [this, waiting = std::exchange(waits_for_compaction_, {})](Status) mutable {
        for (auto& [frontend, completion] : waiting)
          completions_[frontend].push_back(std::move(completion));
        EndBatch();
      });
  MaybeCheckpoint(Pace::kFast);
}

// Answers that were begun below the compaction are completed first; not for ever.
void ApplyLoop::AwaitReaders() {
  const env::Duration now = loops_.apply.clock().Now();
  if (!compaction_waits_since_) compaction_waits_since_ = now;
  const bool too_long = now - *compaction_waits_since_ > limits::kCompactionWaitMax;
  machine().store().RevokePins(too_long ? env::Duration::max() : now - limits::kPinIdleMax);
  compaction_scheduled_ = true;
  loops_.apply.RunAfter(kReadersPoll, [this] { CompactionTurn(); });
}

// --- checkpoints and snapshots ---

void ApplyLoop::CheckpointTimer() {
  checkpoint_timer_ = loops_.apply.RunAfter(config_.checkpoint_interval, [this] {
    MaybeCheckpoint(Pace::kGentle);
    CheckpointTimer();
  });
}

// Half of what may be dirty is being written while the other half gathers. Should the disk fall
// behind, it gets no more pauses.
void ApplyLoop::BoundDirtyBytes() {
  const btree::Stats stats = machine().tree().stats();
  if (checkpoint_ == nullptr) {
    if (stats.dirty_bytes > config_.checkpoint_dirty_bytes / 2) MaybeCheckpoint(Pace::kGentle);
  } else if (stats.dirty_bytes + stats.writing_bytes > config_.checkpoint_dirty_bytes) {
    machine().tree().HurryCheckpoint();
  }
}

bool ApplyLoop::SnapshotDue(Index at) const {
  return (snapshot_due_ && at >= *snapshot_due_) ||
         at.value() >= last_snapshot_.value() + config_.snapshot_count;
}

// Members of etcd write the snapshot file as soon as enough entries have been applied; whoever
// compares two members waits for it. Under load a checkpoint is dear, and the next one soon comes.
void ApplyLoop::HurrySnapshot() {
  if (!SnapshotDue(machine().applied_index())) return;
  if (checkpoint_ != nullptr || snapshot_under_way_ || stopping_ || snapshot_timer_.value != 0)
    return;
  if (machine().tree().stats().dirty_bytes > kHurriedSnapshotBytesMax) return;
  const env::Duration pause =
      checkpoint_started_ + kHurriedSnapshotPause - loops_.apply.clock().Now();
  if (pause <= env::Duration(0)) return MaybeCheckpoint(Pace::kFast);
  snapshot_timer_ = loops_.apply.RunAfter(pause, [this] {
    snapshot_timer_ = {};
    HurrySnapshot();
  });
}

void ApplyLoop::MaybeCheckpoint(Pace pace) {
  if (replacement_) return;
  if (checkpoint_ != nullptr) {
    if (pace == Pace::kFast) machine().tree().HurryCheckpoint();
    return;
  }
  checkpoint_ = machine().tree().BeginCheckpoint();
  if (checkpoint_ == nullptr) {  // nothing changed since the last one
    for (env::DoneStatus& done : std::exchange(after_checkpoint_, {})) done(OkStatus());
    return;
  }
  after_this_checkpoint_ = std::exchange(after_checkpoint_, {});
  checkpoint_holds_ = PresentPlace();
  checkpoint_membership_ = machine().membership().LegacyStoreJson();
  const env::Duration now = loops_.apply.clock().Now();
  const env::Duration gathered = now - std::exchange(checkpoint_started_, now);
  // Slices spread over most of the time in which as much gathers again, so that the log's syncs see
  // an idle disk in between.
  const auto slices = static_cast<int64_t>(machine().tree().stats().writing_bytes / (1 << 20)) + 1;
  env::Duration pause = std::min(gathered, config_.checkpoint_interval) * 7 / 10 / slices;
  pause = std::min<env::Duration>(pause, std::chrono::milliseconds(100));
  if (pace == Pace::kFast) pause = env::Duration(0);
  loops_.storage.Post([this, pause, tree = data_->tree.get(), image = checkpoint_.get()] {
    tree->RunCheckpoint(*image, loops_.storage, pause, [this](Status status) {
      loops_.apply.Post(
          [this, status = std::move(status)]() mutable { OnCheckpointWritten(std::move(status)); });
    });
  });
}

void ApplyLoop::OnCheckpointWritten(Status status) {
  if (!status.ok()) DieOnDiskError(std::string(status.message()));
  info_.backend_commit.Observe((loops_.apply.clock().Now() - checkpoint_started_).count());
  machine().tree().EndCheckpoint(std::move(checkpoint_));
  checkpoint_ = nullptr;
  raft::SnapshotMetadata held = std::exchange(checkpoint_holds_, {});
  if (SnapshotDue(held.index))
    MaybeSaveSnapshot(std::move(held), std::move(checkpoint_membership_));
  for (env::DoneStatus& done : std::exchange(after_this_checkpoint_, {})) done(OkStatus());
  if (stopping_) {
    for (env::DoneStatus& done : std::exchange(after_checkpoint_, {})) done(OkStatus());
  } else if (!after_checkpoint_.empty()) {
    MaybeCheckpoint(Pace::kFast);
  }
  HurrySnapshot();
  TryInstall();
  if (stopping_) FinishStop();
}

void ApplyLoop::MaybeSaveSnapshot(raft::SnapshotMetadata metadata, std::string data) {
  if (snapshot_under_way_ || stopping_ || metadata.index.value() == 0) return;
  snapshot_under_way_ = true;
  if (snapshot_due_ && metadata.index >= *snapshot_due_) snapshot_due_.reset();
  loops_.storage.Post([this, metadata = std::move(metadata), data = std::move(data)]() mutable {
    raft::Snapshot snapshot{SharedBytes(data), metadata};
    Status status = wal::WriteSnapFile(files_.blocking(), paths_.snap, snapshot);
    if (!status.ok()) DieOnDiskError(std::string(status.message()));
    PurgeSnapFiles(files_.blocking(), paths_.snap, config_.snapshots_max);
    loops_.apply.Post([this, metadata = std::move(metadata)]() mutable {
      snapshot_under_way_ = false;
      last_snapshot_ = metadata.index;
      log_.Info("saved snapshot", {{"snapshot-index", metadata.index.value()}});
      loops_.raft.Post([raft = raft_, metadata = std::move(metadata)]() mutable {
        raft->OnSnapshotSaved(std::move(metadata));
      });
      HurrySnapshot();
      TryInstall();
      if (stopping_) FinishStop();
    });
  });
}

// --- frozen images and space ---

void ApplyLoop::Freeze(OnImage ready) {
  freezers_.push_back(std::move(ready));
  ServeFreezers();
}

void ApplyLoop::FreezeAt(Index at_least, OnImage ready) {
  std::shared_ptr<FrozenImage> present = frozen_.lock();
  if (present != nullptr && present->metadata.index >= at_least) return ready(std::move(present));
  Freeze(std::move(ready));
}

void ApplyLoop::ServeFreezers() {
  // Between a configuration change and raft's answer, index and configuration do not agree.
  if (frozen_out_ || freezers_.empty() || waits_for_conf_state_ || replacement_ || stopping_)
    return;
  OnImage ready = std::move(freezers_.front());
  freezers_.pop_front();
  ready(TakeImage());
}

// Where in the log the state stands, and the configuration there: by the members table, because
// meta/confState of a restored directory still names the old cluster.
raft::SnapshotMetadata ApplyLoop::PresentPlace() {
  return {machine().membership().ConfigurationState(), machine().applied_index(),
          machine().applied_term()};
}

std::shared_ptr<FrozenImage> ApplyLoop::TakeImage() {
  auto frozen = std::make_shared<FrozenImage>();
  frozen->data = data_;
  frozen->image = data_->tree->Freeze();
  CHECK(frozen->image != nullptr);
  frozen->metadata = PresentPlace();
  frozen->membership_json = machine().membership().LegacyStoreJson();
  frozen->give_back = [this, &apply = loops_.apply](std::shared_ptr<Data> data,
                                                    std::unique_ptr<btree::Image> image) {
    apply.Post([this, data = std::move(data), image = std::move(image)]() mutable {
      Thaw(std::move(data), std::move(image));
    });
  };
  frozen_ = frozen;
  frozen_out_ = true;
  ++images_out_;
  return frozen;
}

void ApplyLoop::Thaw(std::shared_ptr<Data> data, std::unique_ptr<btree::Image> image) {
  data->tree->Thaw(std::move(image));
  --images_out_;
  if (data == data_) frozen_out_ = false;
  loops_.storage.Post([data = std::move(data)] {});  // perhaps the last of an old generation
  ServeFreezers();
  if (stopping_) FinishStop();
}

// --- a snapshot from the leader ---

void ApplyLoop::Install(raft::SnapshotMetadata metadata, env::Task installed) {
  CHECK(!replacement_);
  CHECK(!ended_) << "raft stops when nothing of it is under way";
  replacement_ = Replacement{std::move(metadata), std::move(installed)};
  machine().tree().HurryCheckpoint();
  TryInstall();
}

void ApplyLoop::TryInstall() {
  if (!replacement_ || !queue_.empty() || waits_for_conf_state_ || checkpoint_ != nullptr ||
      snapshot_under_way_)
    return;
  Replacement replacement = std::move(*replacement_);
  const Index index = replacement.metadata.index;
  env::BlockingFileSystem& files = files_.blocking();
  Status status = files.Rename(paths_.ReceivedTree(index), paths_.db);
  if (status.ok()) status = files.SyncDirectory(paths_.snap);
  if (!status.ok()) DieOnDiskError(std::string(status.message()));
  StatusOr<std::shared_ptr<Data>> received = OpenData(files, paths_.db, config_, log_);
  if (absl::IsFailedPrecondition(received.status()))  // of a later version
    DieOnUnknown("the leader's snapshot at log index " + std::to_string(index.value()) + ": " +
                 std::string(received.status().message()));
  if (!received.ok()) DieOnDiskError(std::string(received.status().message()));
  log_.Info("applySnapshot: opened snapshot backend", {});  // tools wait for it
  CHECK_GE((*received)->machine->applied_index(), index) << "a received tree that was not checked";
  std::shared_ptr<Data> old = std::exchange(data_, *std::move(received));
  loops_.storage.Post([old = std::move(old)] {});
  frozen_.reset();
  frozen_out_ = false;
  replacement_.reset();
  last_snapshot_ = index;
  cluster_changed_ = true;
  machine().SetConfState(replacement.metadata.conf_state);
  log_.Info("installed snapshot from leader", {{"snapshot-index", index.value()}});
  log_.Info("applied snapshot",  // etcd's name of the same, which tools wait for
            {{"incoming-leader-snapshot-index", index.value()},
             {"incoming-leader-snapshot-term", replacement.metadata.term.value()}});
  if (on_replaced_) on_replaced_(data_);
  TellAllLeases();
  info_.views_shared.fetch_add(1, std::memory_order_release);
  for (Frontend* frontend : frontends_) {
    frontend->loop().Post([frontend, data = data_, applied = index]() mutable {
      Published published;
      published.applied = applied;
      published.data = std::move(data);
      frontend->OnPublished(std::move(published));
    });
  }
  replacement.installed();  // before raft hears what is applied
  EndBatch();
  for (env::DoneStatus& done : std::exchange(after_checkpoint_, {})) done(OkStatus());
  ServeFreezers();
  if (stopping_) FinishStop();
}

void ApplyLoop::Defragment(std::shared_ptr<const std::atomic<bool>> wanted, env::DoneStatus done) {
  defragmenters_.push_back({std::move(wanted), std::move(done)});
  if (defragmenters_.size() > 1) return;
  const btree::Tree& tree = machine().tree();
  defragment_pages_left_ = tree.stats().file_bytes / tree.page_size();
  defragment_moved_ = false;
  idle_passes_ = 0;
  machine().tree().RestartRelocation();
  DefragmentTurn();
}

// One slice of moving per turn, so that writes go on in between.
void ApplyLoop::DefragmentTurn() {
  if (stopping_) return FinishDefragment(errors::Stopped());
  std::erase_if(defragmenters_, [](const Defragmenter& one) { return !one.wanted->load(); });
  if (defragmenters_.empty()) return;
  const StatusOr<btree::Relocation> slice = machine().tree().RelocateSlice(kRelocatePagesPerTurn);
  if (!slice.ok()) DieOnDiskError(std::string(slice.status().message()));
  machine().Publish();
  defragment_moved_ |= slice->pages > 0;
  defragment_pages_left_ -= std::min(defragment_pages_left_, slice->pages);
  if (slice->at_end || defragment_pages_left_ == 0) return EndPassOfDefragment();
  BoundDirtyBytes();
  const btree::Stats stats = machine().tree().stats();
  if (stats.dirty_bytes + stats.writing_bytes > config_.checkpoint_dirty_bytes) {
    after_checkpoint_.push_back(
        [this](Status) { loops_.apply.Post([this] { DefragmentTurn(); }); });
    return MaybeCheckpoint(Pace::kFast);
  }
  loops_.apply.Post([this] { DefragmentTurn(); });
}

// What has moved leaves its old place free after the next checkpoint, and the file may only be cut
// once both metas know the lower mark: three passes that find nothing to move see to it.
void ApplyLoop::EndPassOfDefragment() {
  idle_passes_ =
      std::exchange(defragment_moved_, false) && defragment_pages_left_ > 0 ? 0 : idle_passes_ + 1;
  if (idle_passes_ > 3) return FinishDefragment(OkStatus());
  after_checkpoint_.push_back([this](Status) { loops_.apply.Post([this] { DefragmentTurn(); }); });
  MaybeCheckpoint(Pace::kFast);
}

void ApplyLoop::FinishDefragment(const Status& status) {
  for (Defragmenter& one : std::exchange(defragmenters_, {})) one.done(status);
}

// --- stop ---

void ApplyLoop::Stop(env::Task stopped) {
  stopping_ = true;
  machine().tree().HurryCheckpoint();
  loops_.apply.Cancel(checkpoint_timer_);
  loops_.apply.Cancel(snapshot_timer_);
  stopped_ = std::move(stopped);
  freezers_.clear();
  FinishStop();
}

void ApplyLoop::FinishStop() {
  if (!stopped_ || replacement_ || checkpoint_ != nullptr || snapshot_under_way_ || images_out_ > 0)
    return;
  Status status = machine().tree().CheckpointNow();
  if (!status.ok()) DieOnDiskError(std::string(status.message()));
  ended_ = true;
  std::exchange(stopped_, nullptr)();
}

}  // namespace quoin::server
