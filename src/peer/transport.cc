#include "peer/transport.h"

#include <algorithm>
#include <map>
#include <utility>

#include "peer/context.h"
#include "peer/listener.h"
#include "peer/remote_peer.h"
#include "peer/snapshot_sender.h"

namespace quoin::peer {
namespace {

// Who is not a member can make itself known; what that may cost is bounded.
constexpr size_t kRemotesMax = 64;
constexpr size_t kRemoteUrlsBytesMax = 4096;
// Unused for so long one makes room for another.
constexpr env::Duration kRemoteIdle = std::chrono::minutes(1);

std::vector<std::string> SplitUrls(const std::string& text) {
  std::vector<std::string> urls;
  size_t at = 0;
  while (at < text.size()) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) urls.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return urls;
}

class TransportImpl final : public Transport, private PeerTable {
 public:
  TransportImpl(env::Env& env, env::Executor& loop, const Options& options, Host& host, Logger& log)
      : options_(options),
        context_{env, loop, options_, host, log},
        connections_(options.connections_max == UINT64_MAX
                         ? nullptr
                         : std::make_shared<env::ConnectionLimit>(loop, options.connections_max)),
        listener_(context_, *this) {
    rpc::ServerOptions server;
    server.receive_message_bytes_max = 0;  // the listener takes all bodies as they come
    // With room for one message of the greatest size that waits for its member.
    server.unread_bytes_max = options.held_bytes_max + options.message_bytes_max;
    server_ = rpc::Server::New(env, {&loop}, server, nullptr, &listener_, log);
  }

  Status Listen(const std::string& address) override {
    return server_->Listen(address, {.limit = connections_});
  }
  std::vector<std::string> addresses() const override { return server_->addresses(); }

  void AddPeer(NodeId id, std::vector<std::string> urls) override {
    if (peers_.contains(id)) return;
    remotes_.erase(id);
    context_.log.Info("added remote peer",
                      {{"remote-peer-id", HexOf(id)}, {"remote-peer-urls", urls}});
    peers_[id] =
        std::make_unique<RemotePeer>(context_, RemotePeer::Kind::kMember, id, std::move(urls));
  }
  void AddRemote(NodeId id, std::vector<std::string> urls) override {
    if (peers_.contains(id)) return;
    if (auto found = remotes_.find(id); found != remotes_.end()) {
      found->second->Touch();
      if (found->second->urls() != urls) found->second->UpdateUrls(std::move(urls));
      return;
    }
    if (remotes_.size() >= kRemotesMax && !EvictRemote()) return;
    remotes_[id] =
        std::make_unique<RemotePeer>(context_, RemotePeer::Kind::kRemote, id, std::move(urls));
  }
  void RemovePeer(NodeId id) override {
    auto found = peers_.find(id);
    if (found == peers_.end()) return;
    Bury(std::move(found->second));
    peers_.erase(found);
    context_.log.Info("removed remote peer", {{"removed-remote-peer-id", HexOf(id)}});
  }
  void UpdatePeer(NodeId id, std::vector<std::string> urls) override {
    if (auto found = peers_.find(id); found != peers_.end())
      found->second->UpdateUrls(std::move(urls));
  }
  bool HasPeer(NodeId id) const override { return peers_.contains(id); }

  void Send(std::vector<raft::Message> messages) override {
    for (const raft::Message& message : messages) {
      RemotePeer* peer = Find(message.to);
      if (peer != nullptr && !peer->Send(message)) context_.host.OnUnreachable(message.to);
    }
  }

  void SendSnapshot(raft::Message message, std::unique_ptr<SnapshotSource> source) override {
    RemotePeer* peer = Find(message.to);
    if (peer == nullptr || snapshots_.size() >= options_.snapshots_in_flight_max)
      return context_.host.OnSnapshotSent(message.to, false);
    const uint64_t number = next_snapshot_++;
    context_.log.Info("sending database snapshot",
                      {{"snapshot-index", message.snapshot.metadata.index.value()},
                       {"remote-peer-id", HexOf(message.to)},
                       {"bytes", source->size_bytes()}});
    const NodeId to = message.to;
    snapshots_[number] = std::make_unique<SnapshotSender>(
        context_, peer->url(), message, std::move(source),
        [this, number, to, url = peer->url()](const Status& status) {
          SnapshotDone(number, to, url, status);
        });
  }

  std::vector<PeerStatus> peers() const override {
    std::vector<PeerStatus> out;
    for (const auto& [id, peer] : peers_) out.push_back({id, peer->active_since()});
    return out;
  }

  void Stop() override {
    peers_.clear();
    remotes_.clear();
    snapshots_.clear();
    server_.reset();
  }

 private:
  RemotePeer* Find(NodeId id) {
    if (auto found = peers_.find(id); found != peers_.end()) return found->second.get();
    if (auto found = remotes_.find(id); found != remotes_.end()) return found->second.get();
    return nullptr;
  }

  // The remote that has been of no use for longest; false when all of them are.
  bool EvictRemote() {
    auto longest = std::min_element(
        remotes_.begin(), remotes_.end(),
        [](const auto& a, const auto& b) { return a.second->used_at() < b.second->used_at(); });
    if (longest->second->used_at() + kRemoteIdle > context_.loop.clock().Now()) return false;
    Bury(std::move(longest->second));
    remotes_.erase(longest);
    return true;
  }

  // It may be on the stack.
  void Bury(std::unique_ptr<RemotePeer> peer) {
    peer->DetachWriters();
    context_.loop.Post([gone = std::move(peer)] {});
  }

  void SnapshotDone(uint64_t number, NodeId to, const std::string& url, const Status& status) {
    if (status.ok()) {
      context_.log.Info("sent database snapshot", {{"remote-peer-id", HexOf(to)}});
    } else {
      context_.log.Warn("failed to send database snapshot",
                        {{"remote-peer-id", HexOf(to)}, {"error", std::string(status.message())}});
      if (RemotePeer* peer = Find(to)) peer->UrlFailed(url);
    }
    // It is on the stack.
    context_.loop.Post([gone = std::move(snapshots_.at(number))] {});
    snapshots_.erase(number);
    context_.host.OnSnapshotSent(to, status.ok());
  }

  // --- PeerTable ---
  RemotePeer* FindPeer(NodeId id) override {
    auto found = peers_.find(id);
    return found == peers_.end() ? nullptr : found->second.get();
  }
  void NoteRemote(NodeId id, const std::string& urls) override {
    if (urls.size() <= kRemoteUrlsBytesMax && id != options_.self) AddRemote(id, SplitUrls(urls));
  }

  const Options options_;
  const Context context_;
  const std::shared_ptr<env::ConnectionLimit> connections_;
  Listener listener_;
  std::unique_ptr<rpc::Server> server_;
  std::map<NodeId, std::unique_ptr<RemotePeer>> peers_, remotes_;
  std::map<uint64_t, std::unique_ptr<SnapshotSender>> snapshots_;
  uint64_t next_snapshot_ = 0;
};

}  // namespace

std::unique_ptr<Transport> Transport::New(env::Env& env, env::Executor& loop,
                                          const Options& options, Host& host, Logger& log) {
  return std::make_unique<TransportImpl>(env, loop, options, host, log);
}

}  // namespace quoin::peer
