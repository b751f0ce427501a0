#include "server/node.h"

#include "base/check.h"
#include "proto/membership.pb.h"
#include "server/corruption_check.h"
#include "server/lease_pages.h"
#include "server/peer_pages.h"

namespace quoin::server {
namespace {

constexpr env::Duration kProposeAgain = std::chrono::milliseconds(500);

// High 16 bits: the member, without the topmost bit (frontends mark their waiting reads with it);
// below, the start time in ms shifted by 8, then a counter: unique across restarts.
RequestIds MakeRequestIds(uint64_t member_id, env::Duration wall_now, size_t loops) {
  const uint64_t ms = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(wall_now).count());
  RequestIds ids;
  ids.base = (member_id & 0x7fff) << 48 | ((ms & 0xffffffffff) << 8);
  ids.loops = loops;
  return ids;
}

}  // namespace

Node::Node(env::Env& env, const NodeConfig& config, Logger& log)
    : env_(env), config_(config), log_(log) {}

StatusOr<std::unique_ptr<Node>> Node::Start(env::Env& env, const NodeConfig& config,
                                            std::vector<env::Executor*> io_loops,
                                            env::Executor& owner, Events events, Logger& log,
                                            NewTransport new_transport) {
  ASSIGN_OR_RETURN(std::unique_ptr<Node> node,
                   Open(env, config, std::move(io_loops), owner, std::move(events), log));
  RETURN_IF_ERROR(node->Run(std::move(new_transport)));
  return node;
}

StatusOr<std::unique_ptr<Node>> Node::Open(env::Env& env, const NodeConfig& config,
                                           std::vector<env::Executor*> io_loops,
                                           env::Executor& owner, Events events, Logger& log) {
  std::unique_ptr<Node> node(new Node(env, config, log));
  node->owner_ = &owner;
  node->ready_ = std::move(events.ready);
  RETURN_IF_ERROR(node->Build(std::move(io_loops)));
  node->peers_->set_on_removed([&owner, removed = std::move(events.removed)]() mutable {
    if (removed) owner.Post(std::move(removed));
  });
  node->raft_->set_on_lost([&owner, lost = std::move(events.lost)](std::string words) {
    if (lost) owner.Post([lost, words = std::move(words)] { lost(words); });
  });
  return node;
}

Status Node::Run(NewTransport new_transport) {
  if (new_transport == nullptr) new_transport = &peer::Transport::New;
  RETURN_IF_ERROR(peers_->Start(env_, new_transport));
  StartLoops();
  return OkStatus();
}

Status Node::Build(std::vector<env::Executor*> io_loops) {
  wal_executor_ = env_.NewExecutor("wal");
  ASSIGN_OR_RETURN(recovered_, RecoverOrCreate(env_, config_, *wal_executor_, log_));
  raft_executor_ = env_.NewExecutor("raft");
  apply_executor_ = env_.NewExecutor("apply");
  storage_executor_ = env_.NewExecutor("storage");
  checkpoint_executor_ = env_.NewExecutor("checkpoint");
  bulk_executor_ = env_.NewExecutor("bulk");
  peer_executor_ = env_.NewExecutor("peer");
  lease_executor_ = env_.NewExecutor("lease");
  storage_reader_ = NewStorageReader(recovered_.data);
  hashes_ = std::make_unique<Hashes>(*this);
  received_trees_ =
      std::make_unique<ReceivedTrees>(env_.files().blocking(), config_, *bulk_executor_);
  info_.member_id = recovered_.identity.node_id;
  info_.cluster_id = recovered_.identity.cluster_id;
  info_.applied_index.store(recovered_.data->machine->applied_index().value());
  BuildRaft();
  BuildLoops(std::move(io_loops));
  return OkStatus();
}

