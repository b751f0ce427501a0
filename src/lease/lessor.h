// Lessor: the replicated part of leases: which exist, their TTLs, and which keys hang on them.
// Deadlines and keepalives are the leader's affair and live elsewhere (server's lease loop).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "base/string_hash.h"
#include "base/strong_int.h"
#include "btree/tree.h"

namespace quoin::lease {

inline constexpr int64_t kTtlSecondsMax = 9000000000;

// Value type.
struct Lease {
  LeaseId id;
  int64_t ttl_seconds = 0;
  int64_t remaining_seconds = 0;  // last checkpoint; 0 = none
  std::set<std::string> keys;     // bytewise order: revocation deletes in it
};

// What happened to one lease, for those who count its time. Value type.
struct Change {
  enum class Kind : uint8_t { kGranted, kRevoked, kCheckpointed };
  Kind kind = Kind::kGranted;
  int64_t id = 0;
  int64_t ttl_seconds = 0;
  int64_t remaining_seconds = 0;
};

// Thread: the apply loop.
class Lessor {
 public:
  // Reads bucket `lease`; keys are attached afterwards, as the store finds them (Attach).
  static StatusOr<Lessor> Load(const btree::Snapshot& snapshot);

  const Lease* Find(LeaseId id) const;
  // Ascending ids.
  const std::map<LeaseId, Lease>& leases() const { return leases_; }
  // The lease that `key` hangs on; 0 = none.
  LeaseId LeaseOf(std::string_view key) const;

  // FailedPrecondition "lease already exists", OutOfRange "too large lease TTL"; returns the TTL
  // that holds.
  StatusOr<int64_t> Grant(LeaseId id, int64_t ttl_seconds, int64_t ttl_seconds_min,
                          btree::Writer& writer);
  // The caller deletes the keys first. NotFound when unknown.
  Status Revoke(LeaseId id, btree::Writer& writer);
  // Remembers how much of the TTL is left, durably when `persist`. Unknown ids are ignored.
  Status Checkpoint(LeaseId id, int64_t remaining_seconds, bool persist, btree::Writer& writer);

  // Moves `key` to `id` (0 = to none). A lease that does not exist is ignored, as etcd does on
  // restore.
  void Attach(std::string_view key, LeaseId id);

  // Since the last call, in order.
  std::vector<Change> TakeChanges() { return std::exchange(changes_, {}); }
  // All leases as if they had just been granted.
  std::vector<Change> All() const;

 private:
  std::map<LeaseId, Lease> leases_;
  absl::flat_hash_map<std::string, LeaseId, StringHash, StringEqual>
      lease_of_key_;  // looked up only
  std::vector<Change> changes_;
};

}  // namespace quoin::lease
