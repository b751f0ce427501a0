#include "server/compactor.h"

#include "base/limits.h"

namespace quoin::server {
namespace {

constexpr env::Duration kReadersPoll = std::chrono::milliseconds(10);

// Tools wait for this line, also when a restart came in the middle of the compaction.
void LogEnd(state::StateMachine& machine, Logger& log) {
  const std::vector<mvcc::HashResult> hashes = machine.store().CompactionHashes();
  const btree::Stats stats = machine.tree().stats();
  log.Info("finished scheduled compaction",
           {{"compact-revision", machine.store().compact_revision()},
            {"hash", static_cast<uint64_t>(hashes.empty() ? 0 : hashes.front().hash)},
            {"current-db-size-bytes", stats.file_bytes},
            {"current-db-size-in-use-bytes", stats.in_use_bytes}});
}

}  // namespace

void Compactor::Schedule() {
  if (scheduled_ || context_.stopping || !context_.machine().store().compaction_pending()) return;
  scheduled_ = true;
  if (const env::Duration pause = context_.config.compaction_pause; pause.count() > 0) {
    context_.loops.apply.RunAfter(pause, [this] { Turn(); });
  } else {
    context_.loops.apply.Post([this] { Turn(); });
  }
}

void Compactor::Turn() {
  scheduled_ = false;
  if (context_.stopping) return;
  state::StateMachine& machine = context_.machine();
  if (machine.store().compaction_pending()) {  // a leader's snapshot may have taken it along
    if (machine.store().ReadersBelowCompaction()) return AwaitReaders();
    waits_since_.reset();
    const bool finished = machine.CompactionSlice(context_.config.compaction_batch_revisions);
    machine.Publish();
    checkpointer_.OnBatch();
    if (!finished) return checkpointer_.HoldsUp() ? AwaitDisk() : Schedule();
    LogEnd(machine, context_.log);
  }
  if (answers_.empty()) return;
  checkpointer_.AfterNext([this, answers = std::exchange(answers_, {})](Status) mutable {
    durable_(std::move(answers));
  });
}

void Compactor::AwaitDisk() {
  scheduled_ = true;
  checkpointer_.AfterNext([this](Status) { context_.loops.apply.Post([this] { Turn(); }); });
}

// Answers that were begun below the compaction are completed first; not for ever.
void Compactor::AwaitReaders() {
  mvcc::Store& store = context_.machine().store();
  const env::Duration now = context_.loops.apply.clock().Now();
  if (!waits_since_) waits_since_ = now;
  const bool too_long = now - *waits_since_ > limits::kCompactionWaitMax;
  store.RevokePins(too_long ? env::Duration::max() : now - limits::kPinIdleMax);
  scheduled_ = true;
  context_.loops.apply.RunAfter(kReadersPoll, [this] { Turn(); });
}

}  // namespace quoin::server
