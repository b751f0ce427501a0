#include "btree/free_pages.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace quoin::btree {

PageId FreePages::Take(uint64_t count) { return TakeBelow(count, UINT64_MAX); }

// The first run that is long enough, and lies in front of `limit`.
PageId FreePages::TakeBelow(uint64_t count, PageId limit) {
  const auto exponent = static_cast<size_t>(std::bit_width(count) - 1);
  PageId& from = long_from_[exponent];
  auto run = runs_.lower_bound(from);
  while (run != runs_.end() && run->second >> exponent == 0) ++run;
  from = run == runs_.end() ? UINT64_MAX : run->first;
  for (; run != runs_.end(); ++run) {
    if (limit < count || run->first > limit - count) return 0;
    if (run->second < count) continue;
    const PageId first = run->first;
    const uint64_t left = run->second - count;
    auto next = runs_.erase(run);
    if (left > 0) runs_.emplace_hint(next, first + count, left);
    free_count_ -= count;
    return first;
  }
  return 0;
}

void FreePages::Release(PageRun run) {
  waiting_.push_back({epochs_.Advance(), run});
  waiting_count_ += run.count;
}

void FreePages::Insert(PageRun run) {
  auto next = runs_.lower_bound(run.first);
  if (next != runs_.end()) {
    CHECK_LE(run.first + run.count, next->first) << "page " << run.first << " freed twice";
    if (run.first + run.count == next->first) {
      free_count_ -= next->second;
      run.count += next->second;
      next = runs_.erase(next);
    }
  }
  if (next != runs_.begin()) {
    auto previous = std::prev(next);
    CHECK_LE(previous->first + previous->second, run.first)
        << "page " << run.first << " freed twice";
    if (previous->first + previous->second == run.first) {
      previous->second += run.count;
      free_count_ += run.count;
      return NoteLength(previous->first, previous->second);
    }
  }
  runs_.emplace_hint(next, run.first, run.count);
  free_count_ += run.count;
  NoteLength(run.first, run.count);
}

void FreePages::NoteLength(PageId first, uint64_t count) {
  for (int exponent = 0; exponent < std::bit_width(count); ++exponent)
    long_from_[exponent] = std::min(long_from_[exponent], first);
}

PageId FreePages::Shrink(PageId high_water) {
  if (runs_.empty()) return high_water;
  auto last = std::prev(runs_.end());
  if (last->first + last->second != high_water) return high_water;
  const PageId mark = last->first;
  free_count_ -= last->second;
  runs_.erase(last);
  return mark;
}

}  // namespace quoin::btree
