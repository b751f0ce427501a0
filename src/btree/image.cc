// Frozen roots: checkpoints that write them, copies that read them.

#include <algorithm>

#include "base/check.h"
#include "btree/tree.h"
#include "btree/walker.h"

namespace quoin::btree {
namespace {

constexpr uint64_t kGrowBytes = 1 << 20;  // the file grows by this much at least
constexpr size_t kSliceBytes = 1 << 20;   // one write of a checkpoint

}  // namespace

Image::Image(Tree& tree, PublishedRoot published, Meta meta)
    : tree_(tree), published_(std::move(published)), meta_(meta), slot_(tree.epochs()) {}

// One checkpoint on the checkpoint loop: grow, slices of pages, sync, meta, sync, cut.
class CheckpointRun : public std::enable_shared_from_this<CheckpointRun> {
 public:
  CheckpointRun(Tree& tree, Image& image, env::Executor& on, env::Duration pace,
                env::DoneStatus done)
      : tree_(tree), image_(image), on_(on), pace_(pace), done_(std::move(done)) {}

  void Start() {
    const uint64_t needed = image_.size_bytes();
    if (needed <= tree_.file_bytes_) return NextSlice();
    const uint64_t size = std::max(needed, tree_.file_bytes_ + kGrowBytes);
    tree_.file_->Resize(size, on_, Then([size](CheckpointRun& run) {
                          run.tree_.file_bytes_ = size;
                          run.NextSlice();
                        }));
  }

 private:
  template <typename F>
  env::DoneStatus Then(F next) {
    return [self = shared_from_this(), next](Status status) {
      if (!status.ok()) return self->done_(std::move(status));
      next(*self);
    };
  }

  // Adjacent pages travel in one write.
  void NextSlice() {
    if (at_ == image_.frames_.size()) return Sync();
    const PageId first = image_.frames_[at_]->id;
    PageId next = first;
    size_t bytes = 0;
    std::vector<std::string_view> pieces;
    while (at_ < image_.frames_.size() && image_.frames_[at_]->id == next && bytes < kSliceBytes) {
      const Frame* frame = image_.frames_[at_++];
      pieces.emplace_back(frame->data, frame->bytes);
      bytes += frame->bytes;
      next += frame->bytes / tree_.page_size_;
    }
    if (slice_bytes_ == 0) slice_first_ = first;
    slice_bytes_ += bytes;
    tree_.file_->Write(first * tree_.page_size_, std::move(pieces), on_,
                       Then([next](CheckpointRun& run) { run.Written(next); }));
  }

  // The disk is given each slice at once: a Sync that finds all of them waiting would keep the
  // log's syncs waiting too.
  void Written(PageId end) {
    if (slice_bytes_ < kSliceBytes) return NextSlice();
    slice_bytes_ = 0;
    tree_.file_->StartWriteback(slice_first_ * tree_.page_size_,
                                (end - slice_first_) * tree_.page_size_);
    if (pace_.count() == 0 || tree_.hurry_.load()) return NextSlice();
    on_.RunAfter(pace_, [self = shared_from_this()] { self->NextSlice(); });
  }

  void Sync() {
    tree_.file_->Sync(on_, Then([](CheckpointRun& run) { run.WriteMeta(); }));
  }

  void WriteMeta() {
    const uint64_t page = tree_.MetaPageOf(image_.meta_.txid);
    meta_bytes_ = image_.meta_.Encode(page);
    tree_.file_->Write(page * tree_.page_size_, {meta_bytes_}, on_, Then([](CheckpointRun& run) {
                         run.tree_.file_->Sync(run.on_,
                                               run.Then([](CheckpointRun& r) { r.Durable(); }));
                       }));
  }

