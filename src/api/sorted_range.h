// SortedRange: a LargeRange in another order than the keys'. It holds 32 bytes for each key that
// may be sent, for sorting by value also the values, and reads the records when they are sent.
//
// Each slice of keys is sorted by itself; a merge of these runs says who is next, so no turn sorts
// everything. With a small limit only the first of what was seen is kept.
//
// Thread: as LargeRange.
#pragma once

#include <vector>

#include "api/large_range.h"
#include "base/shared_bytes.h"

namespace quoin::api {

class SortedRange final : public LargeRange {
 public:
  SortedRange(SliceTurns& turns, const mvcc::RangeQuery& query, std::shared_ptr<Moment> moment);

 private:
  struct Item {
    int64_t rank = 0;   // what is sorted by, but for values
    SharedBytes value;  // set only where it is what is sorted by
    int64_t main = 0;
    uint32_t sub = 0;
    uint32_t element_bytes = 0;
  };
  using Run = std::vector<Item>;
  // Gives the items of all runs in order, once; equal ones in the order of keys.
  class Merge {
   public:
    explicit Merge(const SortedRange& range);
    const Item* Next();  // nullptr: no more

   private:
    bool Behind(uint32_t a, uint32_t b) const;
    const SortedRange& range_;
    std::vector<size_t> next_;    // per run
    std::vector<uint32_t> heap_;  // runs that have more, by their next item
  };

  StatusOr<bool> MeasureSlice(const mvcc::View& view) override;
  StatusOr<std::string> ReadSlice(const mvcc::View& view) override;
  StatusOr<bool> Collect(const mvcc::View& view);
  StatusOr<Item> ItemOf(const mvcc::View& view, mvcc::KeyValue kv);
  bool Select();
  void Add(Run run);
  bool Before(const Item& a, const Item& b) const;

  const bool by_value_;
  const uint64_t limit_;
  const uint64_t taken_max_;
  std::string next_key_;
  bool collected_ = false;
  uint64_t matched_ = 0;
  std::vector<Run> runs_;
  std::unique_ptr<Merge> merge_;
};

}  // namespace quoin::api
