// Checkpointer: writes what has changed in the tree to its file, at its own pace; and the .snap
// files that go with it.
//
// Thread: the apply loop; the writing itself happens on the checkpoint loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/apply_context.h"

namespace quoin::server {

class Checkpointer {
 public:
  enum class Pace : uint8_t { kGentle, kFast };
  struct Events {
    // Nothing is under way for the moment: what waited for that may begin.
    std::function<void()> idle;
    // A .snap file is durable.
    std::function<void(raft::SnapshotMetadata)> saved;
  };
  Checkpointer(ApplyContext& context, Events events)
      : context_(context), events_(std::move(events)) {}

  void Start();
  // No timer begins anything any more; what is under way is completed in haste.
  void Stop();

  // Begins a checkpoint unless one is under way; `kFast` hurries that one.
  void Begin(Pace pace);
  // `done` runs once all that has changed until now is on disk.
  void AfterNext(env::DoneStatus done);
  // A .snap file is to hold this index soon, however few entries that are.
  void RequireSnapshot(Index at_least);
  // After each batch: keeps dirty pages within their bound, and a snapshot that is due from waiting
  // for the next checkpoint.
  void OnBatch();
  // The disk takes less than is written, in spite of all haste: nothing more may be applied until
  // the checkpoint under way is done.
  bool HoldsUp() const { return image_ != nullptr && IsTooDirty(); }
  bool IsTooDirty() const;
  bool idle() const { return image_ == nullptr && !saving_; }

  // All state is about to be replaced: no further checkpoint begins until OnReplaced.
  void Hold();
  // It was, by a snapshot that stands in the log at `index`.
  void OnReplaced(Index index);

 private:
  void RunTimer();
  void BoundDirtyBytes();
  bool SnapshotDue(Index at) const;
  void HurrySnapshot();
  env::Duration PauseOf(Pace pace);
  void OnWritten(Status status);
  void Save(raft::SnapshotMetadata metadata, std::string membership);
  void OnSaved(raft::SnapshotMetadata metadata);

  ApplyContext& context_;
  const Events events_;
  std::unique_ptr<btree::Image> image_;  // being written
  raft::SnapshotMetadata holds_;
  std::string membership_;
  env::Duration started_{0};  // the newest one
  std::vector<env::DoneStatus> after_this_;
  std::vector<env::DoneStatus> after_next_;  // that begins from now on
  env::TimerId timer_;
  env::TimerId snapshot_timer_;
  Index last_snapshot_;
  std::optional<Index> snapshot_required_;
  bool saving_ = false;  // a .snap file
  bool held_ = false;
};

}  // namespace quoin::server
