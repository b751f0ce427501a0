#include "server/defragmenter.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/errors.h"

namespace quoin::server {
namespace {

constexpr size_t kRelocatePagesPerTurn = 256;

}  // namespace

void Defragmenter::Run(Wanted wanted, env::DoneStatus done) {
  callers_.push_back({std::move(wanted), std::move(done)});
  if (callers_.size() > 1) return;
  const btree::Tree& tree = context_.tree();
  pages_left_ = tree.stats().file_bytes / tree.page_size();
  moved_ = false;
  idle_passes_ = 0;
  context_.tree().RestartRelocation();
  Turn();
}

void Defragmenter::Turn() {
  if (context_.stopping) return Finish(errors::Stopped());
  std::erase_if(callers_, [](const Caller& one) { return !IsWanted(one.wanted); });
  if (callers_.empty()) return;
  const StatusOr<btree::Relocation> slice = context_.tree().RelocateSlice(kRelocatePagesPerTurn);
  if (!slice.ok()) DieOnDiskError(std::string(slice.status().message()));
  context_.machine().Publish();
  moved_ |= slice->pages > 0;
  pages_left_ -= std::min(pages_left_, slice->pages);
  if (slice->at_end || pages_left_ == 0) return EndPass();
  checkpointer_.OnBatch();
  const btree::Stats stats = context_.tree().stats();
  if (stats.dirty_bytes + stats.writing_bytes > context_.config.checkpoint_dirty_bytes)
    return NextTurnAfterCheckpoint();
  NextTurn();
}

void Defragmenter::NextTurn() {
  context_.loops.apply.Post([this] { Turn(); });
}

void Defragmenter::NextTurnAfterCheckpoint() {
  checkpointer_.AfterNext([this](Status) { NextTurn(); });
}

// What has moved leaves its old place free after the next checkpoint, and the file may only be cut
// once both metas know the lower mark: three passes that find nothing to move see to it.
void Defragmenter::EndPass() {
  idle_passes_ = std::exchange(moved_, false) && pages_left_ > 0 ? 0 : idle_passes_ + 1;
  if (idle_passes_ > 3) return Finish(OkStatus());
  NextTurnAfterCheckpoint();
}

void Defragmenter::Finish(const Status& status) {
  for (Caller& one : std::exchange(callers_, {})) one.done(status);
}

}  // namespace quoin::server
