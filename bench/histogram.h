// Histogram of latencies: fixed memory, about 1.6 % wide buckets, constant time per record.
//
// Value type; one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace quoin::bench {

class Histogram {
 public:
  void Record(uint64_t nanoseconds) {
    ++buckets_[BucketOf(nanoseconds)];
    ++count_;
    sum_ += nanoseconds;
    if (nanoseconds > max_) max_ = nanoseconds;
  }

  // The smallest bucket bound that at least `fraction` of all records do not exceed. 0 when empty.
  uint64_t Quantile(double fraction) const {
    const auto wanted = static_cast<uint64_t>(fraction * static_cast<double>(count_) + 0.5);
    uint64_t seen = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= wanted && seen > 0) return UpperBound(i) < max_ ? UpperBound(i) : max_;
    }
    return max_;
  }

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  uint64_t mean() const { return count_ == 0 ? 0 : sum_ / count_; }

 private:
  // 64 buckets per power of two; values below 64 have one each.
  static constexpr int kSubBits = 6;
  static constexpr size_t kSub = size_t{1} << kSubBits;

  static size_t BucketOf(uint64_t value) {
    if (value < kSub) return value;
    const int shift = 63 - __builtin_clzll(value) - kSubBits;
    return (static_cast<size_t>(shift) + 1) * kSub + ((value >> shift) - kSub);
  }
  static uint64_t UpperBound(size_t bucket) {
    if (bucket < kSub) return bucket;
    const auto shift = static_cast<int>(bucket / kSub - 1);
    return ((kSub + bucket % kSub + 1) << shift) - 1;
  }

  std::array<uint64_t, (64 - kSubBits + 1) * kSub> buckets_{};
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
};

}  // namespace quoin::bench