void Node::BuildRaft() {
  raft::Config raft_config;
  raft_config.id = NodeId(info_.member_id);
  raft_config.election_ticks =
      static_cast<int>(config_.election_timeout / config_.heartbeat_interval);
  raft_config.pre_vote = config_.pre_vote;
  raft_config.message_bytes_max = config_.message_bytes_max;
  raft_config.inflight_messages_max = config_.inflight_messages_max;
  raft_config.inflight_bytes_max = config_.inflight_bytes_max;
  // Frontends refuse before raft does, so that what the member itself proposes has room; and so
  // have proposals that waited for a leader and come all at once.
  raft_config.uncommitted_bytes_max = config_.unapplied_bytes_max + limits::kHeldProposalBytesMax;
  info_.unapplied.set_bytes_max(config_.unapplied_bytes_max);
  raft::Raft raft(raft_config, std::move(recovered_.raft), env_.Random());

  // On its own loop: a forced new cluster has begun to write by now.
  wal_executor_->Post([this, wal = recovered_.wal.get()] {
    wal->set_on_fsync([this](env::Duration took) { info_.wal_fsync.Observe(took.count()); });
  });
  raft_ = std::make_unique<RaftLoop>(
      config_, info_,
      RaftLoop::Loops{*raft_executor_, *wal_executor_, *apply_executor_, *bulk_executor_,
                      *peer_executor_},
      std::move(raft), env_.Random(), *recovered_.wal, env_.files(), log_);
}

void Node::BuildLoops(std::vector<env::Executor*> io_loops) {
  const size_t clients = io_loops.size();
  io_loops.push_back(lease_executor_.get());
  io_loops.push_back(apply_executor_.get());
  const RequestIds ids = MakeRequestIds(info_.member_id, env_.clock().WallNow(), io_loops.size());
  std::vector<Frontend*> frontends;
  for (size_t i = 0; i < io_loops.size(); ++i) {
    frontends_.push_back(std::make_unique<Frontend>(i, ids, config_, info_, *io_loops[i],
                                                    *raft_executor_, *bulk_executor_, *raft_,
                                                    recovered_.data));
    if (i < clients) frontends_.back()->set_bounded();
    frontends.push_back(frontends_.back().get());
  }
  apply_ = std::make_unique<ApplyLoop>(
      config_, info_,
      ApplyLoops{*apply_executor_, *raft_executor_, *checkpoint_executor_, *bulk_executor_,
                 *lease_executor_},
      env_.files(), Paths(config_), recovered_.data, *received_trees_, ids, log_);
  recovered_.data.reset();
  peers_ =
      std::make_unique<PeerHost>(config_, info_,
                                 PeerHost::Loops{*peer_executor_, *raft_executor_, *apply_executor_,
                                                 *storage_executor_, *bulk_executor_},
                                 env_.files(), *received_trees_, log_);
  ServePeerPages(*this, *peers_, *frontends_.back());
  lease_host_ = std::make_unique<MemberLeaseHost>(env_, *frontends[frontends.size() - 2], *apply_,
                                                  *apply_executor_);
  leases_ = std::make_unique<LeaseLoop>(config_, info_, *lease_executor_, *lease_host_, log_);
  ServeLeasePages(*peers_, *leases_, *lease_executor_, *peer_executor_);
  apply_->Connect(*raft_, *leases_, frontends);
  raft_->Connect(*apply_, *peers_, *received_trees_, frontends, ids);
  peers_->Connect(*raft_, *apply_);
  versions_ = std::make_unique<VersionMonitor>(env_, *apply_executor_, config_, info_, *apply_,
                                               *frontends_.back(), log_);
  corruption_ = std::make_unique<CorruptionCheck>(*this, *frontends_.back(), log_);
  compactor_ = std::make_unique<AutoCompactor>(config_, info_, *frontends_.back(), log_);
}

// The last of an old generation may be let go of on any loop: freeing it is no work for that one.
std::shared_ptr<StorageReader> Node::NewStorageReader(std::shared_ptr<Data> data) {
  return {new StorageReader(std::move(data)), [&bulk = *bulk_executor_](StorageReader* last) {
            bulk.Post([owned = std::unique_ptr<StorageReader>(last)] {});
          }};
}

void Node::StartLoops() {
  apply_->set_after_batch([this] { AfterBatch(); });
  apply_->set_on_replaced([this](std::shared_ptr<Data> data) {
    storage_executor_->Post([this, data = std::move(data)]() mutable {
      storage_reader_ = NewStorageReader(std::move(data));
    });
  });
  apply_->set_on_cluster([this](std::shared_ptr<const ClusterInfo> cluster) {
    peer_executor_->Post(
        [this, cluster = std::move(cluster)]() mutable { peers_->OnCluster(std::move(cluster)); });
  });
  apply_executor_->Post([this] {
    apply_->Start();
    compactor_->Start();
    corruption_->Start();
  });
  raft_executor_->Post([this] { raft_->Start(); });
}

