#include "btree/relocator.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "btree/tree.h"

namespace quoin::btree {
namespace {

constexpr size_t kVisitsMax = 4096;   // pages that a slice looks at
constexpr uint64_t kSlackPages = 64;  // the file may stay larger than its content by this

}  // namespace

StatusOr<Relocation> Relocator::Slice(size_t pages_max) {
  if (stage_ == Stage::kStart) {
    next_ = {};
    starts_.clear();
    stage_ = Stage::kPlan;
  }
  if (stage_ == Stage::kMove) return MoveSome(pages_max);
  ASSIGN_OR_RETURN(const bool all, Visit([this](const Place& place) {
                     starts_.push_back(place.id);
                     return true;
                   }));
  if (!all) return Relocation();
  Decide();
  starts_ = {};
  next_ = {};
  stage_ = pivot_ == 0 ? Stage::kStart : Stage::kMove;
  return Relocation{0, pivot_ == 0};
}

StatusOr<bool> Relocator::Visit(absl::FunctionRef<bool(const Place&)> visit) {
  Writer& writer = *tree_.writer_;
  writer.EnterBatch();
  size_t left = kVisitsMax;
  for (auto bucket = writer.buckets_.lower_bound(next_.bucket); bucket != writer.buckets_.end();
       ++bucket) {
    if (bucket->first != next_.bucket) next_ = {bucket->first, "", 0};
    ASSIGN_OR_RETURN(const bool end, VisitBucket(left, visit));
    if (!end) return false;
    next_ = {next_.bucket + '\0', "", 0};  // behind it
  }
  return true;
}

// Leaves are not read: a tree's leaves all lie at the depth of the first one met. In a file where
// they do not, some pages are not seen and stay where they are.
StatusOr<bool> Relocator::VisitBucket(size_t& left, absl::FunctionRef<bool(const Place&)> visit) {
  Writer& writer = *tree_.writer_;
  const PageId root = writer.buckets_.find(next_.bucket)->second.root;
  if (root == 0) return true;  // an empty bucket has no page
  if (next_.key.empty() && !visit({next_.bucket, "", root})) return false;
  Writer::Path path;
  for (PageId id = root;;) {
    ASSIGN_OR_RETURN(Frame * frame, writer.Fetch(id));
    const PageView page = frame->view();
    if (page.is_leaf() || path.size() == kDepthMax) break;
    // The left edge: the loop below sees a page when it comes to it from the one before.
    if (next_.key.empty() && !path.empty() && !visit({next_.bucket, "", id})) return false;
    path.push_back({frame, static_cast<uint32_t>(page.ChildFor(next_.key))});
    id = page.child(path.back().index);
  }
  const size_t depth = path.size();  // of the leaves
  while (!path.empty()) {
    Writer::Step& step = path.back();
    const PageView page = step.frame->view();
    if (page.is_leaf() || step.index == page.count()) {
      path.pop_back();
      if (!path.empty()) ++path.back().index;
      continue;
    }
    const Place place{next_.bucket, std::string(page.key(step.index)), page.child(step.index)};
    if (left == 0 || !visit(place)) {
      next_ = place;
      return false;
    }
    --left;
    if (path.size() == depth) {
      ++step.index;
      continue;
    }
    ASSIGN_OR_RETURN(Frame * child, writer.Fetch(place.id));
    path.push_back({child, 0});
  }
  return true;
}

std::vector<Relocator::Extent> Relocator::Extents() {
  std::sort(starts_.begin(), starts_.end());
  starts_.erase(std::unique(starts_.begin(), starts_.end()), starts_.end());
  std::vector<PageId> ends;  // where something else begins
  for (const auto& [first, count] : tree_.free_.runs()) ends.push_back(first);
  tree_.free_.ForEachWaiting([&](PageRun run) { ends.push_back(run.first); });
  for (const auto* list : {&tree_.held_, &tree_.held_by_checkpoint_, &tree_.held_for_frozen_,
                           &tree_.freed_in_batch_}) {
    for (const PageRun& run : *list) ends.push_back(run.first);
  }
  std::sort(ends.begin(), ends.end());
  std::vector<Extent> out;
  out.reserve(starts_.size());
  auto end = ends.begin();
  for (size_t i = 0; i < starts_.size(); ++i) {
    const PageId first = starts_[i];
    end = std::lower_bound(end, ends.end(), first);
    PageId limit = i + 1 < starts_.size() ? starts_[i + 1] : tree_.high_water_;
    if (end != ends.end()) limit = std::min(limit, *end);
    if (limit > first) out.push_back({first, limit - first});
  }
  return out;
}

uint64_t Relocator::ShortestBlocked(const std::vector<Extent>& extents, PageId end) const {
  std::multiset<uint64_t> runs;
  for (const auto& [first, count] : tree_.free_.runs()) {
    if (first < end) runs.insert(std::min(count, end - first));
  }
  uint64_t blocked = 0;
  for (const Extent& extent : extents) {
    if (extent.first < end) continue;
    const auto run = runs.lower_bound(extent.count);
    if (run == runs.end()) {
      blocked = blocked == 0 ? extent.count : std::min(blocked, extent.count);
      continue;
    }
    const uint64_t rest = *run - extent.count;
    runs.erase(run);
    if (rest > 0) runs.insert(rest);
  }
  return blocked;
}

PageId Relocator::PackedEnd(const std::vector<Extent>& extents, uint64_t length, PageId end) {
  uint64_t needed = kSlackPages;
  for (const Extent& extent : extents) {
    if (extent.first < end && extent.count < length) needed += extent.count;
  }
  needed += needed / 16;
  uint64_t longer = 2;  // the metas, and pages that stay
  for (const Extent& extent : extents) {
    if (extent.first >= needed + longer) break;
    if (extent.count >= length) longer += extent.count;
  }
  return needed + longer;
}

// Pages beyond `end` could lie in front of it, with some slack: what moves leaves its old place
// free only after the next checkpoint, and each move copies a whole path.
void Relocator::Decide() {
  pivot_ = 0;
  const uint64_t in_use = tree_.stats().in_use_bytes / tree_.page_size_;
  const PageId end = in_use + in_use / 10 + kSlackPages;
  if (tree_.high_water_ <= end) return;
  const std::vector<Extent> extents = Extents();
  const uint64_t blocked = ShortestBlocked(extents, end);
  if (blocked > 1) {
    const PageId packed = PackedEnd(extents, blocked, end);
    uint64_t to_move = 0;
    for (const Extent& extent : extents) {
      if (extent.first >= packed && extent.count < blocked) to_move += extent.count;
    }
    if (packed < end && to_move >= blocked) {
      pivot_ = packed;
      length_max_ = blocked - 1;
      return;
    }
  }
  pivot_ = end;
  length_max_ = UINT64_MAX;
}

StatusOr<Relocation> Relocator::MoveSome(size_t pages_max) {
  std::vector<Place> candidates;
  ASSIGN_OR_RETURN(const bool all, Visit([&](const Place& place) {
                     if (candidates.size() == pages_max) return false;
                     if (place.id >= pivot_) candidates.push_back(place);
                     return true;
                   }));
  Relocation done;
  for (const Place& place : candidates) {
    if (done.pages >= pages_max) {
      next_ = place;
      return done;
    }
    ASSIGN_OR_RETURN(const uint64_t moved, tree_.writer_->MovePage(place.bucket, place.key,
                                                                   place.id, pivot_, length_max_));
    done.pages += moved;
  }
  done.at_end = all;
  if (all) stage_ = Stage::kStart;
  return done;
}

// Takes lower ids for the page and for the pages above it that readers may reach; all or nothing.
StatusOr<uint64_t> Writer::MovePage(const std::string& bucket_name, std::string_view key, PageId id,
                                    PageId pivot, uint64_t length_max) {
  Bucket* bucket = FindBucket(bucket_name);
  if (bucket == nullptr) return 0;
  EnterBatch();
  std::vector<Step> path;
  for (PageId at = bucket->root;;) {
    if (path.size() == kDepthMax) return 0;
    ASSIGN_OR_RETURN(Frame * frame, Fetch(at));
    const PageView page = frame->view();
    const bool bottom = at == id || page.is_leaf();
    path.push_back({frame, bottom ? 0 : static_cast<uint32_t>(page.ChildFor(key))});
    if (bottom) break;
    at = page.child(path.back().index);
  }
  const Frame& page = *path.back().frame;
  const uint64_t pages = page.bytes / tree_.page_size_;
  // It has moved already with one below it, or is this batch's.
  if (page.id != id || page.batch == batch_ || pages > length_max) return 0;
  std::vector<PageId> ids(path.size(), 0);
  for (size_t i = path.size(); i-- > 0;) {
    const Frame& frame = *path[i].frame;
    if (frame.batch == batch_) continue;
    const uint64_t count = frame.bytes / tree_.page_size_;
    ids[i] = tree_.free_.TakeBelow(count, pivot);
    if (ids[i] != 0) continue;
    for (size_t j = i + 1; j < path.size(); ++j) {
      if (ids[j] != 0) tree_.free_.Insert({ids[j], path[j].frame->bytes / tree_.page_size_});
    }
    return 0;
  }
  CHECK_LT(ids.back(), id);
  bucket->changed = changed_ = true;
  for (size_t i = 0; i < path.size(); ++i) {
    if (ids[i] == 0) continue;
    Frame* copy = CopyTo(*path[i].frame, ids[i]);
    if (i == 0)
      bucket->root = copy->id;
    else
      path[i - 1].frame->editor().SetChild(path[i - 1].index, copy->id);
    tree_.FreeFrame(path[i].frame);
    path[i].frame = copy;
  }
  return pages;
}

}  // namespace quoin::btree
