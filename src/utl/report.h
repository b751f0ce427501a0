// What quoinutl prints about a directory: its content as JSON, and a snapshot's status.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "utl/directory.h"

namespace quoin::utl {

// One JSON object: revision, compact_revision, keys, leases, users, roles, alarms, members, hashkv,
// …
StatusOr<std::string> DumpJson(Directory& directory);

// Value type.
struct SnapshotStatus {
  uint32_t hash = 0;  // over every bucket, nothing left out
  int64_t revision = 0;
  int64_t total_keys = 0;
  uint64_t total_bytes = 0;  // of a snapshot file: its length without the digest
  std::string version;
};
StatusOr<SnapshotStatus> StatusOf(Directory& directory);

}  // namespace quoin::utl
