#include "raft/inflights.h"

#include <algorithm>

#include "base/check.h"

namespace quoin::raft {

void Inflights::Add(Index last, size_t bytes) {
  CHECK(!Full());
  if (count_ == ring_.size()) {
    std::vector<Sent> grown(std::min(messages_max_, std::max<size_t>(8, ring_.size() * 2)));
    for (size_t i = 0; i < count_; ++i) grown[i] = ring_[(start_ + i) % ring_.size()];
    ring_ = std::move(grown);
    start_ = 0;
  }
  if (count_ > 0) CHECK(ring_[(start_ + count_ - 1) % ring_.size()].last < last);
  ring_[(start_ + count_) % ring_.size()] = {last, bytes};
  ++count_;
  bytes_ += bytes;
}

void Inflights::FreeUpTo(Index index) {
  while (count_ > 0 && ring_[start_].last <= index) {
    bytes_ -= ring_[start_].bytes;
    start_ = (start_ + 1) % ring_.size();
    --count_;
  }
}

void Inflights::Clear() {
  start_ = 0;
  count_ = 0;
  bytes_ = 0;
}

}  // namespace quoin::raft
