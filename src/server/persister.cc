#include "server/persister.h"

#include "base/check.h"
#include "server/apply_loop.h"

namespace quoin::server {
namespace {

void DieOnError(const Status& status) {
  if (!status.ok()) DieOnDiskError(std::string(status.message()));
}

}  // namespace

void Persister::Connect(ApplyLoop& apply, OnPersisted persisted) {
  apply_ = &apply;
  persisted_ = std::move(persisted);
}

void Persister::Add(raft::Ready& ready) {
  Job job;
  job.id = ready.persist_id;
  job.batch.entries = std::move(ready.entries);
  job.batch.hard_state = ready.hard_state;
  job.batch.must_sync = ready.must_sync;
  job.after = std::move(ready.after_persist);
  if (ready.snapshot) {
    const raft::SnapshotMetadata& metadata = ready.snapshot->metadata;
    job.batch.snapshot = wal::SnapshotRecord{metadata.index, metadata.term, metadata.conf_state};
    job.release_to = metadata.index;
    job.snapshot = std::move(ready.snapshot);
  }
  waiting_.push_back(std::move(job));
  Pump();
}

bool Persister::AddOwnSnapshot(const raft::SnapshotMetadata& metadata) {
  if (metadata.index <= installed_) return false;
  Job job;
  job.batch.snapshot = wal::SnapshotRecord{metadata.index, metadata.term, metadata.conf_state};
  job.release_to = metadata.index;
  waiting_.push_back(std::move(job));
  Pump();
  return true;
}

void Persister::Pump() {
  while (!waiting_.empty() && !installing_) {
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    if (job.snapshot) {
      Install(std::move(job));
    } else {
      Log(std::move(job));
    }
  }
}

void Persister::Log(Job job) {
  ++under_way_;
  loops_.wal.Post([this, job = std::move(job)]() mutable {
    wal::Writer::Batch batch = std::move(job.batch);
    wal_.Append(std::move(batch), [this, id = job.id, release_to = job.release_to,
                                   after = std::move(job.after)](Status status) mutable {
      DieOnError(status);
      if (release_to.value() != 0) wal_.ReleaseTo(release_to, config_.wals_max);
      loops_.raft.Post(
          [this, id, after = std::move(after)]() mutable { Finish(id, std::move(after)); });
    });
  });
}

void Persister::Install(Job job) {
  installing_ = true;
  installed_ = job.snapshot->metadata.index;
  ++under_way_;
  auto shared = std::make_shared<Job>(std::move(job));
  auto finish = [this, shared] {
    installing_ = false;
    Finish(shared->id, std::move(shared->after));
    Pump();
  };
  auto swap_tree = [this, shared, finish] {
    apply_->Install(shared->snapshot->metadata, [this, finish] { loops_.raft.Post(finish); });
  };
  auto log_it = [this, shared, swap_tree] {
    wal_.Append(std::move(shared->batch), [this, shared, swap_tree](Status status) {
      DieOnError(status);
      wal_.ReleaseTo(shared->release_to, config_.wals_max);
      loops_.apply.Post(swap_tree);
    });
  };
  log_.Info("installing snapshot from leader",
            {{"snapshot-index", shared->snapshot->metadata.index.value()},
             {"snapshot-term", shared->snapshot->metadata.term.value()}});
  loops_.bulk.Post([this, shared, log_it] {
    DieOnError(wal::WriteSnapFile(files_.blocking(), paths_.snap, *shared->snapshot));
    loops_.wal.Post(log_it);
  });
}

void Persister::Finish(std::optional<raft::PersistId> id, std::vector<raft::Message> after) {
  --under_way_;
  persisted_(id.value_or(raft::PersistId(0)), std::move(after));
}

}  // namespace quoin::server
