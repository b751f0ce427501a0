// Transport: Raft messages to and from the other members, in etcd's rafthttp protocol over HTTP/1.1
// (docs/formats/peer.md).
//
// There are Transport (one per member), Host (the member behind it), SnapshotSource (the tree file
// that goes with an outgoing MsgSnap) and SnapshotSink (where an incoming one is stored).
//
// Thread: everything here belongs to the peer loop, an env::Executor of its own: calls are made
// there and callbacks run there. A slow or dead peer delays no other.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/log.h"
#include "base/release.h"
#include "base/status.h"
#include "env/env.h"
#include "raft_types/types.h"
#include "rpc/server.h"

namespace quoin::peer {

// Bytes of a tree file that stays as it is while this object lives. Destroyed on the peer loop.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  virtual uint64_t size_bytes() const = 0;
  // The next piece, in order: between 1 byte and bytes_max; empty at the end. One at a time. `done`
  // runs on the peer loop, never inside the call, unless the object is destroyed before.
  virtual void Read(size_t bytes_max, absl::AnyInvocable<void(StatusOr<std::string>)> done) = 0;
};

// Takes the tree file of one incoming MsgSnap. Destroyed without Finish: what was stored is
// removed. Destroyed on the peer loop.
class SnapshotSink {
 public:
  virtual ~SnapshotSink() = default;
  // One at a time; `done` runs on the peer loop, never inside the call.
  virtual void Write(std::string bytes, absl::AnyInvocable<void(Status)> done) = 0;
  // All is there: makes it durable under its name, and hands the message to raft. That happens
  // whether or not the sender still waits, so that raft decides about every tree that is kept.
  virtual void Finish(absl::AnyInvocable<void(Status)> done) = 0;
};

// The member that uses the transport. Outlives it.
class Host {
 public:
  virtual ~Host() = default;
  // Messages for raft, in the order in which each peer sent them; those of one turn together.
  virtual void OnMessages(std::vector<raft::Message> messages) = 0;
  // A message to `id` was dropped, or its connection broke.
  virtual void OnUnreachable(NodeId id) = 0;
  // The machine of `id` says that nobody listens at its address any more, and no stream to or from
  // it is left: its process has ended. Said again with every further try.
  virtual void OnProcessGone(NodeId id) = 0;
  // Exactly once per SendSnapshot.
  virtual void OnSnapshotSent(NodeId id, bool ok) = 0;
  // A peer told us that this member has been removed from the cluster.
  virtual void OnRemoved() = 0;
  // Where the tree file of this MsgSnap goes. The sink hands the message to raft; the transport
  // answers the sender.
  virtual StatusOr<std::unique_ptr<SnapshotSink>> ReceiveSnapshot(const raft::Message& message) = 0;
  virtual bool IsRemoved(NodeId id) = 0;
  // Requests on the peer port that are not Raft's own: /members, /members/promote/<id>, /version,
  // /leases, /leases/internal, /downgrade/enabled, /members/hashkv. Answered now or later.
  virtual void HandleHttp(rpc::HttpRequest request, rpc::HttpHandler::Reply reply) = 0;
};

struct Options {
  NodeId self;
  uint64_t cluster_id = 0;
  std::vector<std::string> self_peer_urls;  // sent as X-PeerURLs
  std::string server_version = kEtcdVersion;
  std::string min_cluster_version = "3.0.0";
  env::Duration election_timeout = std::chrono::seconds(1);  // dial timeout = 1 s + this
  env::Duration stream_timeout = std::chrono::seconds(5);    // silence that ends a stream
  size_t queue_bytes_max = 64 << 20;                         // unsent, per stream
  size_t message_bytes_max = 512 << 20;
  size_t held_bytes_max = 256 << 20;  // by all requests to the peer port that are not whole
  size_t snapshots_in_flight_max = 16;
  uint64_t connections_max = UINT64_MAX;  // accepted at once; more wait in the kernel
};

struct PeerStatus {
  NodeId id;
  // Since when the peer has answered without a failure in between; nullopt = not now.
  std::optional<env::Duration> active_since;
};

class Transport {
 public:
  static std::unique_ptr<Transport> New(env::Env& env, env::Executor& loop, const Options& options,
                                        Host& host, Logger& log);
  virtual ~Transport() = default;

  // Binds one of --listen-peer-urls ("host:port"). Bound when it returns.
  virtual Status Listen(const std::string& address) = 0;
  virtual std::vector<std::string> addresses() const = 0;

  // A member: streams both ways, the pipeline and probes. Replaces a remote of that id.
  virtual void AddPeer(NodeId id, std::vector<std::string> urls) = 0;
  // Somebody who is not (yet) known as a member: pipeline only, for answers and for joining.
  virtual void AddRemote(NodeId id, std::vector<std::string> urls) = 0;
  virtual void RemovePeer(NodeId id) = 0;
  virtual void UpdatePeer(NodeId id, std::vector<std::string> urls) = 0;
  virtual bool HasPeer(NodeId id) const = 0;

  // Never waits. What cannot be queued is dropped and reported by OnUnreachable. Messages to
  // unknown members are dropped.
  virtual void Send(std::vector<raft::Message> messages) = 0;
  // A MsgSnap with the tree file that belongs to it.
  virtual void SendSnapshot(raft::Message message, std::unique_ptr<SnapshotSource> source) = 0;

  virtual std::vector<PeerStatus> peers() const = 0;

  // Ends all streams and stops listening; no callbacks any more.
  virtual void Stop() = 0;
};

}  // namespace quoin::peer
