#include "server/member_changes.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/errors.h"
#include "cluster/reconfigure.h"
#include "rpc/http_client.h"

namespace quoin::server {
namespace {

constexpr env::Duration kSteady = std::chrono::seconds(5);
constexpr env::Duration kAskLeaderAgain = std::chrono::milliseconds(50);

std::shared_ptr<OnChanged> Share(OnChanged done) {
  return std::make_shared<OnChanged>(std::move(done));
}

void Propose(Frontend& frontend, raft::ConfChangeType type, uint64_t id, std::string context,
             std::shared_ptr<OnChanged> done) {
  raft::ConfChange change;
  change.type = type;
  change.node_id = NodeId(id);
  change.context = std::move(context);
  StatusOr<Frontend::Wait> wait = frontend.ProposeConfChange(
      std::move(change), [done](const state::ApplyResult& result) { (*done)(result.status); });
  wait.ok() ? std::move(*wait).Detach() : (*done)(wait.status());
}

// Who answers now: the peer loop knows.
void AskConnections(Node& node, Frontend& frontend,
                    std::function<void(const cluster::Connections&)> then) {
  node.peer_executor().Post([&node, &frontend, then = std::move(then)] {
    cluster::Connections connected;
    const uint64_t self = node.info().member_id;
    const env::Duration now = node.peer_executor().clock().Now();
    connected.now = connected.steadily = {self};
    for (const peer::PeerStatus& peer : node.peers().peers()) {
      if (!peer.active_since) continue;
      connected.now.insert(peer.id.value());
      if (now - *peer.active_since > kSteady) connected.steadily.insert(peer.id.value());
    }
    frontend.loop().Post([then, connected = std::move(connected)] { then(connected); });
  });
}

// The leader's side of a promotion, once it is known how far the learner is.
void PromoteHere(Node& node, Frontend& frontend, uint64_t id, std::shared_ptr<OnChanged> done) {
  node.raft_executor().Post([&node, &frontend, id, done] {
    const raft::RaftStatus status = node.raft_loop().status();
    Index leader_match = status.last_index;
    const raft::ProgressStatus* learner = nullptr;
    for (const raft::ProgressStatus& progress : status.progress) {
      if (progress.id.value() == id) learner = &progress;
    }
    Status verdict;
    if (status.role != raft::Role::kLeader) {
      verdict = errors::NotLeader();
    } else if (learner == nullptr) {
      verdict = errors::MemberNotFound();
    } else if (learner->match.value() * 10 < leader_match.value() * 9) {
      verdict = errors::LearnerNotReady();
    }
    // Moved: two loops that hold one status would both count its owners.
    frontend.loop().Post([&frontend, id, done, verdict = std::move(verdict)]() mutable {
      if (!verdict.ok()) return (*done)(std::move(verdict));
      if (frontend.config().strict_reconfig_check) {
        Status checked = cluster::CheckPromote(frontend.cluster()->members);
        if (!checked.ok()) return (*done)(checked);
      }
      Propose(frontend, raft::ConfChangeType::kAddNode, id, cluster::PromoteJson(id), done);
    });
  });
}

// Asks whoever leads, until it gives one of the answers that are final or time is up.
class PromotionElsewhere : public std::enable_shared_from_this<PromotionElsewhere> {
 public:
  PromotionElsewhere(Node& node, Frontend& frontend, uint64_t id, std::shared_ptr<OnChanged> done)
      : node_(node),
        frontend_(frontend),
        id_(id),
        done_(std::move(done)),
        until_(frontend.loop().clock().Now() + frontend.config().RequestTimeout()) {}

  void Ask() {
    const env::Duration left = until_ - frontend_.loop().clock().Now();
    if (left <= env::Duration(0)) return (*done_)(errors::TimedOut());
    const uint64_t leader = node_.info().leader.load();
    if (leader == node_.info().member_id) return PromoteHere(node_, frontend_, id_, done_);
    const std::vector<cluster::Member>& members = frontend_.cluster()->members;
    auto member = std::find_if(members.begin(), members.end(),
                               [leader](const auto& m) { return m.id == leader; });
    if (member == members.end() || member->peer_urls.empty()) return AskLater();
    rpc::FetchRequest request;
    request.head.url = member->peer_urls[attempt_++ % member->peer_urls.size()];
    request.head.method = "POST";
    request.head.target = "/members/promote/" + std::to_string(id_);
    request.timeout = left;
    fetch_ = rpc::StartFetch(
        node_.env(), frontend_.loop(), std::move(request),
        [self = shared_from_this()](StatusOr<rpc::HttpResponse> answer) { self->Take(answer); });
  }

