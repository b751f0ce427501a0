// Metric cells: what the server counts, cheap enough for hot paths. Names and rendering live in
// api/metrics.
//
// Thread: cells may be written by any thread (relaxed atomics) and read by any.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace quoin {

class Counter {
 public:
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void Set(int64_t v) { value_.store(v, std::memory_order_relaxed); }
  void Add(int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Exponential buckets: upper bounds start × 2^i seconds, i = 0 … count−1, as most of etcd's
// histograms have.
class DurationHistogram {
 public:
  static constexpr size_t kBucketsMax = 24;
  DurationHistogram(double start_seconds, size_t buckets)
      : start_ns_(start_seconds * 1e9), buckets_(buckets) {}
  void Observe(int64_t nanoseconds) {
    double bound = start_ns_;
    size_t i = 0;
    while (i<buckets_&& static_cast<double>(nanoseconds)> bound) bound *= 2, ++i;
    counts_[i].fetch_add(1, std::memory_order_relaxed);
    sum_ns_.fetch_add(nanoseconds, std::memory_order_relaxed);
  }
  size_t buckets() const { return buckets_; }
  double bound_seconds(size_t i) const { return start_ns_ * static_cast<double>(1ull << i) / 1e9; }
  uint64_t count(size_t i) const {
    return counts_[i].load(std::memory_order_relaxed);
  }  // i == buckets(): above all
  double sum_seconds() const {
    return static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) / 1e9;
  }

 private:
  double start_ns_;
  size_t buckets_;
  std::array<std::atomic<uint64_t>, kBucketsMax + 1> counts_{};
  std::atomic<int64_t> sum_ns_{0};
};

}  // namespace quoin
