// The writer: descending, putting, deleting, publishing. How pages split and merge stands in
// writer_pages.cc.

#include <algorithm>

#include "base/check.h"
#include "btree/tree.h"

namespace quoin::btree {

Writer::Writer(Tree& tree) : tree_(tree), slot_(tree.epochs()) {}

Writer::~Writer() = default;

void Writer::EnterBatch() {
  if (!guard_) guard_.emplace(slot_);
}

Status Writer::OpenBuckets(PageId root) {
  directory_.root = root;
  Cursor cursor(*tree_.cache_, root, tree_.high_water_, OnMiss::kLoad);
  EnterBatch();
  RETURN_IF_ERROR(cursor.SeekFirst());
  while (cursor.Valid()) {
    buckets_[std::string(cursor.key())].root = Load<uint64_t>(cursor.value().data());
    RETURN_IF_ERROR(cursor.Next());
  }
  return OkStatus();
}

Writer::Bucket* Writer::FindBucket(std::string_view name) {
  auto bucket = buckets_.find(name);
  return bucket == buckets_.end() ? nullptr : &bucket->second;
}

Status Writer::CreateBucket(std::string_view name) {
  if (FindBucket(name) != nullptr) return OkStatus();
  EnterBatch();
  buckets_[std::string(name)].changed = changed_ = true;
  return OkStatus();
}

Status Writer::DeleteBucket(std::string_view name) {
  Bucket* bucket = FindBucket(name);
  if (bucket == nullptr) return OkStatus();
  EnterBatch();
  changed_ = true;
  if (bucket->root != 0) RETURN_IF_ERROR(FreeSubtree(bucket->root, 0));
  RETURN_IF_ERROR(DeleteFrom(directory_, name));
  buckets_.erase(std::string(name));
  return OkStatus();
}

Status Writer::FreeSubtree(PageId id, int depth) {
  if (depth == kDepthMax) return tree_.cache_->Corrupt(id, "lies too deep: the tree has a cycle");
  ASSIGN_OR_RETURN(Frame * frame, Fetch(id));
  const PageView page = frame->view();
  for (size_t i = 0; page.is_branch() && i < page.count(); ++i)
    RETURN_IF_ERROR(FreeSubtree(page.child(i), depth + 1));
  tree_.FreeFrame(frame);
  return OkStatus();
}

StatusOr<Frame*> Writer::Fetch(PageId id) {
  if (Frame* frame = tree_.cache_->Find(id)) return frame;
  return tree_.cache_->Load(id, tree_.high_water_);
}

Frame* Writer::NewFrame(uint16_t flags, size_t bytes) {
  const uint64_t pages = bytes / tree_.page_size_;
  std::unique_ptr<Frame> frame = tree_.cache_->NewFrame(tree_.Allocate(pages), bytes);
  std::memset(frame->data, 0, bytes);  // what lies between elements and data reaches the disk
  frame->batch = batch_;
  frame->generation = tree_.generation_;
  frame->editor().Format(frame->id, flags, static_cast<uint32_t>(pages - 1));
  Frame* added = tree_.cache_->Add(std::move(frame));
  tree_.AddDirty(added);
  return added;
}

Frame* Writer::CopyOf(const Frame& source) {
  return CopyTo(source, tree_.Allocate(source.bytes / tree_.page_size_));
}

Frame* Writer::CopyTo(const Frame& source, PageId id) {
  auto frame = tree_.cache_->NewFrame(id, source.bytes);
  std::memcpy(frame->data, source.data, source.bytes);
  frame->batch = batch_;
  frame->generation = tree_.generation_;
  frame->free_upper = source.free_upper;
  frame->garbage = source.garbage;
  frame->editor().SetId(frame->id);
  Frame* added = tree_.cache_->Add(std::move(frame));
  tree_.AddDirty(added);
  return added;
}

Status Writer::Descend(Bucket& bucket, std::string_view key, Path& path) {
  path.clear();
  bucket.changed = changed_ = true;
  PageId id = bucket.root;
  while (true) {
    if (path.size() == kDepthMax)
      return tree_.cache_->Corrupt(id, "lies too deep: the tree has a cycle");
    ASSIGN_OR_RETURN(Frame * frame, Fetch(id));
    if (frame->batch != batch_) {
      Frame* copy = CopyOf(*frame);
      tree_.FreeFrame(frame);
      frame = copy;
      if (path.empty())
        bucket.root = frame->id;
      else
        path.back().frame->editor().SetChild(path.back().index, frame->id);
    }
    const PageView page = frame->view();
    if (page.is_leaf()) {
      path.push_back({frame, static_cast<uint32_t>(page.LowerBound(key))});
      return OkStatus();
    }
    path.push_back({frame, static_cast<uint32_t>(page.ChildFor(key))});
    id = page.child(path.back().index);
  }
}

Status Writer::Put(std::string_view bucket_name, std::string_view key, std::string_view value) {
  CHECK(!key.empty() && key.size() <= kKeyBytesMax);
  Bucket* bucket = FindBucket(bucket_name);
  CHECK(bucket != nullptr) << "no bucket " << bucket_name;
  EnterBatch();
  Element element;
  element.key = key;
  element.value = value;
  if (AppendToTail(*bucket, element)) return OkStatus();
  return PutInto(*bucket, element);
}

// Appends in key order need no descent while the rightmost leaf is this batch's own and has room.
bool Writer::AppendToTail(Bucket& bucket, const Element& element) {
  Frame* tail = bucket.tail;
  if (tail == nullptr || tail->batch != batch_) return false;
  const PageView page = tail->view();
  if (page.count() == 0 || page.key(page.count() - 1u) >= element.key) return false;
  if (tail->bytes > tree_.page_size_) return false;  // a long value keeps its pages to itself
  PageEditor editor = tail->editor();
  if (editor.contiguous_free() < element.bytes()) return false;
  editor.Insert(page.count(), element);
  return true;
}

Status Writer::PutInto(Bucket& bucket, const Element& element) {
  if (bucket.root == 0) bucket.root = NewFrame(kLeafFlag, tree_.page_size_)->id;
  Path path;
  do {
    RETURN_IF_ERROR(Descend(bucket, element.key, path));
  } while (!LowerSeparators(bucket, path, element.key));
  const Step leaf = path.back();
  const PageView page = leaf.frame->view();
  if (leaf.index < page.count() && page.key(leaf.index) == element.key)
    leaf.frame->editor().Remove(leaf.index);
  const bool rightmost = std::all_of(path.begin(), path.end(), [](const Step& step) {
    return step.index + (step.frame->view().is_branch() ? 1u : 0u) == step.frame->view().count();
  });
  InsertAt(bucket, path, path.size() - 1, leaf.index, {element});
  if (rightmost && path.back().frame == leaf.frame) bucket.tail = leaf.frame;
  return OkStatus();
}

Status Writer::Delete(std::string_view bucket_name, std::string_view key) {
  Bucket* bucket = FindBucket(bucket_name);
  CHECK(bucket != nullptr) << "no bucket " << bucket_name;
  EnterBatch();
  return DeleteFrom(*bucket, key);
}

Status Writer::DeleteFrom(Bucket& bucket, std::string_view key) {
  if (bucket.root == 0) return OkStatus();
  Cursor cursor(*tree_.cache_, bucket.root, tree_.high_water_, OnMiss::kLoad);
  RETURN_IF_ERROR(cursor.Seek(key));
  if (!cursor.Valid() || cursor.key() != key)
    return OkStatus();  // nothing is copied for a key that is not there
  Path path;
  RETURN_IF_ERROR(Descend(bucket, key, path));
  path.back().frame->editor().Remove(path.back().index);
  RETURN_IF_ERROR(Rebalance(bucket, path));
  return RaiseSeparators(bucket, std::string(key));
}

StatusOr<std::optional<std::string_view>> Writer::Get(std::string_view bucket_name,
                                                      std::string_view key) {
  Cursor cursor = NewCursor(bucket_name);
  RETURN_IF_ERROR(cursor.Seek(key));
  if (!cursor.Valid() || cursor.key() != key) return std::optional<std::string_view>();
  return std::optional<std::string_view>(cursor.value());
}

Cursor Writer::NewCursor(std::string_view bucket_name) {
  EnterBatch();
  Bucket* bucket = FindBucket(bucket_name);
  return bucket == nullptr || bucket->root == 0
             ? Cursor()
             : Cursor(*tree_.cache_, bucket->root, tree_.high_water_, OnMiss::kLoad);
}

void Writer::Publish() {
  if (changed_) {
    for (auto& [name, bucket] : buckets_) {
      bucket.tail = nullptr;
      if (!std::exchange(bucket.changed, false)) continue;
      const std::string value = BucketValue(bucket.root);
      Element element;
      element.key = name;
      element.value = value;
      element.flags = kBucketElementFlag;
      const Status status = PutInto(directory_, element);
      // The directory's pages are in memory: the tree cannot be open without them.
      if (!status.ok()) DieOnDiskError(std::string(status.message()));
    }
    auto published = std::make_unique<PublishedRoot>();
    published->root = directory_.root;
    published->high_water = tree_.high_water_;
    published->buckets.reserve(buckets_.size());
    for (const auto& [name, bucket] : buckets_) published->buckets.emplace_back(name, bucket.root);
    directory_.tail = nullptr;
    changed_ = false;
    ++batch_;
    guard_.reset();
    tree_.PublishRoot(std::move(published));
  }
  guard_.reset();
}

}  // namespace quoin::btree
