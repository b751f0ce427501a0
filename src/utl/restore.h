// snapshot restore: a new data directory out of a snapshot file, as etcd's own tool makes it.
//
// Thread: one; waits for the disk.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "env/env.h"

namespace quoin::utl {

// Value type.
struct RestoreOptions {
  std::string snapshot;
  std::string data_dir;
  std::string wal_dir;  // empty: below data_dir
  std::string name = "default";
  std::map<std::string, std::vector<std::string>> initial_cluster;  // name → peer URLs
  std::string cluster_token = "etcd-cluster";
  bool skip_hash_check = false;
  uint64_t bump_revision = 0;
  bool mark_compacted = false;
};

// Everything is checked before anything is made: the names, that data directory and log directory
// are free, and that the snapshot is a whole database (utl/snapshot_file.h), whatever the options
// say. A failure takes away what was made; a restore that is killed leaves <data_dir>/member.tmp,
// which no server takes for a member and the next restore removes.
Status Restore(env::Env& env, const RestoreOptions& options, Logger& log);

}  // namespace quoin::utl
