// Relocator: moves pages from the end of the file to free runs nearer its start, so that the file
// can be cut there.
//
// It works in passes. A pass first notes where pages are (from their parents; leaves are not read),
// then decides which pages move, then moves them. When pages at the end are longer than every free
// run, the short pages are packed first: their old places make long runs. What a page leaves is
// free after the next checkpoint only, so a caller alternates passes and checkpoints.
//
// Thread: the apply loop, between two batches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "btree/page.h"

namespace quoin::btree {

class Tree;

// What one slice did. Value type.
struct Relocation {
  uint64_t pages = 0;   // moved to lower ids
  bool at_end = false;  // of the pass: nothing more can move before the next checkpoint
};

class Relocator {
 public:
  explicit Relocator(Tree& tree) : tree_(tree) {}

  // Goes on with the pass, or begins one: looks at a bounded number of pages and moves about
  // `pages_max` of them. The changes want a Publish.
  StatusOr<Relocation> Slice(size_t pages_max);
  // The next slice begins a new pass.
  void Restart() { stage_ = Stage::kStart; }

 private:
  enum class Stage : uint8_t { kStart, kPlan, kMove };
  struct Place {
    std::string bucket, key;
    PageId id = 0;
  };
  struct Extent {
    PageId first;
    uint64_t count;
  };

  // Calls `visit` for pages from `next_` on, in key order, until it returns false or enough were
  // seen. True: the last bucket's last page was seen.
  StatusOr<bool> Visit(absl::FunctionRef<bool(const Place&)> visit);
  StatusOr<bool> VisitBucket(size_t& left, absl::FunctionRef<bool(const Place&)> visit);
  void Decide();
  std::vector<Extent> Extents();
  // Of pages at `end` and behind it: the length of the shortest one that finds no run; 0 if all do.
  uint64_t ShortestBlocked(const std::vector<Extent>& extents, PageId end) const;
  // Where pages shorter than `length` would end, were they packed.
  static PageId PackedEnd(const std::vector<Extent>& extents, uint64_t length, PageId end);
  StatusOr<Relocation> MoveSome(size_t pages_max);

  Tree& tree_;
  Stage stage_ = Stage::kStart;
  Place next_;  // where the walk goes on
  std::vector<PageId> starts_;
  // Pages of up to `length_max_` pages at `pivot_` and behind it move in front of it.
  PageId pivot_ = 0;
  uint64_t length_max_ = 0;
};

}  // namespace quoin::btree