// Runs on the apply loop: what the member itself has to say once there is a leader.
void Node::AfterBatch() {
  if (stopping_) return;
  const cluster::Membership& membership = apply_->machine().membership();
  auto self = membership.members().find(info_.member_id);
  if (self == membership.members().end()) return;
  const bool published = self->second.name == config_.name &&
                         self->second.client_urls == config_.advertise_client_urls;
  if (!published && info_.leader.load() != 0 && !publishing_attributes_) PublishAttributes();
  versions_->OnBatch();
  if (published && !membership.cluster_version().empty() && info_.leader.load() != 0 && ready_) {
    owner_->Post(std::exchange(ready_, nullptr));
  }
}

void Node::WithFrozenImage(ApplyLoop::OnImage use, Wanted wanted) {
  apply_executor_->Post([this, use = std::move(use), wanted = std::move(wanted)]() mutable {
    apply_->Freeze(std::move(use), std::move(wanted));
  });
}

void Node::PublishAttributes() {
  membershippb::ClusterMemberAttrSetRequest request;
  request.set_member_id(info_.member_id);
  request.mutable_member_attributes()->set_name(config_.name);
  for (const std::string& url : config_.advertise_client_urls)
    request.mutable_member_attributes()->add_client_urls(url);
  auto done = [this](const state::ApplyResult& result) {
    attributes_wait_.Over();
    publishing_attributes_ = false;
    if (result.status.ok()) return;
    // Without a batch nobody else would try again.
    apply_executor_->RunAfter(kProposeAgain, [this] { AfterBatch(); });
  };
  StatusOr<Frontend::Wait> wait = frontends_.back()->Propose(
      state::Operation::kClusterMemberAttributesSet, request.SerializeAsString(), std::move(done));
  publishing_attributes_ = wait.ok();
  if (wait.ok()) attributes_wait_ = *std::move(wait);
}

void Node::Stop(env::Executor& owner, env::Task stopped) {
  auto shared = std::make_shared<env::Task>(std::move(stopped));
  raft_executor_->Post([this, &owner, shared] {
    raft_->HandOver([this, &owner, shared] { StopLoops(owner, shared); });
  });
}

// One after another, each when the one before has nothing under way any more.
void Node::StopLoops(env::Executor& owner, std::shared_ptr<env::Task> stopped) {
  auto close_log = [this, &owner, stopped] {
    recovered_.wal->Close([&owner, stopped](Status status) {
      if (!status.ok()) DieOnDiskError(std::string(status.message()));
      owner.Post(std::move(*stopped));
    });
  };
  auto stop_apply = [this, close_log] {
    compactor_->Stop();
    corruption_->Stop();
    stopping_ = true;
    versions_->Stop();
    apply_->Stop([this, close_log] { wal_executor_->Post(close_log); });
  };
  auto stop_peers = [this, stop_apply] {
    peers_->Stop();  // gives back what it was sending
    apply_executor_->Post(stop_apply);
  };
  lease_executor_->Post([this] { leases_->Stop(); });
  storage_executor_->Post([this] { hashes_->Stop(); });  // gives back what it was reading
  for (auto& frontend : frontends_) {
    frontend->loop().Post([f = frontend.get()] { f->Stop(); });
  }
  raft_executor_->Post([this, stop_peers] {
    raft_->Stop([this, stop_peers] { peer_executor_->Post(stop_peers); });
  });
}

// All loops end before the first object goes: no task touches what they worked on, and none posts
// to a loop that is gone. The apply loop is the last, because frozen images go back to it out of
// tasks that never run.
Node::~Node() {
  for (env::Executor* loop : {raft_executor_.get(), wal_executor_.get(), storage_executor_.get(),
                              checkpoint_executor_.get(), peer_executor_.get(),
                              lease_executor_.get(), bulk_executor_.get(), apply_executor_.get()}) {
    if (loop != nullptr) loop->Stop();
  }
  if (peers_ != nullptr) peers_->Abandon();
  if (versions_ != nullptr) versions_->Abandon();
  if (corruption_ != nullptr) corruption_->Abandon();
}

}  // namespace quoin::server
