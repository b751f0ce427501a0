#include "server/cluster_warnings.h"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/membership.h"

namespace quoin::server {
namespace {

constexpr int kLooksBeforeLost = 4;

}  // namespace

void ClusterWarnings::Look(const ClusterInfo& cluster, const std::vector<peer::PeerStatus>& peers) {
  LookAtQuorum(cluster, peers);
  LookAtSpace(cluster);
}

void ClusterWarnings::LookAtQuorum(const ClusterInfo& cluster,
                                   const std::vector<peer::PeerStatus>& peers) {
  size_t voters = 0, reachable = 0;
  for (const cluster::Member& member : cluster.members) {
    if (member.learner) continue;
    ++voters;
    reachable += member.id == self_ || std::ranges::any_of(peers, [&](const auto& peer) {
                   return peer.id.value() == member.id && peer.active_since.has_value();
                 });
  }
  const size_t needed = voters / 2 + 1;
  missed_ = voters > 0 && reachable < needed ? missed_ + 1 : 0;
  if (missed_ == kLooksBeforeLost) {
    told_ = true;
    log_.Warn(fmt::format("{} of {} members reachable; nothing can be written until {} are",
                          reachable, voters, needed));
  } else if (missed_ == 0 && told_) {
    told_ = false;
    log_.Info(fmt::format("{} of {} members reachable again", reachable, voters));
  }
}

void ClusterWarnings::LookAtSpace(const ClusterInfo& cluster) {
  std::set<uint64_t> without_space;
  for (const auto& [id, alarm] : cluster.alarms) {
    if (alarm == state::AlarmType::kNoSpace) without_space.insert(id);
  }
  for (uint64_t id : without_space) {
    if (without_space_.contains(id)) continue;
    log_.Warn(id == self_ ? fmt::format("the database has reached its quota of {} bytes; writes "
                                        "are refused until space is freed and the NOSPACE alarm "
                                        "is disarmed",
                                        quota_bytes_)
                          : "another member has reached its quota; writes are refused until space "
                            "is freed there and the NOSPACE alarm is disarmed",
              {{"member-id", cluster::HexId(id)},
               {"members-without-space", static_cast<int64_t>(without_space.size())},
               {"members", static_cast<int64_t>(cluster.members.size())}});
  }
  without_space_ = std::move(without_space);
}

}  // namespace quoin::server
