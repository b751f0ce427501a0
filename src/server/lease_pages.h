// /leases and /leases/internal on the peer port: what followers ask the leader for their clients.
//
// Thread: the peer loop.
#pragma once

#include "env/executor.h"
#include "server/lease_loop.h"
#include "server/peer_host.h"

namespace quoin::server {

void ServeLeasePages(PeerHost& host, LeaseLoop& leases, env::Executor& lease_executor,
                     env::Executor& peer_executor);

}  // namespace quoin::server
