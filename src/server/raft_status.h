// What raft says of itself, as /debug/vars shows it.
#pragma once

#include <string>

#include "raft/raft.h"

namespace quoin::server {

// One line of JSON with etcd's names. Thread: any.
std::string RaftStatusJson(const raft::RaftStatus& status);

}  // namespace quoin::server
