// Whether members hold the same: their hashes compared, before a member serves and while it leads.
//
// There are InitialCheck (once, at start), and CorruptionCheck (a leader's, from time to time: the
// present, and what members remember of compactions). What they find becomes a CORRUPT alarm: from
// then on nothing may be written, until somebody has mended it and takes the alarm back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/lifeline.h"
#include "base/log.h"
#include "cluster/hashes.h"
#include "server/node.h"
#include "server/peer_hashes.h"

namespace quoin::server {

// Compares what an opened node holds with the others' data at the same revision. Those that cannot
// tell (behind, compacted further, not there) say nothing against it.
//
// Thread: `loop`; `done` runs there, once, unless the object is destroyed before. The node is open
// and does not run yet.
class InitialCheck {
 public:
  InitialCheck(Node& node, env::Executor& loop, Logger& log, absl::AnyInvocable<void(Status)> done);

 private:
  void TakeOwn(StatusOr<mvcc::HashResult> own, std::vector<cluster::Member> others);
  void Compare(const cluster::KvHash& own, const std::vector<cluster::PeerHash>& peers);
  void End(Status status);

  Node& node_;
  env::Executor& loop_;
  Logger& log_;
  absl::AnyInvocable<void(Status)> done_;
  std::unique_ptr<PeerHashes> peers_;
  Lifeline lifeline_;
};

// Thread: the apply loop.
class CorruptionCheck {
 public:
  // `own`: the frontend of the apply loop.
  CorruptionCheck(Node& node, Frontend& own, Logger& log);
  // By the intervals of the configuration; without any it does nothing.
  void Start();
  void Stop();
  // Instead of Stop, where the loop runs no more.
  void Abandon() { peers_.reset(); }

 private:
  using OnHash = std::function<void(const mvcc::HashResult&)>;
  using OnPeers = std::function<void(const std::vector<cluster::PeerHash>&)>;
  void PeriodicTimer();
  void CompactionTimer();
  bool MayBegin();
  void HashHere(OnHash then);
  void AskPeers(int64_t revision, OnPeers then);
  void CheckNow();
  void WhenUpToDate(std::function<void()> then);
  void CheckCompactions();
  void CheckNextCompaction();
  void Raise(const cluster::Suspect& suspect);

  Node& node_;
  Frontend& own_;
  const NodeConfig& config_;
  Logger& log_;
  bool busy_ = false;
  env::TimerId periodic_timer_, compaction_timer_;
  std::unique_ptr<PeerHashes> peers_;
  std::vector<mvcc::HashResult> unchecked_;  // compactions still to look at, newest last
  size_t compactions_looked_at_ = 0;
  int64_t checked_revision_ = 0;  // of the newest compaction that all members agree on
  Frontend::Wait wait_;
  Lifeline lifeline_;
};

}  // namespace quoin::server
