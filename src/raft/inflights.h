// Inflights: the appends sent to one follower and not yet answered, oldest first, bounded by number
// and by bytes.
//
// Value type.
#pragma once

#include <cstddef>
#include <vector>

#include "base/strong_int.h"

namespace quoin::raft {

class Inflights {
 public:
  Inflights() = default;
  Inflights(size_t messages_max, size_t bytes_max)
      : messages_max_(messages_max), bytes_max_(bytes_max) {}

  // A message whose last entry is `last` is on its way. REQUIRES: !Full(). A single message may
  // exceed bytes_max.
  void Add(Index last, size_t bytes);
  // The follower has everything up to `index`.
  void FreeUpTo(Index index);
  void Clear();
  bool Full() const { return count_ == messages_max_ || (bytes_max_ != 0 && bytes_ >= bytes_max_); }
  size_t count() const { return count_; }
  size_t bytes() const { return bytes_; }

 private:
  struct Sent {
    Index last;
    size_t bytes;
  };
  size_t messages_max_ = 0;
  size_t bytes_max_ = 0;    // 0 = unbounded
  std::vector<Sent> ring_;  // grows by doubling, never beyond messages_max_
  size_t start_ = 0;
  size_t count_ = 0;
  size_t bytes_ = 0;
};

}  // namespace quoin::raft
