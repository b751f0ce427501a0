// RaftLoop: drives raft::Raft: ticks, proposals, persistence, commits, reads. The only user of the
// core.
//
// Thread: the raft loop; every method runs there (others post).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "env/executor.h"
#include "raft/raft.h"
#include "server/config.h"
#include "server/messages.h"
#include "server/node_info.h"
#include "wal/wal.h"

namespace quoin::server {

class ApplyLoop;
class Frontend;

class RaftLoop {
 public:
  struct Loops {
    env::Executor& raft;
    env::Executor& wal;
    env::Executor& apply;
  };
  // `wal` belongs to the wal loop and is used there only.
  RaftLoop(const NodeConfig& config, NodeInfo& info, Loops loops, raft::Raft raft, wal::Writer& wal,
           Logger& log);
  ~RaftLoop();

  // Wires the other loops in; before Start. `frontends[i]` is the loop number i of RequestIds.
  void Connect(ApplyLoop& apply, std::vector<Frontend*> frontends);
  void Start();
  // No further ticks, proposals refused; `stopped` runs when nothing of it is under way any more.
  void Stop(env::Task stopped);

  void OnProposals(size_t frontend, std::vector<Proposal> batch);
  void OnReadIndex(size_t frontend, uint64_t round);
  // The apply loop has applied everything up to `index`.
  void OnApplied(Index index);
  // The apply loop waits with what follows until raft has switched; answers ApplyLoop::OnConfState.
  void OnConfChange(Index index, std::optional<raft::ConfChange> change);
  // The data file holds everything up to `metadata.index`, and the .snap file is durable: older log
  // may go.
  void OnSnapshotSaved(raft::SnapshotMetadata metadata);

 private:
  void Tick();
  void ScheduleTurn();
  void Turn();
  void TakeOneReady();
  void Persist(raft::Ready& ready);
  void PublishInfo();
  void AnswerReads(std::vector<raft::ReadState> reads);
  void CampaignIfAlone();
  void DieOnWalError(const Status& status);

  const NodeConfig& config_;
  NodeInfo& info_;
  Loops loops_;
  raft::Raft raft_;
  wal::Writer& wal_;
  Logger& log_;
  ApplyLoop* apply_ = nullptr;
  std::vector<Frontend*> frontends_;
  bool turn_scheduled_ = false;
  bool stopping_ = false;
  int persists_under_way_ = 0;
  env::Task stopped_;
  env::TimerId tick_timer_;
  bool alone_ = false;  // this member is the only voter
  uint64_t leader_seen_ = 0;
  Index applied_;
  Index complete_from_;  // as leader: the first entry of its own term
};

}  // namespace quoin::server
