// ApplyLoop: carries out committed entries in order, makes them visible, and answers who waits.
// Between batches its parts do the store's housekeeping: checkpoints, compaction, frozen images,
// snapshots from the leader, giving space back. What may begin now is decided in Advance alone.
//
// Thread: the apply loop; every method runs there (others post).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft_types/types.h"
#include "server/apply_context.h"
#include "server/checkpointer.h"
#include "server/compactor.h"
#include "server/defragmenter.h"
#include "server/frontend.h"
#include "server/images.h"
#include "server/installer.h"
#include "server/messages.h"

namespace quoin::server {

class LeaseLoop;
class RaftLoop;

class ApplyLoop {
 public:
  ApplyLoop(const NodeConfig& config, NodeInfo& info, ApplyLoops loops, env::FileSystem& files,
            Paths paths, std::shared_ptr<Data> data, ReceivedTrees& received, const RequestIds& ids,
            Logger& log);
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
  // A frozen root of the present for a copy or a whole-tree hash; waits while clients have
  // limits::kFrozenImagesMax.
  using OnImage = Images::OnImage;
  void Freeze(OnImage ready, Wanted wanted);
  // For a lagging member: one that holds `at_least`. Waits for no client.
  void FreezeAt(Index at_least, OnImage ready);
  // Moves pages to the front of the file until it cannot shrink, writes it, cuts it; then done.
  // Ends without an answer once it is wanted by nobody.
  void Defragment(Wanted wanted, env::DoneStatus done) {
    defragmenter_.Run(std::move(wanted), std::move(done));
  }

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
  state::StateMachine& machine() { return context_.machine(); }

  // --- a snapshot from the leader ---
  // Replaces all state by the received tree of this snapshot, once what is under way has ended;
  // `installed` runs here then. Every frontend gets the new generation with a Published.
  void Install(raft::SnapshotMetadata metadata, env::Task installed);

 private:
  void Advance();
  void Drain();
  bool MayApply() const;
  void ApplyEntry(const raft::Entry& entry);
  void ApplyConfChange(const raft::Entry& entry);
  void EndBatch();
  // How far the lease loop will have heard with what is posted now.
  Index LeasesHeard();
  void TellLeases();
  void TellAllLeases();
  // What this batch brings to watchers; null when they have to read it from the store.
  std::shared_ptr<const watch::Batch> TakeEvents();
  void ShareBatch(Index applied);
  void ShareClusterInfo();
  void ShareData(Index applied);
  void NoteClusterVersion(const std::string& version);
  void AnswerCompactions(Compactor::Answers answers);
  void OnSnapshotSaved(raft::SnapshotMetadata metadata);
  void Replace(std::shared_ptr<Data> received);
  void FinishStop();

  ApplyContext context_;
  const RequestIds ids_;
  RaftLoop* raft_ = nullptr;
  LeaseLoop* leases_ = nullptr;
  std::vector<Frontend*> frontends_;
  std::function<void()> after_batch_;
  std::function<void(std::shared_ptr<Data>)> on_replaced_;
  std::function<void(std::shared_ptr<const ClusterInfo>)> on_cluster_;

  std::deque<raft::Entry> queue_;  // committed, not yet applied
  // Nothing is applied behind a configuration change until raft has switched.
  bool waits_for_conf_state_ = false;
  // The answer to that change, and the frontend that waits.
  std::optional<std::pair<size_t, Completion>> conf_change_done_;
  std::vector<std::vector<Completion>> completions_;  // of this batch, per frontend
  Term first_entry_of_;             // an empty entry of this batch: perhaps a leader's first
  Index leases_heard_;              // what the lease loop was told to have heard
  int64_t published_revision_ = 0;  // of the last batch
  bool cluster_changed_ = true;
  std::string version_seen_;  // of the cluster

  Checkpointer checkpointer_;
  Compactor compactor_;
  Images images_;
  Installer installer_;
  Defragmenter defragmenter_;
  env::Task stopped_;
  bool ended_ = false;  // the last checkpoint is written: nothing is applied any more
};

}  // namespace quoin::server
