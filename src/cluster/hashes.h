// What members tell each other of the hash over their keys, and whom a difference speaks against.
//
// Thread: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quoin::cluster {

// Value type. Two members that were compacted at the same revision and hold the same history up to
// `hash_revision` have the same hash.
struct KvHash {
  uint32_t hash = 0;
  int64_t compact_revision = 0;
  int64_t hash_revision = 0;
  int64_t current_revision = 0;  // of the member when it answered
  friend bool operator==(const KvHash&, const KvHash&) = default;
};

// Value type. What another member answered; without an answer, why.
struct PeerHash {
  uint64_t id = 0;
  std::optional<KvHash> answer;
  std::string error;
};

// The JSON of /members/hashkv, both ways. InvalidArgument when it is not that.
std::string HashRequestJson(int64_t revision);
StatusOr<int64_t> ParseHashRequestJson(std::string_view json);
std::string HashAnswerJson(const KvHash& hash);
StatusOr<KvHash> ParseHashAnswerJson(std::string_view json);

// Value type. A member whose data cannot be what the log made. 0: one of them, nobody knows which.
struct Suspect {
  uint64_t id = 0;
  std::string why;
};

// Before a member serves: how many others hold something else at its revision. Who was compacted
// elsewhere cannot be compared.
size_t CountDifferent(const KvHash& own, const std::vector<PeerHash>& peers);

// What the leader finds when it compares the present: `before` is its own hash, at whose revision
// the others were asked, `after` its own once it had applied all that they can have. At most one
// suspect at a time, in etcd's order.
std::optional<Suspect> CompareNow(uint64_t self, const KvHash& before, const KvHash& after,
                                  const std::vector<PeerHash>& peers);

// What the leader finds when it compares the hashes that members kept of one compaction. Against a
// hash that most members have, the others are suspects; without one, member 0 is.
struct CompactionVerdict {
  bool all_equal = false;  // and all answered
  std::vector<Suspect> suspects;
};
CompactionVerdict CompareCompaction(uint64_t self, const KvHash& own,
                                    const std::vector<PeerHash>& peers);

}  // namespace quoin::cluster
