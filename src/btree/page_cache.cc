#include "btree/page_cache.h"

#include <algorithm>

#include "base/check.h"

namespace quoin::btree {
namespace {

constexpr uint64_t kOverflowBytesMax = uint64_t{1} << 31;
constexpr uint64_t kRetiredBytesMin = 256 * 1024;

}  // namespace

Frame::Frame(PageMemory& from, PageId page, size_t size)
    : memory(from),
      id(page),
      bytes(size),
      data(memory.Take(size)),
      free_upper(static_cast<uint32_t>(size)) {}

Frame::~Frame() { memory.Give(data, bytes); }

PageCache::PageCache(EpochDomain& epochs, std::string path, env::BlockingFile* file,
                     uint32_t page_size, uint64_t bytes_max)
    : epochs_(epochs),
      path_(std::move(path)),
      file_(file),
      page_size_(page_size),
      bytes_max_(bytes_max),
      memory_(page_size),
      chunks_(new std::atomic<Chunk*>[kChunksMax]()) {}

PageCache::~PageCache() {
  for (size_t c = 0; c < kChunksMax; ++c) {
    Chunk* chunk = chunks_[c].load(std::memory_order_relaxed);
    if (chunk == nullptr) continue;
    for (size_t i = 0; i < kChunkPages; ++i) delete chunk[i].load(std::memory_order_relaxed);
    delete[] chunk;
  }
  for (auto& [stamp, frame] : retired_) delete frame;
}

Status PageCache::Corrupt(PageId id, const std::string& what) const {
  return absl::DataLossError(path_ + ": page " + std::to_string(id) + " (file offset " +
                             std::to_string(id * page_size_) + ") " + what);
}

std::unique_ptr<Frame> PageCache::NewFrame(PageId id, size_t bytes) const {
  return std::make_unique<Frame>(memory_, id, bytes);
}

Frame* PageCache::Find(PageId id) const {
  if (id / kChunkPages >= kChunksMax) return nullptr;
  Chunk* chunk = chunks_[id / kChunkPages].load(std::memory_order_acquire);
  if (chunk == nullptr) return nullptr;
  Frame* frame = chunk[id % kChunkPages].load(std::memory_order_acquire);
  if (frame != nullptr && !frame->recently_used.load(std::memory_order_relaxed)) {
    frame->recently_used.store(true, std::memory_order_relaxed);
  }
  return frame;
}

std::atomic<Frame*>& PageCache::Slot(PageId id) {
  CHECK_LT(id / kChunkPages, kChunksMax);
  std::atomic<Chunk*>& chunk = chunks_[id / kChunkPages];
  if (chunk.load(std::memory_order_acquire) == nullptr) {
    std::lock_guard lock(mutex_);
    if (chunk.load(std::memory_order_relaxed) == nullptr) {
      chunk.store(new Chunk[kChunkPages](), std::memory_order_release);
    }
  }
  return chunk.load(std::memory_order_acquire)[id % kChunkPages];
}

StatusOr<std::unique_ptr<Frame>> PageCache::ReadOwn(PageId id, PageId high_water) const {
  return ReadFrame(id, high_water, Wait::kForDisk);
}

// Most pages have no overflow: one read brings header and page.
StatusOr<std::unique_ptr<Frame>> PageCache::ReadFrame(PageId id, PageId high_water,
                                                      Wait wait) const {
  if (id < 2 || id >= high_water || id / kChunkPages >= kChunksMax)
    return Corrupt(id, "is referred to but cannot exist");
  if (file_ == nullptr) return Corrupt(id, "is referred to but was never made");
  const uint64_t offset = id * page_size_;
  auto read = [&](Frame& frame) {
    const std::span<char> into(frame.data, frame.bytes);
    return wait == Wait::kNever ? file_->ReadNow(offset, into) : file_->Read(offset, into);
  };
  std::unique_ptr<Frame> frame = NewFrame(id, page_size_);
  ASSIGN_OR_RETURN(size_t got, read(*frame));
  if (got < kPageHeaderBytes) return Corrupt(id, "lies beyond the end of the file");
  const uint64_t pages = uint64_t{frame->view().overflow()} + 1;
  if (id + pages > high_water || pages * page_size_ > kOverflowBytesMax)
    return Corrupt(id, "claims an impossible overflow");
  if (pages > 1 && got == frame->bytes) {
    // A hostile length must not take memory that the file does not have.
    ASSIGN_OR_RETURN(uint64_t file_bytes, file_->Size());
    if (offset + pages * page_size_ > file_bytes)
      return Corrupt(id, "reaches beyond the end of the file");
    frame = NewFrame(id, pages * page_size_);
    ASSIGN_OR_RETURN(got, read(*frame));
  }
  if (got < pages * page_size_) return Corrupt(id, "reaches beyond the end of the file");
  if (std::string problem = PageProblem(frame->data, frame->bytes, id); !problem.empty())
    return Corrupt(id, problem);
  frame->editor().Measure();
  return frame;
}

StatusOr<Frame*> PageCache::Load(PageId id, PageId high_water) {
  if (Frame* frame = Find(id)) return frame;
  ASSIGN_OR_RETURN(std::unique_ptr<Frame> frame, ReadFrame(id, high_water, Wait::kForDisk));
  return Keep(std::move(frame));
}

StatusOr<Frame*> PageCache::LoadNow(PageId id, PageId high_water) {
  if (Frame* frame = Find(id)) return frame;
  ASSIGN_OR_RETURN(std::unique_ptr<Frame> frame, ReadFrame(id, high_water, Wait::kNever));
  return Keep(std::move(frame));
}

Frame* PageCache::Keep(std::unique_ptr<Frame> frame) {
  std::atomic<Frame*>& slot = Slot(frame->id);
  std::lock_guard lock(mutex_);
  if (Frame* other = slot.load(std::memory_order_acquire))
    return other;  // somebody else was faster
  Frame* loaded = frame.release();
  loaded->evictable.store(true, std::memory_order_relaxed);
  slot.store(loaded, std::memory_order_release);
  bytes_.fetch_add(loaded->bytes, std::memory_order_relaxed);
  clock_.push_back(loaded->id);
  TidyClock();
  EvictOver(bytes_max_);
  return loaded;
}

Frame* PageCache::Add(std::unique_ptr<Frame> frame) {
  std::atomic<Frame*>& slot = Slot(frame->id);
  CHECK(slot.load(std::memory_order_relaxed) == nullptr)
      << "page " << frame->id << " is in memory already";
  bytes_.fetch_add(frame->bytes, std::memory_order_relaxed);
  Frame* added = frame.release();
  slot.store(added, std::memory_order_release);
  return added;
}

void PageCache::MarkClean(const std::vector<Frame*>& frames) {
  std::lock_guard lock(mutex_);
  for (Frame* frame : frames) {
    frame->evictable.store(true, std::memory_order_relaxed);
    // Who has read it since the writer made it is not known; whoever comes back will say so.
    frame->recently_used.store(false, std::memory_order_relaxed);
    clock_.push_back(frame->id);
  }
  TidyClock();
  EvictOver(bytes_max_);
}

void PageCache::Shrink() {
  if (bytes() <= bytes_max_) return;
  std::lock_guard lock(mutex_);
  EvictOver(bytes_max_);
}

void PageCache::Remove(PageId id) {
  std::atomic<Frame*>& slot = Slot(id);
  std::lock_guard lock(mutex_);
  Frame* frame = slot.exchange(nullptr, std::memory_order_acq_rel);
  if (frame != nullptr) Retire(frame);
  FreeRetired();
}

// REQUIRES: mutex_ held. A cache that never fills up meets no stale entry, so they are dropped here
// once they are many.
void PageCache::TidyClock() {
  if (clock_.size() < clock_tidy_at_) return;
  std::sort(clock_.begin(), clock_.end());
  clock_.erase(std::unique(clock_.begin(), clock_.end()), clock_.end());
  std::erase_if(clock_, [this](PageId id) {
    const Chunk* chunk = chunks_[id / kChunkPages].load(std::memory_order_relaxed);
    const Frame* frame = chunk[id % kChunkPages].load(std::memory_order_relaxed);
    return frame == nullptr || !frame->evictable.load(std::memory_order_relaxed);
  });
  clock_tidy_at_ = std::max<size_t>(4096, 2 * clock_.size());
}

// REQUIRES: mutex_ held. A page id stands in the clock at most as often as it became clean; entries
// whose frame has gone or is dirty again are dropped when the hand meets them.
void PageCache::EvictOver(uint64_t bytes_max) {
  size_t turns = clock_.size() * 2;
  while (bytes() > bytes_max && turns-- > 0 && !clock_.empty()) {
    const PageId id = clock_.front();
    clock_.pop_front();
    Chunk* chunk = chunks_[id / kChunkPages].load(std::memory_order_relaxed);
    Frame* frame = chunk[id % kChunkPages].load(std::memory_order_relaxed);
    if (frame == nullptr || !frame->evictable.load(std::memory_order_relaxed)) continue;
    if (frame->recently_used.exchange(false, std::memory_order_relaxed)) {
      clock_.push_back(id);
      continue;
    }
    chunk[id % kChunkPages].store(nullptr, std::memory_order_release);
    Retire(frame);
  }
  FreeRetired();
}

void PageCache::Retire(Frame* frame) {
  bytes_.fetch_sub(frame->bytes, std::memory_order_relaxed);
  retired_bytes_.fetch_add(frame->bytes, std::memory_order_relaxed);
  retired_.emplace_back(epochs_.Advance(), frame);
}

void PageCache::FreeRetired() {
  // Asking every reader has a price.
  if (retired_bytes() < kRetiredBytesMin) return;
  const uint64_t safe = epochs_.SafeEpoch();
  while (!retired_.empty() && retired_.front().first < safe) {
    retired_bytes_.fetch_sub(retired_.front().second->bytes, std::memory_order_relaxed);
    delete retired_.front().second;
    retired_.pop_front();
  }
}

}  // namespace quoin::btree