 private:
  void Take(const StatusOr<rpc::HttpResponse>& answer) {
    // The last reference may be the one in the fetch.
    frontend_.loop().Post([self = shared_from_this()] { self->fetch_.reset(); });
    if (answer.ok() && answer->status == 200) return (*done_)(OkStatus());
    if (answer.ok() && answer->status == 404) return (*done_)(errors::MemberNotFound());
    if (answer.ok() && answer->status == 412) {
      return (*done_)(answer->body.find("in sync with leader") != std::string::npos
                          ? errors::LearnerNotReady()
                          : errors::MemberNotLearner());
    }
    AskLater();
  }
  void AskLater() {
    frontend_.loop().RunAfter(kAskLeaderAgain, [self = shared_from_this()] { self->Ask(); });
  }

  Node& node_;
  Frontend& frontend_;
  const uint64_t id_;
  const std::shared_ptr<OnChanged> done_;
  const env::Duration until_;
  size_t attempt_ = 0;
  std::unique_ptr<rpc::Fetch> fetch_;
};

// Looks every heartbeat whether the target leads.
void WatchLead(Node& node, Frontend& frontend, uint64_t target, env::Duration until,
               std::shared_ptr<OnChanged> done) {
  if (node.info().leader.load() == target) return (*done)(OkStatus());
  if (frontend.loop().clock().Now() >= until) return (*done)(errors::TimedOutLeaderTransfer());
  frontend.loop().RunAfter(
      frontend.config().heartbeat_interval,
      [&node, &frontend, target, until, done] { WatchLead(node, frontend, target, until, done); });
}

}  // namespace

void AddMember(Node& node, Frontend& frontend, uint64_t id, std::vector<std::string> peer_urls,
               bool learner, OnChanged done) {
  auto shared = Share(std::move(done));
  if (!cluster::ValidPeerUrls(peer_urls)) return (*shared)(errors::MemberBadUrls());
  cluster::Member member;
  member.id = id;
  member.peer_urls = std::move(peer_urls);
  std::sort(member.peer_urls.begin(), member.peer_urls.end());
  member.learner = learner;
  std::string context = learner ? cluster::AddLearnerJson(member, frontend.config().learners_max)
                                : cluster::MemberJson(member);
  auto propose = [&frontend, id, learner, context = std::move(context), shared] {
    Propose(frontend,
            learner ? raft::ConfChangeType::kAddLearnerNode : raft::ConfChangeType::kAddNode, id,
            context, shared);
  };
  if (!frontend.config().strict_reconfig_check) return propose();
  AskConnections(node, frontend, [&frontend, learner, shared, propose](const auto& connected) {
    Status status = cluster::CheckAdd(frontend.cluster()->members, connected, learner);
    if (!status.ok()) return (*shared)(status);
    propose();
  });
}

void RemoveMember(Node& node, Frontend& frontend, uint64_t id, OnChanged done) {
  auto shared = Share(std::move(done));
  auto propose = [&frontend, id, shared] {
    Propose(frontend, raft::ConfChangeType::kRemoveNode, id, "", shared);
  };
  if (!frontend.config().strict_reconfig_check) return propose();
  AskConnections(node, frontend, [&node, &frontend, id, shared, propose](const auto& connected) {
    Status status =
        cluster::CheckRemove(frontend.cluster()->members, connected, node.info().member_id, id);
    if (!status.ok()) return (*shared)(status);
    propose();
  });
}

void UpdateMember(Node&, Frontend& frontend, uint64_t id, std::vector<std::string> peer_urls,
                  OnChanged done) {
  auto shared = Share(std::move(done));
  // etcd takes a malformed URL, and all its members end when they apply it.
  if (!cluster::ValidPeerUrls(peer_urls)) return (*shared)(errors::MemberBadUrls());
  cluster::Member member;
  member.id = id;
  member.peer_urls = std::move(peer_urls);
  Propose(frontend, raft::ConfChangeType::kUpdateNode, id, cluster::MemberJson(member), shared);
}

void PromoteMember(Node& node, Frontend& frontend, uint64_t id, OnChanged done) {
  auto shared = Share(std::move(done));
  if (node.info().is_leader.load()) return PromoteHere(node, frontend, id, shared);
  std::make_shared<PromotionElsewhere>(node, frontend, id, shared)->Ask();
}

void MoveLeader(Node& node, Frontend& frontend, uint64_t target, env::Duration until,
                OnChanged done) {
  auto shared = Share(std::move(done));
  if (!node.info().is_leader.load()) return (*shared)(errors::NotLeader());
  const std::vector<cluster::Member>& members = frontend.cluster()->members;
  auto member = std::find_if(members.begin(), members.end(),
                             [target](const auto& m) { return m.id == target; });
  if (member == members.end() || member->learner) return (*shared)(errors::BadLeaderTransferee());
  if (target == node.info().member_id) return (*shared)(OkStatus());
  node.raft_executor().Post(
      [&node, target] { node.raft_loop().TransferLeadership(NodeId(target)); });
  WatchLead(node, frontend, target, until, shared);
}

}  // namespace quoin::server
