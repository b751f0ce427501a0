// Persister: makes durable what raft hands out, in raft's order: records go to the log, and a
// leader's snapshot becomes the member's state before anything behind it is written.
//
// A snapshot's steps, each durable before the next: the tree file is there as <index>.snap.db
// (server/snapshot_files.h); the .snap file; the log's snapshot record with the commit index; the
// tree file takes its place. A crash in between is sorted out by recovery.
//
// Thread: the raft loop.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "base/log.h"
#include "env/env.h"
#include "raft/raft.h"
#include "server/config.h"
#include "server/paths.h"
#include "wal/wal.h"

namespace quoin::server {

class ApplyLoop;

class Persister {
 public:
  struct Loops {
    env::Executor& raft;
    env::Executor& wal;
    env::Executor& apply;
    env::Executor& bulk;
  };
  // `wal` is used on the wal loop only.
  Persister(const NodeConfig& config, Loops loops, wal::Writer& wal, env::FileSystem& files,
            Logger& log)
      : config_(config), loops_(loops), wal_(wal), files_(files), paths_(config), log_(log) {}

  // `persisted` runs once per Ready that was added, in their order, with the messages that waited.
  using OnPersisted = std::function<void(raft::PersistId, std::vector<raft::Message>)>;
  void Connect(ApplyLoop& apply, OnPersisted persisted);

  // REQUIRES: the Ready has a persist_id. Takes what it needs out of it.
  void Add(raft::Ready& ready);
  // The member's own snapshot is durable as a .snap file; the log may forget what it covers. False:
  // a leader's snapshot has overtaken it.
  bool AddOwnSnapshot(const raft::SnapshotMetadata& metadata);
  // Nothing waits and nothing is under way.
  bool idle() const { return waiting_.empty() && under_way_ == 0; }

 private:
  struct Job {
    std::optional<raft::PersistId> id;  // none: nobody waits for it
    wal::Writer::Batch batch;
    std::optional<raft::Snapshot> snapshot;
    Index release_to;
    std::vector<raft::Message> after;
  };
  void Pump();
  void Log(Job job);
  void Install(Job job);
  void Finish(std::optional<raft::PersistId> id, std::vector<raft::Message> after);

  const NodeConfig& config_;
  Loops loops_;
  wal::Writer& wal_;
  env::FileSystem& files_;
  const Paths paths_;
  Logger& log_;
  ApplyLoop* apply_ = nullptr;
  OnPersisted persisted_;
  std::deque<Job> waiting_;
  int under_way_ = 0;
  bool installing_ = false;
  Index installed_;  // the newest snapshot of a leader
};

}  // namespace quoin::server
