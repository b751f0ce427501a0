// ClusterWarnings: says in the log, in numbers, when the cluster cannot take writes: too few
// members are reachable from here, or a member has no space.
//
// Thread: the peer loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "base/log.h"
#include "peer/transport.h"
#include "server/messages.h"

namespace quoin::server {

class ClusterWarnings {
 public:
  // `quota_bytes`: this member's.
  ClusterWarnings(uint64_t self, int64_t quota_bytes, Logger& log)
      : self_(self), quota_bytes_(quota_bytes), log_(log) {}

  // Every half second. A quorum that is missed for two seconds is told of: once, and when it is
  // back.
  void Look(const ClusterInfo& cluster, const std::vector<peer::PeerStatus>& peers);

 private:
  void LookAtQuorum(const ClusterInfo& cluster, const std::vector<peer::PeerStatus>& peers);
  void LookAtSpace(const ClusterInfo& cluster);

  const uint64_t self_;
  const int64_t quota_bytes_;
  Logger& log_;
  int missed_ = 0;  // looks in a row
  bool told_ = false;
  std::set<uint64_t> without_space_;
};

}  // namespace quoin::server
