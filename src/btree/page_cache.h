// PageCache: the frames that hold page images in memory, found by page id without a lock.
//
// Readers look a page up inside an epoch guard (one atomic load) and may use the frame until the
// guard ends. Clean frames are evicted when there are too many (CLOCK); dirty ones stay until the
// tree says that they are on disk.
//
// Thread: Find, LoadNow — any, within a guard; Load — any that may wait for the disk; everything
// else — the writer (apply loop), except where it says otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/epoch.h"
#include "base/status.h"
#include "btree/page.h"
#include "btree/page_memory.h"
#include "env/blocking.h"

namespace quoin::btree {

// One page image in memory, overflow pages included. Immutable once a published root reaches it.
struct Frame {
  Frame(PageMemory& memory, PageId id, size_t bytes);
  ~Frame();
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  PageView view() const { return PageView(data); }
  PageEditor editor() { return PageEditor(data, bytes, free_upper, garbage); }

  PageMemory& memory;
  const PageId id;
  const size_t bytes;
  char* const data;
  uint32_t free_upper = 0;
  uint32_t garbage = 0;

  // The writer's:
  uint64_t batch = 0;  // made (and mutable) in this batch of the writer
  uint64_t generation =
      0;  // images frozen before it was made cannot reach it; 0 = came from the file
  size_t dirty_at = SIZE_MAX;  // place in the list of dirty frames; SIZE_MAX = clean

  std::atomic<bool> evictable{false};  // clean; never goes back
  std::atomic<bool> recently_used{true};
};

class PageCache {
 public:
  PageCache(EpochDomain& epochs, std::string path, env::BlockingFile* file, uint32_t page_size,
            uint64_t bytes_max);
  ~PageCache();

  // Of whole pages; their bytes are to be filled in. Does not outlive the cache. Thread: any.
  std::unique_ptr<Frame> NewFrame(PageId id, size_t bytes) const;
  // nullptr when the page is not in memory.
  Frame* Find(PageId id) const;
  // Finds it or reads and validates it. DataLoss with file and offset when it cannot be what it
  // should be. `high_water` bounds overflow. Call within a guard (the frame may be evicted after
  // it).
  StatusOr<Frame*> Load(PageId id, PageId high_water);
  // The same, but Unavailable instead of waiting for the disk. Thread: any.
  StatusOr<Frame*> LoadNow(PageId id, PageId high_water);

  // Reads and validates a page into a frame of the caller's own: for walks over whole files, which
  // must not fill the cache. Dirty pages are not seen (Find first).
  StatusOr<std::unique_ptr<Frame>> ReadOwn(PageId id, PageId high_water) const;

  // Takes a frame that the writer made. Not evictable until MarkClean.
  Frame* Add(std::unique_ptr<Frame> frame);
  // The frames are on disk now: they may be evicted.
  void MarkClean(const std::vector<Frame*>& frames);
  // The page is gone for everyone: drops its frame once no reader can be in it.
  void Remove(PageId id);

  // Drops clean frames while there are more bytes than bytes_max, dirty ones included.
  void Shrink();

  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  // Of frames that are found no more, and wait for readers.
  uint64_t retired_bytes() const { return retired_bytes_.load(std::memory_order_relaxed); }
  uint32_t page_size() const { return page_size_; }
  Status Corrupt(PageId id, const std::string& what) const;

 private:
  static constexpr size_t kChunkPages = 4096;
  static constexpr size_t kChunksMax = 1 << 17;
  using Chunk = std::atomic<Frame*>;

  enum class Wait : uint8_t { kForDisk, kNever };
  StatusOr<std::unique_ptr<Frame>> ReadFrame(PageId id, PageId high_water, Wait wait) const;
  Frame* Keep(std::unique_ptr<Frame> frame);
  std::atomic<Frame*>& Slot(PageId id);
  void EvictOver(uint64_t bytes_max);
  void TidyClock();
  void Retire(Frame* frame);
  void FreeRetired();

  EpochDomain& epochs_;
  const std::string path_;
  env::BlockingFile* const file_;  // null: nothing is on disk
  const uint32_t page_size_;
  const uint64_t bytes_max_;
  mutable PageMemory memory_;
  std::unique_ptr<std::atomic<Chunk*>[]> chunks_;
  std::atomic<uint64_t> bytes_{0};

  std::mutex mutex_;          // guards the rest: loading and evicting happen on several executors
  std::deque<PageId> clock_;  // clean frames, in CLOCK order
  size_t clock_tidy_at_ = 4096;
  std::deque<std::pair<uint64_t, Frame*>> retired_;  // stamp, frame
  std::atomic<uint64_t> retired_bytes_{0};
};

}  // namespace quoin::btree
