// FreePages: which page ids may be used again, and when.
//
// A freed page passes through: held (a durable meta or a frozen image may reach it; see Tree) →
// waiting (a reader inside an epoch guard may reach it) → free. Lowest ids are given out first, so
// that the file can shrink.
//
// Thread: the writer.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "base/epoch.h"
#include "btree/page.h"

namespace quoin::btree {

struct PageRun {
  PageId first;
  uint64_t count;
  uint64_t generation = 0;  // of the freed page: images frozen before it cannot reach it
  uint64_t freed_in = 0;    // generation: neither can those frozen in it or later
};

class FreePages {
 public:
  explicit FreePages(EpochDomain& epochs) : epochs_(epochs) {}

  // `count` adjacent pages; 0 when none are free (the caller takes them beyond the high-water
  // mark).
  PageId Take(uint64_t count);
  // The same, of a run's part in front of `limit`.
  PageId TakeBelow(uint64_t count, PageId limit);
  // Nobody can reach the run any more but readers that are in a guard now.
  void Release(PageRun run);
  // Moves what no reader can reach to the free set; `reusable` is told of each run, once, before it
  // may be taken.
  template <typename F>
  void Collect(F&& reusable) {
    if (waiting_.empty()) return;
    const uint64_t safe = epochs_.SafeEpoch();
    while (!waiting_.empty() && waiting_.front().stamp < safe) {
      reusable(waiting_.front().run);
      waiting_count_ -= waiting_.front().run.count;
      Insert(waiting_.front().run);
      waiting_.pop_front();
    }
  }
  void Insert(PageRun run);
  // If the free set ends exactly at `high_water`, gives that tail up and returns the new mark.
  PageId Shrink(PageId high_water);
  uint64_t free_count() const { return free_count_; }
  // Those that readers in a guard may still reach.
  uint64_t waiting_count() const { return waiting_count_; }
  const std::map<PageId, uint64_t>& runs() const { return runs_; }
  template <typename F>
  void ForEachWaiting(F&& visit) const {
    for (const Waiting& w : waiting_) visit(w.run);
  }

 private:
  void NoteLength(PageId first, uint64_t count);
  struct Waiting {
    uint64_t stamp;
    PageRun run;
  };
  EpochDomain& epochs_;
  std::map<PageId, uint64_t> runs_;  // first → count, disjoint and not adjacent
  // By exponent: no run of 2^exponent pages or more begins in front of this page. Spares large
  // values the walk over all the small holes.
  std::array<PageId, 64> long_from_{};
  uint64_t free_count_ = 0;
  std::deque<Waiting> waiting_;  // ascending stamps
  uint64_t waiting_count_ = 0;
};

}  // namespace quoin::btree
