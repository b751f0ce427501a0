#include "server/checkpointer.h"

#include <algorithm>

#include "base/check.h"
#include "wal/wal.h"

namespace quoin::server {
namespace {

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

}  // namespace

void Checkpointer::Start() {
  last_snapshot_ = context_.machine().applied_index();
  RunTimer();
}

void Checkpointer::Stop() {
  context_.tree().HurryCheckpoint();
  context_.loops.apply.Cancel(timer_);
  context_.loops.apply.Cancel(snapshot_timer_);
}

void Checkpointer::RunTimer() {
  timer_ = context_.loops.apply.RunAfter(context_.config.checkpoint_interval, [this] {
    Begin(Pace::kGentle);
    RunTimer();
  });
}

void Checkpointer::AfterNext(env::DoneStatus done) {
  after_next_.push_back(std::move(done));
  Begin(Pace::kFast);
}

void Checkpointer::RequireSnapshot(Index at_least) {
  snapshot_required_ = at_least;
  Begin(Pace::kFast);
}

void Checkpointer::OnBatch() {
  BoundDirtyBytes();
  HurrySnapshot();
}

bool Checkpointer::IsTooDirty() const {
  return context_.tree().unwritten_bytes() > 2 * context_.config.checkpoint_dirty_bytes;
}

// Half of what may be dirty is being written while the other half gathers. Should the disk fall
// behind, it gets no more pauses.
void Checkpointer::BoundDirtyBytes() {
  const btree::Stats stats = context_.tree().stats();
  const size_t most = context_.config.checkpoint_dirty_bytes;
  if (image_ == nullptr) {
    if (stats.dirty_bytes > most / 2) Begin(Pace::kGentle);
  } else if (stats.dirty_bytes + stats.writing_bytes > most) {
    context_.tree().HurryCheckpoint();
  }
}

bool Checkpointer::SnapshotDue(Index at) const {
  return (snapshot_required_ && at >= *snapshot_required_) ||
         at.value() >= last_snapshot_.value() + context_.config.snapshot_count;
}

// Members of etcd write the snapshot file as soon as enough entries have been applied; whoever
// compares two members waits for it. Under load a checkpoint is dear, and the next one soon comes.
void Checkpointer::HurrySnapshot() {
  if (!SnapshotDue(context_.machine().applied_index())) return;
  if (!idle() || context_.stopping || snapshot_timer_.value != 0) return;
  if (context_.tree().stats().dirty_bytes > kHurriedSnapshotBytesMax) return;
  const env::Duration pause = started_ + kHurriedSnapshotPause - context_.loops.apply.clock().Now();
  if (pause <= env::Duration(0)) return Begin(Pace::kFast);
  snapshot_timer_ = context_.loops.apply.RunAfter(pause, [this] {
    snapshot_timer_ = {};
    HurrySnapshot();
  });
}

void Checkpointer::Begin(Pace pace) {
  if (held_) return;
  if (image_ != nullptr) {
    if (pace == Pace::kFast) context_.tree().HurryCheckpoint();
    return;
  }
  while (context_.tree().writer().LowerSmallBuckets()) context_.tree().writer().Publish();
  image_ = context_.tree().BeginCheckpoint();
  if (image_ == nullptr) {  // nothing changed since the last one
    for (env::DoneStatus& done : std::exchange(after_next_, {})) done(OkStatus());
    return;
  }
  after_this_ = std::exchange(after_next_, {});
  holds_ = context_.Place();
  membership_ = context_.machine().membership().LegacyStoreJson();
  context_.loops.checkpoint.Post(
      [this, pause = PauseOf(pace), tree = context_.data->tree.get(), image = image_.get()] {
        tree->RunCheckpoint(*image, context_.loops.checkpoint, pause, [this](Status status) {
          context_.loops.apply.Post(
              [this, status = std::move(status)]() mutable { OnWritten(std::move(status)); });
        });
      });
}

// Slices spread over most of the time in which as much gathers again, so that the log's syncs see
// an idle disk in between.
env::Duration Checkpointer::PauseOf(Pace pace) {
  const env::Duration now = context_.loops.apply.clock().Now();
  const env::Duration gathered = now - std::exchange(started_, now);
  if (pace == Pace::kFast) return env::Duration(0);
  const auto slices = static_cast<int64_t>(context_.tree().stats().writing_bytes / (1 << 20)) + 1;
  return std::min<env::Duration>(
      std::min(gathered, context_.config.checkpoint_interval) * 7 / 10 / slices,
      std::chrono::milliseconds(100));
}

void Checkpointer::OnWritten(Status status) {
  CHECK(image_ != nullptr);
  if (!status.ok()) DieOnDiskError(std::string(status.message()));
  context_.info.backend_commit.Observe((context_.loops.apply.clock().Now() - started_).count());
  context_.tree().EndCheckpoint(std::move(image_));
  image_ = nullptr;
  raft::SnapshotMetadata held = std::exchange(holds_, {});
  if (SnapshotDue(held.index)) Save(std::move(held), std::move(membership_));
  for (env::DoneStatus& done : std::exchange(after_this_, {})) done(OkStatus());
  if (context_.stopping) {
    for (env::DoneStatus& done : std::exchange(after_next_, {})) done(OkStatus());
  } else if (!after_next_.empty()) {
    Begin(Pace::kFast);
  }
  events_.idle();
  HurrySnapshot();
}

void Checkpointer::Save(raft::SnapshotMetadata metadata, std::string membership) {
  if (saving_ || context_.stopping || metadata.index.value() == 0) return;
  saving_ = true;
  if (snapshot_required_ && metadata.index >= *snapshot_required_) snapshot_required_.reset();
  context_.loops.checkpoint.Post(
      [this, metadata = std::move(metadata), membership = std::move(membership)]() mutable {
        env::BlockingFileSystem& files = context_.files.blocking();
        raft::Snapshot snapshot{SharedBytes(membership), metadata};
        Status status = wal::WriteSnapFile(files, context_.paths.snap, snapshot);
        if (!status.ok()) DieOnDiskError(std::string(status.message()));
        PurgeSnapFiles(files, context_.paths.snap, context_.config.snapshots_max);
        context_.loops.apply.Post(
            [this, metadata = std::move(metadata)]() mutable { OnSaved(std::move(metadata)); });
      });
}

void Checkpointer::OnSaved(raft::SnapshotMetadata metadata) {
  CHECK(saving_);
  saving_ = false;
  last_snapshot_ = metadata.index;
  context_.log.Info("saved snapshot", {{"snapshot-index", metadata.index.value()}});
  events_.saved(std::move(metadata));
  HurrySnapshot();
  events_.idle();
}

void Checkpointer::Hold() {
  CHECK(!held_);
  held_ = true;
  context_.tree().HurryCheckpoint();
}

void Checkpointer::OnReplaced(Index index) {
  CHECK(held_ && idle());
  held_ = false;
  last_snapshot_ = index;
}

}  // namespace quoin::server
