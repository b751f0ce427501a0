// The pages of the peer port that tell who this member and its cluster are: /members and /version;
// /members/hashkv, what it holds; and /members/promote/<id>, by which the others ask a leader.
//
// Thread: the peer loop.
#pragma once

#include "server/node.h"
#include "server/peer_host.h"

namespace quoin::server {

// Promotions run on the frontend of the apply loop.
void ServePeerPages(Node& node, PeerHost& host, Frontend& own);

}  // namespace quoin::server
