// How the writer's pages grow, split, merge and vanish.

#include <algorithm>

#include "base/check.h"
#include "btree/tree.h"

namespace quoin::btree {
namespace {

constexpr PageId kSmallFilePages = 64;

size_t SumBytes(const std::vector<Element>& elements) {
  size_t sum = 0;
  for (const Element& element : elements) sum += element.bytes();
  return sum;
}

std::vector<Element> ElementsOf(const PageView& page) {
  std::vector<Element> elements;
  elements.reserve(page.count() + 2u);
  for (size_t i = 0; i < page.count(); ++i) elements.push_back(ElementAt(page, i));
  return elements;
}

// A branch element for a page: its first key, and where it is.
Element Separator(const Frame& frame) {
  Element element;
  element.key = frame.view().key(0);
  element.child = frame.id;
  return element;
}

}  // namespace

bool Writer::LowerSmallBuckets() {
  if (tree_.high_water_ > kSmallFilePages) return false;
  for (auto& [name, bucket] : buckets_) bucket.changed |= LowerRoot(bucket);
  LowerRoot(directory_);
  return changed_;
}

bool Writer::LowerRoot(Bucket& bucket) {
  Frame* page = bucket.root == 0 ? nullptr : tree_.cache_->Find(bucket.root);
  const bool is_changed = page != nullptr && page->dirty_at != SIZE_MAX;
  if (!is_changed || page->bytes != tree_.page_size_) return false;
  const PageId lower = tree_.free_.TakeBelow(1, bucket.root);
  if (lower == 0) return false;
  EnterBatch();
  CopyTo(*page, lower);
  tree_.FreeFrame(page);
  bucket.root = lower;
  bucket.tail = nullptr;
  changed_ = true;
  return true;
}

bool Writer::LowerSeparators(Bucket& bucket, Path& path, std::string_view key) {
  for (size_t level = 0; level + 1 < path.size(); ++level) {
    Frame* frame = path[level].frame;
    if (path[level].index != 0 || frame->view().key(0) <= key) continue;
    Element element;
    element.key = key;
    element.child = frame->view().child(0);
    frame->editor().Remove(0);
    const size_t levels = path.size();
    InsertAt(bucket, path, level, 0, {element});
    if (path.size() != levels || path[level].frame != frame) return false;
  }
  return true;
}

Status Writer::RaiseSeparators(Bucket& bucket, std::string key) {
  while (true) {
    Path path;  // of pages that this batch made: below others nothing has changed
    for (PageId id = bucket.root; path.size() < kDepthMax;) {
      ASSIGN_OR_RETURN(Frame * frame, Fetch(id));
      if (frame->batch != batch_) break;
      const PageView page = frame->view();
      const bool bottom = page.is_leaf() || page.count() == 0;
      path.push_back({frame, bottom ? 0 : static_cast<uint32_t>(page.ChildFor(key))});
      if (bottom) break;
      id = page.child(path.back().index);
    }
    bool split = false;
    for (size_t level = path.size(); !split && level-- > 1;) {
      const PageView child = path[level].frame->view();
      Frame* parent = path[level - 1].frame;
      const uint32_t at = path[level - 1].index;
      if (child.count() == 0 || parent->view().key(at) == child.key(0)) continue;
      key = std::string(child.key(0));  // leads here again, should the longer key split the parent
      const Element separator = Separator(*path[level].frame);
      parent->editor().Remove(at);
      const size_t levels = path.size();
      InsertAt(bucket, path, level - 1, at, {separator});
      split = path.size() != levels || path[level - 1].frame != parent;
    }
    if (!split) return OkStatus();
  }
}

// Inserts adjacent elements; splits the page when they do not fit. After a split `path` is no
// longer right (its size is 0) and must be walked again.
void Writer::InsertAt(Bucket& bucket, Path& path, size_t level, size_t at,
                      const std::vector<Element>& elements) {
  Frame* frame = path[level].frame;
  PageEditor editor = frame->editor();
  const size_t bytes = SumBytes(elements);
  // A long value keeps its pages to itself: what shares them would copy all of them with each
  // batch.
  const PageView page = frame->view();
  const bool is_long = page.is_leaf() && page.count() > 0 && frame->bytes > tree_.page_size_;
  if (is_long || editor.total_free() < bytes) return Split(bucket, path, level, at, elements);
  if (editor.contiguous_free() < bytes) editor.Compact();
  for (size_t i = 0; i < elements.size(); ++i) editor.Insert(at + i, elements[i]);
}

void Writer::Split(Bucket& bucket, Path& path, size_t level, size_t at,
                   const std::vector<Element>& elements) {
  Frame* old = path[level].frame;
  std::vector<Element> all = ElementsOf(old->view());
  const bool appending = at == all.size() && !all.empty();
  all.insert(all.begin() + static_cast<std::ptrdiff_t>(at), elements.begin(), elements.end());
  std::vector<Frame*> parts = BuildPages(old->view().flags(), all, appending);
  if (level == 0) {
    while (parts.size() > 1) {
      std::vector<Element> separators;
      for (const Frame* part : parts) separators.push_back(Separator(*part));
      parts = BuildPages(kBranchFlag, separators, appending);
    }
    bucket.root = parts[0]->id;
  } else {
    Step& parent = path[level - 1];
    parent.frame->editor().SetChild(parent.index, parts[0]->id);
    std::vector<Element> separators;
    for (size_t i = 1; i < parts.size(); ++i) separators.push_back(Separator(*parts[i]));
    if (!separators.empty()) InsertAt(bucket, path, level - 1, parent.index + 1u, separators);
  }
  tree_.FreeFrame(old);  // its bytes were read until here
  bucket.tail = nullptr;
  path.clear();
  path.push_back({nullptr, 0});
}

std::vector<Frame*> Writer::BuildPages(uint16_t flags, const std::vector<Element>& elements,
                                       bool appending) {
  const size_t capacity = tree_.page_size_ - kPageHeaderBytes;
  const size_t total = SumBytes(elements);
  // Appended pages stay full and the new one starts nearly empty; otherwise halves.
  const size_t target = appending ? capacity : std::min(capacity, total / 2);
  const size_t elements_min = flags == kBranchFlag ? 2 : 1;
  std::vector<Frame*> pages;
  size_t first = 0;
  while (first < elements.size()) {
    size_t end = first, bytes = 0;
    while (end < elements.size()) {
      const bool enough = end - first >= elements_min;
      const bool rest_stays_legal = elements.size() - end >= elements_min;
      if (enough && rest_stays_legal &&
          (bytes >= target || bytes + elements[end].bytes() > capacity))
        break;
      bytes += elements[end++].bytes();
    }
    const size_t needed = bytes + kPageHeaderBytes;
    const size_t page_bytes = (needed + tree_.page_size_ - 1) / tree_.page_size_ * tree_.page_size_;
    Frame* frame = NewFrame(flags, page_bytes);
    PageEditor editor = frame->editor();
    for (size_t i = first; i < end; ++i) editor.Insert(i - first, elements[i]);
    pages.push_back(frame);
    first = end;
  }
  return pages;
}

// After a removal at the end of `path`: empty pages go, small ones join a neighbour, up to the
// root.
Status Writer::Rebalance(Bucket& bucket, Path& path) {
  const size_t small = tree_.page_size_ / 4;
  for (size_t level = path.size() - 1; level > 0; --level) {
    Frame* frame = path[level].frame;
    Step& parent = path[level - 1];
    if (frame->view().count() == 0) {
      parent.frame->editor().Remove(parent.index);
      if (bucket.tail == frame) bucket.tail = nullptr;
      tree_.FreeFrame(frame);
      continue;
    }
    if (frame->editor().used() >= small) break;
    ASSIGN_OR_RETURN(bool merged, MergeWithSibling(path, level));
    if (!merged) break;
    bucket.tail = nullptr;
  }
  return CollapseRoot(bucket);
}

StatusOr<bool> Writer::MergeWithSibling(Path& path, size_t level) {
  Step& parent = path[level - 1];
  const PageView siblings = parent.frame->view();
  if (siblings.count() < 2) return false;
  const size_t left_at = parent.index + 1u < siblings.count() ? parent.index : parent.index - 1u;
  ASSIGN_OR_RETURN(Frame * left, Fetch(siblings.child(left_at)));
  ASSIGN_OR_RETURN(Frame * right, Fetch(siblings.child(left_at + 1)));
  if (left->editor().used() + right->editor().used() - kPageHeaderBytes > tree_.page_size_)
    return false;
  if (left->view().flags() != right->view().flags())
    return tree_.cache_->Corrupt(right->id, "is of another kind than its sibling");
  std::vector<Element> all = ElementsOf(left->view());
  for (const Element& element : ElementsOf(right->view())) all.push_back(element);
  const std::vector<Frame*> merged = BuildPages(left->view().flags(), all, /*appending=*/true);
  CHECK_EQ(merged.size(), 1u);
  PageEditor editor = parent.frame->editor();
  editor.SetChild(left_at, merged[0]->id);
  editor.Remove(left_at + 1);
  tree_.FreeFrame(left);
  tree_.FreeFrame(right);
  return true;
}

Status Writer::CollapseRoot(Bucket& bucket) {
  while (true) {
    ASSIGN_OR_RETURN(Frame * root, Fetch(bucket.root));
    const PageView page = root->view();
    if (page.is_leaf() || page.count() > 1) return OkStatus();
    const uint16_t count = page.count();
    const PageId child = count == 1 ? page.child(0) : 0;
    tree_.FreeFrame(root);
    bucket.tail = nullptr;
    bucket.root = count == 1 ? child : NewFrame(kLeafFlag, tree_.page_size_)->id;
  }
}

}  // namespace quoin::btree
