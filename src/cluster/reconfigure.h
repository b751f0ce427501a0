// Which changes of the members a cluster can bear: the checks that stand before a proposal
// (--strict-reconfig-check). What is checked when a change is applied stands in membership.h.
//
// Value types and pure functions.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "cluster/membership.h"

namespace quoin::cluster {

// Who answers, in the eyes of one member; it counts itself.
struct Connections {
  std::set<uint64_t> now;
  std::set<uint64_t> steadily;  // for some seconds without a break
};

// "started" = has published its name.
Status CheckAdd(const std::vector<Member>& members, const Connections& connected, bool learner);
Status CheckRemove(const std::vector<Member>& members, const Connections& connected, uint64_t self,
                   uint64_t id);
Status CheckPromote(const std::vector<Member>& members);

// The peer URLs that a client gave: http or https with host and port and no path, or a unix socket.
bool ValidPeerUrls(const std::vector<std::string>& urls);

}  // namespace quoin::cluster
