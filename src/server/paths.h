// Where things are in a data directory. Value type.
#pragma once

#include <string>

#include "base/strong_int.h"
#include "raft_types/types.h"
#include "server/config.h"

namespace quoin::server {

struct Paths {
  explicit Paths(const NodeConfig& config);
  std::string member, snap, wal, db;
  // A tree file received from a leader, not yet in place.
  std::string ReceivedTree(Index index) const;
};

}  // namespace quoin::server