  void Durable() {
    // Cut only what neither meta knows, and not for every page. The tree's own notes on its metas
    // belong to the apply loop: EndCheckpoint brings them up to date.
    const uint64_t needed =
        std::max(image_.meta_.high_water, image_.mark_before_) * tree_.page_size_;
    if (needed + kGrowBytes >= tree_.file_bytes_) return done_(OkStatus());
    tree_.file_->Resize(needed, on_, Then([needed](CheckpointRun& run) {
                          run.tree_.file_bytes_ = needed;
                          run.done_(OkStatus());
                        }));
  }

  Tree& tree_;
  Image& image_;
  env::Executor& on_;
  const env::Duration pace_;
  env::DoneStatus done_;
  size_t at_ = 0;
  PageId slice_first_ = 0;  // of what was written since the last pause
  size_t slice_bytes_ = 0;
  std::string meta_bytes_;
};

// The newest meta must stay whole while the next is written: the other page is taken.
Meta Tree::NextMeta() const {
  Meta meta;
  meta.page_size = page_size_;
  meta.txid = durable_.txid + 1;
  // In a copied file the newest meta may stand on the page that its number would not give.
  if (MetaPageOf(meta.txid) == durable_page_) ++meta.txid;
  return meta;
}

std::unique_ptr<Image> Tree::BeginCheckpoint() {
  CHECK(!writer_->changed_) << "a checkpoint between Publish and Publish";
  const PublishedRoot& root = *published_.load(std::memory_order_relaxed);
  if (checkpointing_ || options_.read_only) return nullptr;
  CollectFree();
  // The same root is worth writing again while a meta keeps the file from being cut.
  const PageId mark = std::max(durable_.high_water, durable_before_.high_water);
  const bool may_cut = mark > high_water_ + kGrowBytes / page_size_;
  if (root.version == durable_version_ && !may_cut) return nullptr;
  checkpointing_ = true;
  ++generation_;
  Meta meta = NextMeta();
  meta.root = root.root;
  meta.high_water = high_water_;  // may have sunk since the root was published
  auto image = std::make_unique<Image>(*this, root, meta);
  image->mark_before_ = durable_.high_water;
  image->frames_ = std::exchange(dirty_, {});
  for (Frame* frame : image->frames_) frame->dirty_at = SIZE_MAX;
  std::sort(image->frames_.begin(), image->frames_.end(),
            [](const Frame* a, const Frame* b) { return a->id < b->id; });
  held_by_checkpoint_ = std::exchange(held_, {});
  writing_bytes_ = std::exchange(dirty_bytes_, 0);
  hurry_.store(false);
  UpdateStats();
  return image;
}

void Tree::RunCheckpoint(Image& image, env::Executor& on, env::Duration pace,
                         env::DoneStatus done) {
  std::make_shared<CheckpointRun>(*this, image, on, pace, std::move(done))->Start();
}

void Tree::EndCheckpoint(std::unique_ptr<Image> image) {
  CHECK(checkpointing_);
  checkpointing_ = false;
  durable_version_ = image->published_.version;
  durable_before_ = durable_;
  durable_ = image->meta_;
  durable_page_ = MetaPageOf(image->meta_.txid);
  cache_->MarkClean(image->frames_);
  writing_bytes_ = 0;
  for (const PageRun& run : std::exchange(held_by_checkpoint_, {})) {
    held_pages_ -= run.count;
    HoldForFrozen(run);
  }
  CollectFree();
  UpdateStats();
}

Status Tree::CheckpointNow() {
  std::unique_ptr<Image> image = BeginCheckpoint();
  if (image == nullptr) return OkStatus();
  env::BlockingFile& file = file_->blocking();
  if (image->size_bytes() > file_bytes_) {
    RETURN_IF_ERROR(file.Resize(image->size_bytes()));
    file_bytes_ = image->size_bytes();
  }
  for (const Frame* frame : image->frames_) {
    RETURN_IF_ERROR(
        file.Write(frame->id * page_size_, std::string_view(frame->data, frame->bytes)));
  }
  RETURN_IF_ERROR(file.Sync());
  const uint64_t page = MetaPageOf(image->meta_.txid);
  RETURN_IF_ERROR(file.Write(page * page_size_, image->meta_.Encode(page)));
  RETURN_IF_ERROR(file.Sync());
  EndCheckpoint(std::move(image));
  return OkStatus();
}

// --- frozen copies
//

std::unique_ptr<Image> Tree::Freeze() {
  CHECK(!writer_->changed_) << "a freeze between Publish and Publish";
  const PublishedRoot& root = *published_.load(std::memory_order_relaxed);
  Meta meta = NextMeta();
  meta.root = root.root;
  meta.high_water = high_water_;  // may have sunk since the root was published
  auto image = std::make_unique<Image>(*this, root, meta);
  image->generation_ = generation_++;
  image->reachable_ = ReachableNow();
  frozen_.insert(image->generation_);
  return image;
}

// What is in none of the lists of pages to reuse: no page of the tree has to be looked at.
std::vector<bool> Tree::ReachableNow() const {
  std::vector<bool> reachable(high_water_, true);
  auto drop = [&](const PageRun& run) {
    const auto at = [&](PageId id) {
      return reachable.begin() + static_cast<std::ptrdiff_t>(std::min(id, high_water_));
    };
    std::fill(at(run.first), at(run.first + run.count), false);
  };
  for (const auto& [first, count] : free_.runs()) drop({first, count});
  free_.ForEachWaiting(drop);
  for (const auto* list : {&held_, &held_by_checkpoint_, &held_for_frozen_}) {
    for (const PageRun& run : *list) drop(run);
  }
  CHECK(freed_in_batch_.empty());
  return reachable;
}

bool Tree::IsFrozen(const PageRun& run) const {
  const auto image = frozen_.lower_bound(run.generation);
  return image != frozen_.end() && *image < run.freed_in;
}

void Tree::HoldForFrozen(PageRun run) {
  if (!IsFrozen(run)) return free_.Release(run);
  held_for_frozen_.push_back(run);
  held_for_frozen_pages_ += run.count;
}

void Tree::Thaw(std::unique_ptr<Image> image) {
  CHECK_EQ(frozen_.erase(image->generation_), 1);
  image.reset();
  held_for_frozen_pages_ = 0;
  for (const PageRun& run : std::exchange(held_for_frozen_, {})) HoldForFrozen(run);
  CollectFree();
  UpdateStats();
}

// Both metas name this root; readers take the higher txid.
void RawCopy::CopyMeta(PageId id, char* to) const {
  Meta meta = image_.meta_;
  meta.txid -= id;
  meta.Encode(id).copy(to, meta.page_size);
}

StatusOr<std::string> RawCopy::Next(size_t n) {
  const uint32_t page_size = image_.meta_.page_size;
  const PageId high_water = image_.meta_.high_water;
  CHECK_EQ(n % page_size, 0);
  const PageId end = std::min(next_ + n / page_size, high_water);
  const PageCache& cache = *image_.tree_.cache_;
  EpochDomain::Guard guard(image_.slot_);
  std::string out((end - next_) * page_size, '\0');
  std::unique_ptr<Frame> own;
  const Frame* frame = nullptr;
  for (char* to = out.data(); next_ < end; ++next_, to += page_size) {
    if (next_ < 2) {
      CopyMeta(next_, to);
      continue;
    }
    if (next_ >= head_ + pages_) {
      if (!image_.reachable_[next_]) continue;
      head_ = next_;
      frame = nullptr;
    }
    if (frame == nullptr) frame = cache.Find(head_);
    if (frame == nullptr) {
      ASSIGN_OR_RETURN(own, cache.ReadOwn(head_, high_water));
      frame = own.get();
    }
    pages_ = frame->bytes / page_size;
    std::memcpy(to, frame->data + (next_ - head_) * page_size, page_size);
  }
  return out;
}

}  // namespace quoin::btree
