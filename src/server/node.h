// Node: one member, whole: its directory, its loops, and the frontends that I/O loops talk to.
//
// Everything outside comes from the env::Env it is given; the simulator runs the same class.
// Thread: Start and Stop from the thread (or simulated executor) that owns the node.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "env/env.h"
#include "server/apply_loop.h"
#include "server/auto_compactor.h"
#include "server/config.h"
#include "server/frontend.h"
#include "server/hashes.h"
#include "server/lease_loop.h"
#include "server/node_info.h"
#include "server/peer_host.h"
#include "server/raft_loop.h"
#include "server/recovery.h"
#include "server/version_monitor.h"

namespace quoin::server {

class CorruptionCheck;

class Node {
 public:
  // What the owner hears, each at most once, on its executor.
  struct Events {
    // The member has published itself and knows the cluster version: it may serve clients.
    env::Task ready;
    // The member was removed from the cluster and is to be stopped.
    env::Task removed;
    // The member has lost a part of its log and must end at once, with these words.
    std::function<void(std::string)> lost = nullptr;
  };
  // Recovers or makes the directory; nothing runs yet.
  static StatusOr<std::unique_ptr<Node>> Open(env::Env& env, const NodeConfig& config,
                                              std::vector<env::Executor*> io_loops,
                                              env::Executor& owner, Events events, Logger& log);
  // Listens for peers and starts the loops; once. `new_transport` nullptr: peer::Transport::New.
  Status Run(NewTransport new_transport = nullptr);
  // Both.
  static StatusOr<std::unique_ptr<Node>> Start(env::Env& env, const NodeConfig& config,
                                               std::vector<env::Executor*> io_loops,
                                               env::Executor& owner, Events events, Logger& log,
                                               NewTransport new_transport = nullptr);
  ~Node();

  Frontend& frontend(size_t io_loop) { return *frontends_[io_loop]; }
  size_t frontends() const { return frontends_.size() - 2; }
  NodeInfo& info() { return info_; }
  const NodeConfig& config() const { return config_; }
  // For work that may wait for pages: posted there. The store and the reader slot of that loop,
  // of the present generation: used there, and not kept across turns.
  env::Executor& storage_loop() { return *storage_executor_; }
  mvcc::Store& store() { return storage_reader_->store(); }
  EpochDomain::ReaderSlot& storage_slot() { return storage_reader_->slot; }
  // Both, for who reads in several turns.
  std::shared_ptr<StorageReader> storage_reader() { return storage_reader_; }
  env::Env& env() { return env_; }
  env::Executor& apply_executor() { return *apply_executor_; }
  ApplyLoop& apply_loop() { return *apply_; }
  env::Executor& raft_executor() { return *raft_executor_; }
  RaftLoop& raft_loop() { return *raft_; }
  env::Executor& peer_executor() { return *peer_executor_; }
  PeerHost& peers() { return *peers_; }
  env::Executor& lease_executor() { return *lease_executor_; }
  LeaseLoop& lease_loop() { return *leases_; }
  // `use` runs on the apply loop when it is this caller's turn, with null when too many wait; not
  // at all once it is not wanted any more. Thread: any.
  void WithFrozenImage(ApplyLoop::OnImage use, Wanted wanted = nullptr);
  Hashes& hashes() { return *hashes_; }

  // Hands the lead over, answers what waits, writes a last checkpoint, closes the log. `stopped` is
  // posted to `owner`. At any moment after Run, also while the member starts, joins, installs a
  // snapshot or elects. Then, in this order: stop the I/O loops, destroy what works on frontends
  // (calls), destroy the node, destroy the I/O loops. Until the node is gone its loops may still
  // post to those.
  void Stop(env::Executor& owner, env::Task stopped);

 private:
  Node(env::Env& env, const NodeConfig& config, Logger& log);
  Status Build(std::vector<env::Executor*> io_loops);
  void BuildRaft();
  void BuildLoops(std::vector<env::Executor*> io_loops);
  void StopLoops(env::Executor& owner, std::shared_ptr<env::Task> stopped);
  void StartLoops();
  std::shared_ptr<StorageReader> NewStorageReader(std::shared_ptr<Data> data);
  void AfterBatch();
  void PublishAttributes();

  env::Env& env_;
  const NodeConfig config_;
  Logger& log_;
  NodeInfo info_;
  // Stopped before anything else goes, and destroyed last (see ~Node).
  std::unique_ptr<env::Executor> raft_executor_, wal_executor_, apply_executor_, storage_executor_,
      checkpoint_executor_, bulk_executor_, peer_executor_, lease_executor_;
  Recovered recovered_;
  std::unique_ptr<ReceivedTrees> received_trees_;
  std::unique_ptr<RaftLoop> raft_;
  std::unique_ptr<ApplyLoop> apply_;
  std::unique_ptr<PeerHost> peers_;
  std::unique_ptr<LeaseHost> lease_host_;
  std::unique_ptr<LeaseLoop> leases_;
  std::shared_ptr<StorageReader> storage_reader_;  // storage loop's
  std::unique_ptr<Hashes> hashes_;
  std::vector<std::unique_ptr<Frontend>>
      frontends_;  // the last two belong to the lease loop and the apply loop
  std::unique_ptr<AutoCompactor> compactor_;

  // Apply loop:
  env::Executor* owner_ = nullptr;
  env::Task ready_;
  bool stopping_ = false;
  bool publishing_attributes_ = false;
  Frontend::Wait attributes_wait_;
  std::unique_ptr<VersionMonitor> versions_;
  std::unique_ptr<CorruptionCheck> corruption_;
};

}  // namespace quoin::server
