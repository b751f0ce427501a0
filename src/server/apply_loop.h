// ApplyLoop: carries out committed entries in order, makes them visible, answers who waits; and,
// between batches, the store's housekeeping: checkpoints, compaction, giving space back, frozen
// images.
//
// Thread: the apply loop; every method runs there (others post).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "env/env.h"
#include "raft_types/types.h"
#include "server/config.h"
#include "server/data.h"
#include "server/frontend.h"
#include "server/frozen_image.h"
#include "server/messages.h"
#include "server/node_info.h"
#include "server/paths.h"
#include "state/state_machine.h"

namespace quoin::server {

class LeaseLoop;
class RaftLoop;

class ApplyLoop {
 public:
  struct Loops {
    env::Executor& apply;
    env::Executor& raft;
    env::Executor& storage;
    env::Executor& lease;
  };
  ApplyLoop(const NodeConfig& config, NodeInfo& info, Loops loops, env::FileSystem& files,
            Paths paths, std::shared_ptr<Data> data, const RequestIds& ids, Logger& log);
  ~ApplyLoop();

  void Connect(RaftLoop& raft, LeaseLoop& leases, std::vector<Frontend*> frontends);
  void Start();
  // Finishes what is under way, then a last checkpoint; `stopped` runs after it.
  void Stop(env::Task stopped);

  void OnCommitted(std::vector<raft::Entry> entries);
  void OnConfState(raft::ConfState state);
  // There is a leader: what waits for one may go on, even if nothing is committed.
  void OnLeaderChanged() {
    if (after_batch_) after_batch_();
  }
  // This member has ceased to lead, perhaps to lead again in a later term.
  void OnDeposed();

  // --- for clients' calls that need this loop; answers run on the apply loop ---
  // A frozen root for a copy or a whole-tree hash; waits while another one exists.
  using OnImage = absl::AnyInvocable<void(std::shared_ptr<FrozenImage>)>;
  void Freeze(OnImage ready);
  // The same for a lagging member, who may share one that exists if it holds `at_least`.
  void FreezeAt(Index at_least, OnImage ready);
  // Moves pages to the front of the file until it cannot shrink, writes it, cuts it; then done.
  // Ends without an answer once nobody's `wanted` is true any more (any thread sets it).
  void Defragment(std::shared_ptr<const std::atomic<bool>> wanted, env::DoneStatus done);

  // Called (here) after each batch: for what the member itself wants to do next.
  void set_after_batch(std::function<void()> hook) { after_batch_ = std::move(hook); }
  // Called (here) when all state was replaced by a leader's snapshot, before anybody else learns of
  // it.
  void set_on_replaced(std::function<void(std::shared_ptr<Data>)> hook) {
    on_replaced_ = std::move(hook);
  }
  // Called (here) with every new view of the cluster.
  void set_on_cluster(std::function<void(std::shared_ptr<const ClusterInfo>)> hook) {
    on_cluster_ = std::move(hook);
  }
  // The present generation's: not to be kept across turns.
  state::StateMachine& machine() { return *data_->machine; }

  // Replaces all state by the received tree file of this snapshot, once what is under way has
  // ended; `installed` runs here then. Every frontend gets the new generation with a Published.
  void Install(raft::SnapshotMetadata metadata, env::Task installed);

 private:
  struct Replacement {
    raft::SnapshotMetadata metadata;
    env::Task installed;
  };
  void TryInstall();
  raft::SnapshotMetadata PresentPlace();
  std::shared_ptr<FrozenImage> TakeImage();
  void Thaw(std::shared_ptr<Data> data, std::unique_ptr<btree::Image> image);
  void Drain();
  void ApplyEntry(const raft::Entry& entry);
  void ApplyConfChange(const raft::Entry& entry);
  void EndBatch();
  // How far the lease loop will have heard with what is posted now.
  Index LeasesHeard();
  void TellLeases();
  void TellAllLeases();
  // What this batch brings to watchers; null when they have to read it from the store.
  std::shared_ptr<const watch::Batch> TakeEvents();
  void ShareClusterInfo();
  void NoteClusterVersion(const std::string& version);
  void ScheduleCompaction();
  void CompactionTurn();
  void AwaitReaders();
  void CheckpointTimer();
  enum class Pace : uint8_t { kGentle, kFast };
  void MaybeCheckpoint(Pace pace);
  void BoundDirtyBytes();
  bool SnapshotDue(Index at) const;
  void HurrySnapshot();
  void OnCheckpointWritten(Status status);
  void MaybeSaveSnapshot(raft::SnapshotMetadata metadata, std::string data);
  void ServeFreezers();
  struct Defragmenter {
    std::shared_ptr<const std::atomic<bool>> wanted;
    env::DoneStatus done;
  };
  void DefragmentTurn();
  void EndPassOfDefragment();
  void FinishDefragment(const Status& status);
  void FinishStop();

  const NodeConfig& config_;
  NodeInfo& info_;
  Loops loops_;
  env::FileSystem& files_;
  const Paths paths_;
  std::shared_ptr<Data> data_;
  const RequestIds ids_;
  Logger& log_;
  RaftLoop* raft_ = nullptr;
  LeaseLoop* leases_ = nullptr;
  std::vector<Frontend*> frontends_;
  std::function<void()> after_batch_;
  std::function<void(std::shared_ptr<Data>)> on_replaced_;
  std::function<void(std::shared_ptr<const ClusterInfo>)> on_cluster_;

  std::deque<raft::Entry> queue_;  // committed, not yet applied
  bool waits_for_conf_state_ =
      false;  // nothing after a configuration change until raft has switched
  // The answer to that change, and the frontend that waits.
  std::optional<std::pair<size_t, Completion>> conf_change_done_;
  std::vector<std::vector<Completion>> completions_;  // of this batch, per frontend
  std::vector<std::pair<size_t, Completion>> waits_for_compaction_;
  Term first_entry_of_;             // an empty entry of this batch: a leader's first
  Index leases_heard_;              // what the lease loop was told to have heard
  int64_t published_revision_ = 0;  // of the last batch
  bool cluster_changed_ = true;
  bool compaction_scheduled_ = false;
  std::optional<env::Duration> compaction_waits_since_;

  std::unique_ptr<btree::Image> checkpoint_;  // under way
  raft::SnapshotMetadata checkpoint_holds_;
  std::string checkpoint_membership_;
  env::Duration checkpoint_started_{0};  // the newest one
  std::vector<env::DoneStatus> after_this_checkpoint_;
  std::vector<env::DoneStatus> after_checkpoint_;  // that begins from now on
  env::TimerId checkpoint_timer_;
  env::TimerId snapshot_timer_;
  Index last_snapshot_;
  std::optional<Index> snapshot_due_;  // the first that holds a lowered cluster version
  std::string version_seen_;           // of the cluster
  bool snapshot_under_way_ = false;

  std::deque<OnImage> freezers_;
  std::weak_ptr<FrozenImage> frozen_;  // of the present generation
  bool frozen_out_ = false;            // it has not come back
  int images_out_ = 0;                 // of any generation
  std::optional<Replacement> replacement_;
  std::vector<Defragmenter> defragmenters_;
  uint64_t defragment_pages_left_ = 0;  // that may still move
  bool defragment_moved_ = false;       // in this pass
  int idle_passes_ = 0;
  bool stopping_ = false;
  bool ended_ = false;  // the last checkpoint is written: nothing is applied any more
  env::Task stopped_;
};

}  // namespace quoin::server
