#include "base/check.h"
#include "btree/tree.h"

namespace quoin::btree {
namespace {

StatusOr<Frame*> FindOrLoad(PageCache& cache, PageId id, PageId high_water, OnMiss on_miss) {
  if (Frame* frame = cache.Find(id)) return frame;
  return on_miss == OnMiss::kReport ? cache.LoadNow(id, high_water) : cache.Load(id, high_water);
}

}  // namespace

Status Cursor::Push(PageId id) {
  ASSIGN_OR_RETURN(const Frame* frame, FindOrLoad(*cache_, id, high_water_, on_miss_));
  if (depth_ == kDepthMax) return cache_->Corrupt(id, "lies too deep: the tree has a cycle");
  levels_[depth_++] = {frame, 0};
  return OkStatus();
}

// A file may hold leaves without elements, any number of them in a row: they are passed over in
// loops.
Status Cursor::DescendFirst() {
  do {
    while (Top().frame->view().is_branch())
      RETURN_IF_ERROR(Push(Top().frame->view().child(Top().index)));
    valid_ = Leaf().count() > 0;
  } while (!valid_ && StepBranch(+1));
  return OkStatus();
}

Status Cursor::DescendLast() {
  do {
    while (Top().frame->view().is_branch()) {
      RETURN_IF_ERROR(Push(Top().frame->view().child(Top().index)));
      ChooseLast();
    }
    valid_ = Leaf().count() > 0;
  } while (!valid_ && StepBranch(-1));
  return OkStatus();
}

void Cursor::ChooseLast() {
  const uint16_t count = Top().frame->view().count();
  Top().index = count == 0 ? 0 : count - 1u;
}

bool Cursor::StepBranch(int direction) {
  for (int up = depth_ - 2; up >= 0; --up) {
    Level& level = levels_[up];
    if (direction > 0 ? level.index + 1 >= level.frame->view().count() : level.index == 0) continue;
    level.index += static_cast<uint32_t>(direction);
    depth_ = up + 1;
    return true;
  }
  return false;
}

Status Cursor::SeekFirst() {
  valid_ = false;
  depth_ = 0;
  if (cache_ == nullptr) return OkStatus();
  RETURN_IF_ERROR(Push(root_));
  return DescendFirst();
}

Status Cursor::SeekLast() {
  valid_ = false;
  depth_ = 0;
  if (cache_ == nullptr) return OkStatus();
  RETURN_IF_ERROR(Push(root_));
  ChooseLast();
  return DescendLast();
}

Status Cursor::Seek(std::string_view wanted) {
  valid_ = false;
  depth_ = 0;
  if (cache_ == nullptr) return OkStatus();
  PageId id = root_;
  while (true) {
    RETURN_IF_ERROR(Push(id));
    Level& level = levels_[depth_ - 1];
    const PageView page = level.frame->view();
    if (page.is_leaf()) {
      level.index = static_cast<uint32_t>(page.LowerBound(wanted));
      valid_ = level.index < page.count();
      if (valid_) return OkStatus();
      if (page.count() == 0) return depth_ == 1 ? OkStatus() : Next();
      --level.index;  // before the end of this leaf: the next leaf's first is wanted
      valid_ = true;
      return Next();
    }
    level.index = static_cast<uint32_t>(page.ChildFor(wanted));
    id = page.child(level.index);
  }
}

Status Cursor::Next() {
  Level& leaf = Top();
  if (leaf.index + 1 < leaf.frame->view().count()) {
    ++leaf.index;
    return OkStatus();
  }
  valid_ = false;
  return StepBranch(+1) ? DescendFirst() : OkStatus();
}

Status Cursor::Prev() {
  Level& leaf = Top();
  if (leaf.index > 0 && leaf.frame->view().count() > 0) {
    --leaf.index;
    return OkStatus();
  }
  valid_ = false;
  return StepBranch(-1) ? DescendLast() : OkStatus();
}

Cursor Snapshot::NewCursor(std::string_view bucket, OnMiss on_miss) const {
  for (const auto& [name, root] : published_->buckets) {
    if (name == bucket && root != 0) return Cursor(*cache_, root, published_->high_water, on_miss);
  }
  return Cursor();
}

StatusOr<std::optional<std::string_view>> Snapshot::Get(std::string_view bucket,
                                                        std::string_view key,
                                                        OnMiss on_miss) const {
  PageId id = 0;
  for (const auto& [name, root] : published_->buckets) {
    if (name == bucket) id = root;
  }
  if (id == 0) return std::optional<std::string_view>();
  for (int depth = 0; depth < kDepthMax; ++depth) {
    ASSIGN_OR_RETURN(const Frame* frame, FindOrLoad(*cache_, id, published_->high_water, on_miss));
    const PageView page = frame->view();
    if (page.is_leaf()) {
      const size_t at = page.LowerBound(key);
      if (at == page.count() || page.key(at) != key) return std::optional<std::string_view>();
      return std::optional<std::string_view>(page.value(at));
    }
    id = page.child(page.ChildFor(key));
  }
  return cache_->Corrupt(id, "lies too deep: the tree has a cycle");
}

std::vector<std::string> Snapshot::Buckets() const {
  std::vector<std::string> names;
  for (const auto& [name, root] : published_->buckets) names.push_back(name);
  return names;
}

}  // namespace quoin::btree
