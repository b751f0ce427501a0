// SortedRange: a LargeRange in another order than the keys'. It holds 40 bytes for each of the keys
// that come next, for sorting by value also their values, and reads the records when they are sent.
// What it holds has a bound, and only one of an I/O loop holds so much (api/sort_line.h): what
// comes behind is found by another pass over all keys, when the first has been sent.
//
// Of the keys that a pass has seen, the first ones stand in a heap whose top is the last of them;
// once the pass is over it is turned round, so no turn sorts everything.
//
// Thread: as LargeRange.
#pragma once

#include <optional>
#include <vector>

#include "api/large_range.h"
#include "api/sort_line.h"
#include "base/shared_bytes.h"

namespace quoin::api {

class SortedRange final : public LargeRange, private SortLine::Keeper {
 public:
  SortedRange(SliceTurns& turns, const mvcc::RangeQuery& query, std::shared_ptr<Moment> moment);
  void Cancel() override;
  // I/O loop, while nothing is asked of it: what it holds.
  size_t held_bytes() const { return held_bytes_; }

 private:
  // Where a key stands in the order. Equal ones stand in the order of keys.
  struct Place {
    int64_t rank = 0;        // what is sorted by, but for values
    std::string_view value;  // set only where it is what is sorted by
    int64_t number = 0;      // among the keys of the range
  };
  struct Item {
    int64_t rank = 0;
    SharedBytes value;
    int64_t number = 0;
    int64_t main = 0;
    uint32_t sub = 0;
    uint32_t element_bytes = 0;
    Place place() const { return {rank, value.view(), number}; }
    // A vector that grows takes up to twice what it holds.
    size_t bytes() const { return 2 * sizeof(Item) + (value.empty() ? 0 : value.size() + 32); }
  };
  enum class Pass : uint8_t { kDue, kRuns, kOver, kSends };

  // I/O loop:
  void WhenItsTurn(env::Task go) override;
  void OnIdle() override;
  void LetGo() override;
  void OnStillInLine() override;

  StatusOr<bool> MeasureSlice(const mvcc::View& view) override;
  StatusOr<std::string> ReadSlice(const mvcc::View& view) override;
  Status BeginPass(const mvcc::View& view);
  // A slice of a pass. True: it is over, and next_ holds what comes next.
  StatusOr<bool> Collect(const mvcc::View& view);
  Status Look(const mvcc::View& view, mvcc::KeyValue kv, mvcc::ReadBudget& budget);
  void Keep(Item item);
  // The bytes of what a limit lets through are added up. True: all of them are.
  bool AddUp();
  // What is held is done with: what comes behind it needs another pass.
  void EndWindow();
  bool Before(const Place& a, const Place& b) const;

  const bool by_value_;
  const uint64_t limit_;
  const bool small_;  // it holds no more than a call costs anyway, and stands in no line
  const uint64_t taken_max_;

  // The slice's, and between two the I/O loop's:
  bool counts_ = true;  // in the first pass
  uint64_t all_elements_bytes_ = 0;
  std::optional<Item> last_;  // what comes up to it was measured, or sent

  Pass pass_ = Pass::kDue;
  std::string next_key_;
  uint64_t matched_ = 0;
  std::vector<Item> next_;
  size_t held_bytes_ = 0;
  bool dropped_ = false;  // what comes behind the last of next_ stays out
};

}  // namespace quoin::api
