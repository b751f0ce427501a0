// Walker: visits every page that a root reaches, once, and checks what a tree must be: types, key
// order, bounds of parents, no page twice. For opening, checking, and finding what an image
// consists of.
//
// Thread: any executor that may wait, within a guard of the caller.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "btree/page_cache.h"

namespace quoin::btree {

class Walker {
 public:
  // `high_water` bounds page ids; `pages_max` bounds memory (the file cannot hold more pages than
  // that).
  Walker(PageCache& cache, PageId high_water, uint64_t pages_max);

  // The root tree: `on_bucket(name, value)` is called for each bucket in it (value: root page,
  // sequence, inline page).
  using OnBucket = absl::FunctionRef<Status(std::string_view name, std::string_view value)>;
  Status WalkDirectory(PageId root, OnBucket on_bucket);
  Status WalkBucket(PageId root);

  // Also holds every separator against its child's first key, on which bbolt relies when it writes.
  void set_strict(bool strict) { strict_ = strict; }
  const std::vector<bool>& reached() const { return reached_; }
  uint64_t reached_count() const { return reached_count_; }

 private:
  Status Walk(PageId id, int depth, std::string_view low, std::string_view high,
              const OnBucket* on_bucket);
  Status Mark(PageId id, uint64_t pages);

  PageCache& cache_;
  const PageId high_water_;
  const uint64_t pages_max_;
  bool strict_ = false;
  std::vector<bool> reached_;
  uint64_t reached_count_ = 0;
};

}  // namespace quoin::btree
