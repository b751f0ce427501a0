#include "btree/free_pages.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>

#include "base/prng.h"

namespace quoin::btree {
namespace {

// The lowest place of `count` free pages in front of `limit`, by looking at each page.
std::optional<PageId> FirstFit(const std::set<PageId>& free, uint64_t count, PageId limit) {
  uint64_t length = 0;
  PageId before = 0;
  for (const PageId id : free) {
    length = length > 0 && id == before + 1 ? length + 1 : 1;
    before = id;
    if (length == count) {
      const PageId first = id + 1 - count;
      return first + count <= limit ? std::optional(first) : std::nullopt;
    }
  }
  return std::nullopt;
}

TEST(FreePages, TakesTheFirstThatFits) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Prng random(seed);
    EpochDomain epochs;
    FreePages pages(epochs);
    std::set<PageId> free, taken;
    PageId high_water = 2;
    for (int step = 0; step < 2000; ++step) {
      const uint64_t count = 1 + random.Below(random.Chance(0.3) ? 40 : 3);
      if (random.Chance(0.5)) {
        const PageId limit = random.Chance(0.3) ? random.Below(high_water) : UINT64_MAX;
        const std::optional<PageId> expected = FirstFit(free, count, limit);
        PageId first = pages.TakeBelow(count, limit);
        ASSERT_EQ(first, expected.value_or(0)) << "step " << step;
        if (first == 0) {
          first = high_water;
          high_water += count;
        }
        for (PageId id = first; id < first + count; ++id) free.erase(id), taken.insert(id);
      } else if (!taken.empty()) {
        PageId id = *taken.lower_bound(random.Below(*taken.rbegin() + 1));
        uint64_t length = 0;
        while (length < count && taken.erase(id + length) > 0) free.insert(id + length++);
        pages.Insert({id, length});
      }
      ASSERT_EQ(pages.free_count(), free.size());
    }
  }
}

}  // namespace
}  // namespace quoin::btree
