// The pages of the peer port that tell who this member and its cluster are: /members and /version.
//
// Thread: the peer loop.
#pragma once

#include "server/node_info.h"
#include "server/peer_host.h"

namespace quoin::server {

void ServePeerPages(PeerHost& host, const NodeInfo& info);

}  // namespace quoin::server
