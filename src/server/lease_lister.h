// LeaseLister: all leases in the order in which they end, as bytes. Made in slices, so that
// renewals get their turn in between; what it tells is what there was at one moment, when the last
// lease had been looked at.
//
// Thread: the lease loop, which its owner outlives.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/functional/any_invocable.h"
#include "base/shared_bytes.h"
#include "env/executor.h"

namespace quoin::server {

class LeaseLister {
 public:
  static constexpr size_t kLeasesOfSlice = 2000;

  struct End {
    int64_t at;
    int64_t id;
    auto operator<=>(const End&) const = default;
  };
  // Up to `most` leases, ascending ids from `from` on.
  using Read = std::function<std::vector<End>(int64_t from, size_t most)>;
  // LeaseLeasesResponse.leases as they travel.
  using Done = absl::AnyInvocable<void(SharedBytes)>;

  LeaseLister(env::Executor& loop, Read read) : loop_(loop), read_(std::move(read)) {}

  // One at a time.
  void Make(Done done);

  // What happens to leases meanwhile.
  void OnGranted(int64_t id, int64_t at);
  void OnRevoked(int64_t id);
  void OnReplaced();

 private:
  bool Slice();
  void Look();
  void Encode();
  bool Looked(int64_t id) const { return looking_ && id < from_; }

  env::Executor& loop_;
  const Read read_;

  Done done_;
  bool looking_ = false;
  int64_t from_ = INT64_MIN;  // the next one to look at
  absl::btree_set<End> order_;
  absl::btree_set<int64_t> revoked_;  // in order_, and gone since
  absl::btree_set<End>::const_iterator at_;
  std::string bytes_;
};

}  // namespace quoin::server
