// PeerHost: the member as its transport sees it: messages to and from raft, the tree files that go
// with snapshots, who the peers are, and the pages of the peer port.
//
// Thread: the peer loop, but for Connect and Serve (before it runs); others post.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "env/env.h"
#include "peer/transport.h"
#include "server/cluster_warnings.h"
#include "server/config.h"
#include "server/messages.h"
#include "server/node_info.h"
#include "server/paths.h"

namespace quoin::server {

class ApplyLoop;
class RaftLoop;
class ReceivedTrees;

// How a member's transport is made: peer::Transport::New, or a test's own.
using NewTransport = std::function<std::unique_ptr<peer::Transport>(
    env::Env&, env::Executor&, const peer::Options&, peer::Host&, Logger&)>;

class PeerHost final : public peer::Host {
 public:
  struct Loops {
    env::Executor& peer;
    env::Executor& raft;
    env::Executor& apply;
    env::Executor& storage;
    env::Executor& bulk;
  };
  PeerHost(const NodeConfig& config, NodeInfo& info, Loops loops, env::FileSystem& files,
           ReceivedTrees& received, Logger& log);
  ~PeerHost() override;

  void Connect(RaftLoop& raft, ApplyLoop& apply) {
    raft_ = &raft;
    apply_ = &apply;
  }
  // Who answers requests for `path`; one that ends with '/' is answered with all below it.
  using Answer = absl::AnyInvocable<void(rpc::HttpRequest, rpc::HttpHandler::Reply)>;
  void Serve(std::string path, Answer answer);
  // Runs once, when this member was removed from the cluster and must end.
  void set_on_removed(env::Task on_removed) { on_removed_ = std::move(on_removed); }

  // Makes the transport and binds the addresses of the configuration.
  Status Start(env::Env& env, const NewTransport& new_transport);
  void Stop();
  // Instead of Stop, where the loop runs no more (or never ran).
  void Abandon() { transport_.reset(); }

  void Send(std::vector<raft::Message> messages);
  // The membership as it has been applied: the peers follow it.
  void OnCluster(std::shared_ptr<const ClusterInfo> cluster);
  const std::shared_ptr<const ClusterInfo>& cluster() const { return cluster_; }
  std::vector<peer::PeerStatus> peers() const;

  // peer::Host
  void OnMessages(std::vector<raft::Message> messages) override;
  void OnUnreachable(NodeId id) override;
  void OnProcessGone(NodeId id) override;
  void OnSnapshotSent(NodeId id, bool ok) override;
  void OnRemoved() override;
  StatusOr<std::unique_ptr<peer::SnapshotSink>> ReceiveSnapshot(
      const raft::Message& message) override;
  bool IsRemoved(NodeId id) override;
  void HandleHttp(rpc::HttpRequest request, rpc::HttpHandler::Reply reply) override;

 private:
  void SendLaden();
  void SendSnapshot(raft::Message message);
  void AddRemotes();
  void WatchConnections();
  void MustEnd(const char* why);

  const NodeConfig& config_;
  NodeInfo& info_;
  Loops loops_;
  env::FileSystem& files_;
  ReceivedTrees& received_trees_;
  const Paths paths_;
  Logger& log_;
  RaftLoop* raft_ = nullptr;
  ApplyLoop* apply_ = nullptr;
  std::unique_ptr<peer::Transport> transport_;
  // Messages with entries that wait for a turn; raft bounds appends, the frontend proposals.
  std::deque<raft::Message> laden_;
  std::map<std::string, Answer> answers_;
  env::Task on_removed_;
  std::shared_ptr<const ClusterInfo> cluster_;
  std::map<uint64_t, std::vector<std::string>> known_;  // peers of the transport
  ClusterWarnings warnings_;
  uint64_t received_ = 0;
  env::TimerId watch_timer_;
  env::TimerId end_timer_;
};

}  // namespace quoin::server
