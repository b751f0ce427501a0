// Shown: what a write shows beside what it did: the ranges of its transaction, previous values.
//
// It is built in Apply, where every other write waits for it, and is held until the caller is
// answered. So it is bounded: keys that are looked at and bytes (a record counts for 640 at least),
// of one write, and of all writes of a batch together beyond a little that each may show. The
// guards of a transaction are no part of it: what they decide is state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/status.h"
#include "mvcc/store.h"

namespace quoin::state {

inline constexpr mvcc::ReadBudget kShownOfWrite{500'000, 64 << 20};
inline constexpr mvcc::ReadBudget kShownOfBatch{1'000'000, 128 << 20};
inline constexpr mvcc::ReadBudget kShownAlways{1000, 64 * 1024};
static_assert(kShownAlways.bytes < kShownOfWrite.bytes);
static_assert(kShownOfWrite.bytes < kShownOfBatch.bytes);

// For a write that was carried out and would show more. etcd has no such bound.
Status AnswerTooLarge();

// Of one write. Once it is too much, nothing further is read, and the answer is AnswerTooLarge.
// Nothing of the write's effect depends on it. Thread: the apply loop.
class Shown {
 public:
  enum class For : uint8_t { kNobody, kCaller };  // kNobody: no client of this member waits
  // `batch` is what the batch has left, and outlives it.
  Shown(For whom, mvcc::ReadBudget& batch);
  ~Shown();
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;

  // Whether anything further is shown.
  bool wanted() const { return whom_ == For::kCaller && !too_large_; }
  // nullopt: it is not shown. Errors: those of reading.
  StatusOr<std::optional<mvcc::RangeResult>> Range(const mvcc::View& view,
                                                   const mvcc::RangeQuery& query);
  // The same for what the write is about to delete, which takes longer than to look at the keys:
  // only its bytes count, as they are.
  StatusOr<std::optional<mvcc::RangeResult>> Deleted(const mvcc::View& view,
                                                     const mvcc::RangeQuery& query);
  // Whether one record of that size, which has been read anyway, is shown.
  bool Record(size_t bytes);
  Status status() const;

 private:
  const For whom_;
  mvcc::ReadBudget& batch_;
  const mvcc::ReadBudget given_;
  mvcc::ReadBudget left_;
  bool too_large_ = false;
};

}  // namespace quoin::state
