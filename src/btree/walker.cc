#include "btree/walker.h"

#include <algorithm>

namespace quoin::btree {

Walker::Walker(PageCache& cache, PageId high_water, uint64_t pages_max)
    : cache_(cache),
      high_water_(high_water),
      pages_max_(pages_max),
      reached_(std::min<uint64_t>(high_water, pages_max)) {}

Status Walker::WalkDirectory(PageId root, OnBucket on_bucket) {
  return Walk(root, 0, "", "", &on_bucket);
}

Status Walker::WalkBucket(PageId root) { return Walk(root, 0, "", "", nullptr); }

Status Walker::Mark(PageId id, uint64_t pages) {
  for (PageId page = id; page < id + pages; ++page) {
    if (page >= reached_.size()) return cache_.Corrupt(page, "lies beyond the end of the file");
    if (reached_[page]) return cache_.Corrupt(page, "is referred to twice");
    reached_[page] = true;
    ++reached_count_;
  }
  return OkStatus();
}

// Keys lie in [low, high); an empty `high` is no bound.
Status Walker::Walk(PageId id, int depth, std::string_view low, std::string_view high,
                    const OnBucket* on_bucket) {
  if (depth == kDepthMax) return cache_.Corrupt(id, "lies too deep: the tree has a cycle");
  std::unique_ptr<Frame> own;
  const Frame* frame = cache_.Find(id);
  if (frame == nullptr) {
    ASSIGN_OR_RETURN(own, cache_.ReadOwn(id, high_water_));
    frame = own.get();
  }
  const PageView page = frame->view();
  RETURN_IF_ERROR(Mark(id, frame->bytes / cache_.page_size()));
  const size_t count = page.count();
  if (count > 0 && page.key(0) < low)
    return cache_.Corrupt(id, "has a first key below its place in the parent");
  if (strict_ && count > 0 && !low.empty() && page.key(0) != low) {
    return cache_.Corrupt(id, "has a first key that its parent does not name");
  }
  if (count > 0 && !high.empty() && page.key(count - 1) >= high) {
    return cache_.Corrupt(id, "has a last key above its place in the parent");
  }
  for (size_t i = 0; i < count; ++i) {
    if (page.is_branch()) {
      const std::string_view child_high = i + 1 < count ? page.key(i + 1) : high;
      RETURN_IF_ERROR(Walk(page.child(i), depth + 1, page.key(i), child_high, on_bucket));
    } else if (on_bucket != nullptr) {
      if (page.element_flags(i) != kBucketElementFlag || page.value(i).size() < 16) {
        return cache_.Corrupt(id, "holds something else than buckets");
      }
      RETURN_IF_ERROR((*on_bucket)(page.key(i), page.value(i)));
    } else if (page.element_flags(i) != 0) {
      return cache_.Corrupt(id, "holds a bucket within a bucket");
    }
  }
  return OkStatus();
}

}  // namespace quoin::btree
