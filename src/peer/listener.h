// Listener: what this member answers on its peer port: checks in etcd's order, then streams,
// single messages and snapshots; the rest is the host's.
//
// Thread: the peer loop.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peer/body_receiver.h"
#include "peer/context.h"
#include "peer/remote_peer.h"
#include "peer/snapshot_receiver.h"

namespace quoin::peer {

// A refusal as etcd words and frames it.
rpc::HttpResponse ErrorResponse(const Options& options, int status, const std::string& text);

// Finds peers for the listener. Outlives it.
class PeerTable {
 public:
  virtual ~PeerTable() = default;
  virtual RemotePeer* FindPeer(NodeId id) = 0;  // members only
  // A sender that is nobody we know, but says where it listens.
  virtual void NoteRemote(NodeId id, const std::string& comma_separated_urls) = 0;
};

class Listener final : public rpc::HttpHandler, private SnapshotReceiver::Owner {
 public:
  Listener(const Context& context, PeerTable& peers)
      : context_(context), peers_(peers), bodies_(context.options.held_bytes_max) {}

  void Handle(rpc::HttpRequest request, env::Executor& loop, Reply reply) override;
  std::unique_ptr<rpc::HttpStreamHandler> Stream(const rpc::HttpRequest& head,
                                                 rpc::HttpExchange& exchange) override;

 private:
  struct StreamTarget {
    StreamKind kind = StreamKind::kMessage;
    RemotePeer* peer = nullptr;
  };
  // Versions and cluster; nullopt: nothing is wrong.
  std::optional<rpc::HttpResponse> CheckSender(const rpc::HttpRequest& request) const;
  // Who asks for which stream, or the refusal.
  std::optional<rpc::HttpResponse> CheckStream(const rpc::HttpRequest& request,
                                               StreamTarget& target);
  std::optional<rpc::HttpResponse> CheckPost(const rpc::HttpRequest& request);
  // `sender`: who brings it, as the head says.
  Status AdmitMessage(const raft::Message& message, NodeId sender);
  rpc::HttpResponse TakeMessage(const rpc::HttpRequest& request);
  rpc::HttpResponse Probing() const;
  // A request with a body, whose head is here.
  std::unique_ptr<rpc::HttpStreamHandler> TakeBody(const rpc::HttpRequest& head,
                                                   rpc::HttpExchange& exchange);
  std::unique_ptr<rpc::HttpStreamHandler> TakeSnapshot(NodeId sender, rpc::HttpExchange& exchange);
  // --- SnapshotReceiver::Owner ---
  Status Admit(const raft::Message& message, NodeId sender) override {
    return AdmitMessage(message, sender);
  }
  void OnReceiverGone(SnapshotReceiver& receiver) override;

  const Context context_;
  PeerTable& peers_;
  HeldBodies bodies_;
  std::map<NodeId, SnapshotReceiver*> receiving_;  // by sender; owned by their sessions
};

}  // namespace quoin::peer
