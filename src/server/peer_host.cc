#include "server/peer_host.h"

#include <algorithm>
#include <limits>

#include "base/limits.h"
#include "server/apply_loop.h"
#include "server/node.h"
#include "server/raft_loop.h"
#include "server/server_version.h"
#include "server/snapshot_files.h"

namespace quoin::server {
namespace {

constexpr env::Duration kWatchInterval = std::chrono::milliseconds(500);
// A member that applies its own removal goes on so long, for the others to hear of it.
constexpr env::Duration kRemovedDelay = std::chrono::seconds(1);
// What one task sends: a follower's window is up to limits::InflightBytes, several want theirs. One
// that finds its leader forwards all the proposals that waited.
constexpr size_t kEntryBytesPerTask = limits::kMessageBytesMax;

bool CarriesEntries(const raft::Message& message) {
  return message.type == raft::MessageType::kApp || message.type == raft::MessageType::kProp;
}

}  // namespace

PeerHost::PeerHost(const NodeConfig& config, NodeInfo& info, Loops loops, env::FileSystem& files,
                   ReceivedTrees& received, Logger& log)
    : config_(config),
      info_(info),
      loops_(loops),
      files_(files),
      received_trees_(received),
      paths_(config),
      log_(log),
      warnings_(info.member_id, config.quota_bytes, log) {}

PeerHost::~PeerHost() = default;

void PeerHost::Serve(std::string path, Answer answer) {
  answers_[std::move(path)] = std::move(answer);
}

Status PeerHost::Start(env::Env& env, const NewTransport& new_transport) {
  peer::Options options;
  options.self = NodeId(info_.member_id);
  options.cluster_id = info_.cluster_id;
  options.self_peer_urls = config_.advertise_peer_urls;
  options.server_version = kServerVersion;
  options.election_timeout = config_.election_timeout;
  options.connections_max = config_.peer_connections_max;
  transport_ = new_transport(env, loops_.peer, options, *this, log_);
  for (const std::string& address : config_.listen_peer_addresses)
    RETURN_IF_ERROR(transport_->Listen(address));
  loops_.peer.Post([this] {
    AddRemotes();
    WatchConnections();
  });
  return OkStatus();
}

void PeerHost::Stop() {
  loops_.peer.Cancel(watch_timer_);
  loops_.peer.Cancel(end_timer_);
  if (transport_ != nullptr) transport_->Stop();
  transport_.reset();
}

// A member that joins knows the others from what they said; its own state does not name them yet.
void PeerHost::AddRemotes() {
  if (!config_.existing) return;
  for (const auto& [id, urls] : config_.existing->peer_urls) {
    if (id != info_.member_id && !known_.contains(id)) transport_->AddRemote(NodeId(id), urls);
  }
}

void PeerHost::OnCluster(std::shared_ptr<const ClusterInfo> cluster) {
  cluster_ = std::move(cluster);
  if (transport_ == nullptr) return;
  std::map<uint64_t, std::vector<std::string>> members;
  for (const cluster::Member& member : cluster_->members) {
    if (member.id != info_.member_id) members[member.id] = member.peer_urls;
  }
  for (const auto& [id, urls] : known_) {
    if (!members.contains(id)) transport_->RemovePeer(NodeId(id));
  }
  for (const auto& [id, urls] : members) {
    auto known = known_.find(id);
    if (known == known_.end()) {
      transport_->AddPeer(NodeId(id), urls);
    } else if (known->second != urls) {
      transport_->UpdatePeer(NodeId(id), urls);
    }
  }
  known_ = std::move(members);
  if (cluster_->removed.contains(info_.member_id) && end_timer_.value == 0) {
    end_timer_ = loops_.peer.RunAfter(kRemovedDelay, [this] { MustEnd("it applied its removal"); });
  }
}

// --- messages ---

void PeerHost::Send(std::vector<raft::Message> messages) {
  if (transport_ == nullptr) return;
  auto is_snapshot = [](const raft::Message& message) {
    return message.type == raft::MessageType::kSnap;
  };
  for (raft::Message& message : messages) {
    if (is_snapshot(message)) SendSnapshot(message);
  }
  std::erase_if(messages, is_snapshot);
  // Heartbeats, votes and their answers may overtake what carries entries.
  const bool nobody_sends = laden_.empty();
  for (raft::Message& message : messages) {
    if (CarriesEntries(message)) laden_.push_back(std::move(message));
  }
  std::erase_if(messages, CarriesEntries);
  if (!messages.empty()) transport_->Send(std::move(messages));
  if (nobody_sends) SendLaden();
}

// Some of those that wait; the loop does other work before the rest.
void PeerHost::SendLaden() {
  if (transport_ == nullptr) return;
  std::vector<raft::Message> some;
  for (size_t bytes = 0; !laden_.empty() && bytes < kEntryBytesPerTask; laden_.pop_front()) {
    for (const raft::Entry& entry : laden_.front().entries) bytes += entry.data.size();
    some.push_back(std::move(laden_.front()));
  }
  if (!some.empty()) transport_->Send(std::move(some));
  if (!laden_.empty()) loops_.peer.Post([this] { SendLaden(); });
}

// The message only says which state is wanted at least; what is sent is the state of now.
void PeerHost::SendSnapshot(raft::Message message) {
  loops_.apply.Post([this, message = std::move(message)]() mutable {
    const Index at_least = message.snapshot.metadata.index;
    apply_->FreezeAt(at_least, [this, message = std::move(message)](
                                   std::shared_ptr<FrozenImage> image) mutable {
      loops_.peer.Post([this, message = std::move(message), image = std::move(image)]() mutable {
        if (transport_ == nullptr) return;
        message.snapshot = {SharedBytes(image->membership_json), image->metadata};
        log_.Info("sending database snapshot",
                  {{"snapshot-index", image->metadata.index.value()},
                   {"remote-peer-id", cluster::HexId(message.to.value())},
                   {"bytes", image->image->size_bytes()}});
        transport_->SendSnapshot(std::move(message),
                                 NewImageSource(std::move(image), loops_.peer, loops_.storage));
      });
    });
  });
}

// A snapshot comes with its tree or not at all: see ReceiveSnapshot.
void PeerHost::OnMessages(std::vector<raft::Message> messages) {
  std::erase_if(messages, [](const raft::Message& message) {
    return message.type == raft::MessageType::kSnap;
  });
  loops_.raft.Post([raft = raft_, messages = std::move(messages)]() mutable {
    raft->OnMessages(std::move(messages));
  });
}

void PeerHost::OnUnreachable(NodeId id) {
  loops_.raft.Post([raft = raft_, id] { raft->OnUnreachable(id); });
}

void PeerHost::OnProcessGone(NodeId id) {
  loops_.raft.Post([raft = raft_, id] { raft->OnProcessGone(id); });
}

void PeerHost::OnSnapshotSent(NodeId id, bool ok) {
  log_.Info(ok ? "sent database snapshot" : "failed to send database snapshot",
            {{"remote-peer-id", cluster::HexId(id.value())}});
  loops_.raft.Post([raft = raft_, id, ok] { raft->OnSnapshotSent(id, ok); });
}

StatusOr<std::unique_ptr<peer::SnapshotSink>> PeerHost::ReceiveSnapshot(
    const raft::Message& message) {
  return NewReceivedTree(
      message, ++received_,
      ReceivedTreeHost{paths_, config_, files_, loops_.peer, loops_.bulk, received_trees_, log_,
                       [raft = raft_, &loop = loops_.raft](raft::Message stored) {
                         loop.Post([raft, stored = std::move(stored)]() mutable {
                           raft->OnMessages({std::move(stored)});
                         });
                       }});
}

// --- membership ---

bool PeerHost::IsRemoved(NodeId id) {
  return cluster_ != nullptr && cluster_->removed.contains(id.value());
}

void PeerHost::OnRemoved() { MustEnd("a peer said so"); }

void PeerHost::MustEnd(const char* why) {
  if (!on_removed_) return;
  log_.Warn("the member has been permanently removed from the cluster",
            {{"local-member-id", cluster::HexId(info_.member_id)}, {"reason", why}});
  std::exchange(on_removed_, nullptr)();
}

std::vector<peer::PeerStatus> PeerHost::peers() const {
  return transport_ == nullptr ? std::vector<peer::PeerStatus>() : transport_->peers();
}

// Keeps NodeInfo::connected_since: of the leader, or on the leader of the peer that completes a
// quorum.
void PeerHost::WatchConnections() {
  watch_timer_ = loops_.peer.RunAfter(kWatchInterval, [this] { WatchConnections(); });
  constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  const uint64_t leader = info_.leader.load();
  std::vector<int64_t> since;
  for (const peer::PeerStatus& peer : transport_->peers()) {
    if (leader != info_.member_id && peer.id.value() != leader) continue;
    since.push_back(peer.active_since ? peer.active_since->count() : kNever);
  }
  std::sort(since.begin(), since.end());
  int64_t connected = 0;
  if (leader != info_.member_id) {
    connected = since.empty() ? kNever : since.front();
  } else if (const size_t others = since.size() / 2 + since.size() % 2; others > 0) {
    connected = since[others - 1];
  }
  info_.connected_since.store(connected, std::memory_order_relaxed);
  if (cluster_ != nullptr) warnings_.Look(*cluster_, transport_->peers());
}

// --- pages ---

void PeerHost::HandleHttp(rpc::HttpRequest request, rpc::HttpHandler::Reply reply) {
  std::string path = request.target.substr(0, request.target.find('?'));
  auto answer = answers_.find(path);
  while (answer == answers_.end() && path.size() > 1) {
    path.resize(path.find_last_of('/', path.size() - 2) + 1);
    answer = answers_.find(path);
  }
  if (answer != answers_.end()) return answer->second(std::move(request), std::move(reply));
  rpc::HttpResponse response;
  response.status = 404;
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"},
                      {"X-Content-Type-Options", "nosniff"}};
  response.body = "404 page not found\n";
  reply(std::move(response));
}

}  // namespace quoin::server
