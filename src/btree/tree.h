// Tree: a persistent copy-on-write B+tree in bbolt's file format (docs/formats/db.md), the member's
// data file.
//
// There are Tree (the file and its page cache), Writer (the one who changes it), Snapshot (a root
// that readers may walk), Cursor, and Image (a frozen root that is being written out: checkpoint or
// copy).
//
//   apply loop:    Writer ops … Publish()      → readers see them at once, the file does not yet
//   checkpoint loop:  Image of a published root   → the file has it after sync, meta page, sync
//
// Strictly copy-on-write: a page that readers or the file can reach is never changed. Pages come
// from the file through env::File into a bounded cache; dirty pages stay in memory until a
// checkpoint has written them. A page is reused once no reader (epochs) and no durable meta reaches
// it.
//
// Keys are bytes in bytewise order, values bytes; buckets are named top-level trees (no nesting).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/epoch.h"
#include "base/status.h"
#include "btree/free_pages.h"
#include "btree/meta.h"
#include "btree/page_cache.h"
#include "btree/relocator.h"
#include "env/blocking.h"
#include "env/executor.h"

namespace quoin::btree {

class Tree;

struct Options {
  // Pages kept in memory. Dirty ones are among them and stay beyond it, until checkpointed.
  uint64_t cache_bytes = 256 << 20;
  uint32_t page_size = 4096;             // of a new file; an existing one says its own
  bool read_only = false;                // tools: nothing is written, not even a new file
  std::vector<std::string> new_buckets;  // empty ones that a new file holds from its first moment
};

struct Stats {
  uint64_t file_bytes =
      0;  // high-water mark × page size of the published root, dirty pages included
  uint64_t in_use_bytes = 0;   // that minus free pages
  uint64_t dirty_bytes = 0;    // changed since the last checkpoint began
  uint64_t writing_bytes = 0;  // of the checkpoint under way
  uint64_t cache_bytes = 0;    // memory held by page frames, those that wait for readers included
};

// How a reader behaves when a page is not in memory.
enum class OnMiss : uint8_t {
  kLoad,  // read it, waiting for the disk
  // Read it if the kernel has it in memory, else fail with Unavailable: an I/O loop then hands the
  // work to an executor that may wait.
  kReport,
};

// Walks one bucket in key order. Keys and values point into pages: valid until the guard of the
// snapshot ends, or, for the writer's own cursors, until the writer's next change. Thread: one.
class Cursor {
 public:
  Cursor() = default;  // an empty bucket
  Cursor(PageCache& cache, PageId root, PageId high_water, OnMiss on_miss)
      : cache_(&cache), root_(root), high_water_(high_water), on_miss_(on_miss) {}

  // Each fails with DataLoss (file and offset in the text) when a page is malformed, or Unavailable
  // (OnMiss::kReport).
  Status SeekFirst();
  Status SeekLast();
  Status Seek(std::string_view key);  // to the first key ≥ `key`
  Status Next();
  Status Prev();
  bool Valid() const { return valid_; }
  std::string_view key() const { return Leaf().key(levels_[depth_ - 1].index); }
  std::string_view value() const { return Leaf().value(levels_[depth_ - 1].index); }

 private:
  struct Level {
    const Frame* frame;
    uint32_t index;
  };
  Level& Top() { return levels_[depth_ - 1]; }
  PageView Leaf() const { return levels_[depth_ - 1].frame->view(); }
  Status Push(PageId id);
  // From the deepest level's chosen child down to the first or last element there is, onwards or
  // backwards.
  Status DescendFirst();
  Status DescendLast();
  void ChooseLast();  // child or element of the deepest level
  // Goes up to the next branch that has a child in this direction, and chooses it.
  bool StepBranch(int direction);

  PageCache* cache_ = nullptr;
  PageId root_ = 0;
  PageId high_water_ = 0;
  OnMiss on_miss_ = OnMiss::kLoad;
  bool valid_ = false;
  int depth_ = 0;
  Level levels_[kDepthMax];
};

// What Publish makes visible: immutable, reclaimed through epochs.
struct PublishedRoot {
  uint64_t version = 0;
  PageId root = 0;
  PageId high_water = 0;
  std::vector<std::pair<std::string, PageId>> buckets;  // sorted by name
};

// A published root. Cheap value type; usable only while an EpochDomain::Guard that was entered
// BEFORE Tree::Current() lives, or while the Image it belongs to does.
class Snapshot {
 public:
  Snapshot(PageCache& cache, const PublishedRoot& published)
      : cache_(&cache), published_(&published) {}
  uint64_t version() const { return published_->version; }  // grows with every Publish
  StatusOr<std::optional<std::string_view>> Get(std::string_view bucket, std::string_view key,
                                                OnMiss on_miss) const;
  Cursor NewCursor(std::string_view bucket,
                   OnMiss on_miss) const;  // empty when the bucket is absent
  std::vector<std::string> Buckets() const;

 private:
  PageCache* cache_;
  const PublishedRoot* published_;
};

// The one who changes the tree. Changes are visible to its own reads at once, to others after
// Publish(). Thread: the apply loop.
class Writer {
 public:
  explicit Writer(Tree& tree);
  ~Writer();
  Status CreateBucket(std::string_view name);  // OK when it exists
  Status DeleteBucket(std::string_view name);
  // REQUIRES: key not empty and ≤ 32768 bytes. `key` and `value` do not point into this tree's
  // pages.
  Status Put(std::string_view bucket, std::string_view key, std::string_view value);
  Status Delete(std::string_view bucket, std::string_view key);  // OK when absent
  StatusOr<std::optional<std::string_view>> Get(std::string_view bucket, std::string_view key);
  Cursor NewCursor(std::string_view bucket);
  // In a file of few pages: changed buckets of one page move to lower free pages. They are written
  // anyway, and the file stays as small as it can. True: some moved. That wants a Publish, and
  // leaves places for more.
  bool LowerSmallBuckets();
  // Makes everything since the last Publish visible to readers, atomically.
  void Publish();

 private:
  friend class Tree;
  friend class Relocator;
  struct Bucket {
    PageId root = 0;  // 0: it is empty and has no page
    bool changed = false;
    Frame* tail = nullptr;  // its rightmost leaf, if this batch made it: appends go there straight
  };
  struct Step {
    Frame* frame;
    uint32_t index;
  };
  using Path = std::vector<Step>;

  void EnterBatch();
  Status OpenBuckets(PageId root);
  Bucket* FindBucket(std::string_view name);
  StatusOr<Frame*> Fetch(PageId id);
  Frame* NewFrame(uint16_t flags, size_t bytes);
  Frame* CopyOf(const Frame& frame);
  Frame* CopyTo(const Frame& frame, PageId id);
  // Moves page `id`, found by `key`, of up to `length_max` pages, to a free run in front of
  // `pivot`. Returns how many pages moved: 0 when it is not there any more or finds no run.
  // REQUIRES: id ≥ pivot.
  StatusOr<uint64_t> MovePage(const std::string& bucket, std::string_view key, PageId id,
                              PageId pivot, uint64_t length_max);
  // Walks to the leaf for `key`, making every page on the way this batch's own.
  Status Descend(Bucket& bucket, std::string_view key, Path& path);
  bool AppendToTail(Bucket& bucket, const Element& element);
  Status PutInto(Bucket& bucket, const Element& element);
  Status DeleteFrom(Bucket& bucket, std::string_view key);
  // A key below everything: separators on the left edge follow it down. False: a page was split,
  // descend again.
  bool LowerSeparators(Bucket& bucket, Path& path, std::string_view key);
  // After a removal near `key`: each separator becomes its child's first key again. bbolt finds a
  // child in its parent by that key when it writes; were it another, the child would stand there
  // twice.
  Status RaiseSeparators(Bucket& bucket, std::string key);
  void InsertAt(Bucket& bucket, Path& path, size_t level, size_t at,
                const std::vector<Element>& elements);
  void Split(Bucket& bucket, Path& path, size_t level, size_t at,
             const std::vector<Element>& elements);
  // Lays elements out on as many new pages as they need.
  std::vector<Frame*> BuildPages(uint16_t flags, const std::vector<Element>& elements,
                                 bool appending);
  Status Rebalance(Bucket& bucket, Path& path);
  StatusOr<bool> MergeWithSibling(Path& path, size_t level);
  Status CollapseRoot(Bucket& bucket);
  Status FreeSubtree(PageId id, int depth);
  bool LowerRoot(Bucket& bucket);

  Tree& tree_;
  EpochDomain::ReaderSlot slot_;
  std::optional<EpochDomain::Guard> guard_;  // during a batch: loaders of other threads may evict
  uint64_t batch_ = 1;
  std::map<std::string, Bucket, std::less<>> buckets_;
  Bucket directory_;  // the root tree: bucket name → root page
  bool changed_ = false;
};

// A frozen root: written out as a checkpoint, or read as a copy, while the writer goes on.
// Thread: made on the apply loop; read on one other executor.
class Image {
 public:
  Image(Tree& tree, PublishedRoot published, Meta meta);
  // High-water × page size: the length of a raw copy.
  uint64_t size_bytes() const { return meta_.high_water * meta_.page_size; }
  // For reading this root on the executor that reads the image.
  EpochDomain::ReaderSlot& slot() { return slot_; }

 private:
  friend class Tree;
  friend class CheckpointRun;
  friend class RawCopy;

  Tree& tree_;
  const PublishedRoot published_;
  const Meta meta_;
  EpochDomain::ReaderSlot slot_;
  // Checkpoints: what to write (ascending ids).
  std::vector<Frame*> frames_;
  PageId mark_before_ = 0;  // high-water mark of the meta before this one
  // Copies: the generation that was frozen, and which pages belong to the root.
  uint64_t generation_ = 0;
  std::vector<bool> reachable_;
};

// Reads a frozen copy from its first byte to its last: a bbolt file of image.size_bytes() that
// holds exactly this root (metas made for it, freelist absent, unreachable pages zero). Several may
// read one image. Pages that are not in memory are read past the cache. Thread: the executor that
// reads the image, which outlives it.
class RawCopy {
 public:
  explicit RawCopy(Image& image) : image_(image) {}
  // The next `n` bytes, whole pages; fewer at the end, none behind it.
  StatusOr<std::string> Next(size_t n);

 private:
  void CopyMeta(PageId id, char* to) const;
  Image& image_;
  PageId next_ = 0;
  PageId head_ = 0;     // of the pages that were copied last
  uint64_t pages_ = 0;  // that belong to it
};

struct CheckReport {
  std::vector<std::string> problems;  // each with page id and file offset; empty = sound
  uint64_t pages_reachable = 0;
  uint64_t pages_free = 0;
};

// The file, its page cache, and what is frozen of it.
// Thread: the apply loop, but for what says otherwise.
class Tree {
 public:
  // Opens, or makes, the file. Takes no lock (the caller locks the data directory). Walks every
  // reachable page once to rebuild the free set; a hostile or damaged file is refused with file and
  // offset, and nothing is changed on disk. A torn newer meta falls back to the older one.
  // read_only and no file: an empty tree in memory.
  static StatusOr<std::unique_ptr<Tree>> Open(env::BlockingFileSystem& files, std::string path,
                                              const Options& options);
  ~Tree();
  // Whether the file has a valid meta page. What has none is no data file, or was never one.
  static StatusOr<bool> IsDataFile(env::BlockingFileSystem& files, const std::string& path);

  EpochDomain& epochs() { return epochs_; }
  uint32_t page_size() const { return page_size_; }
  // The newest published root. Thread: any; see Snapshot for what keeps it alive.
  Snapshot Current() const {
    return Snapshot(*cache_, *published_.load(std::memory_order_acquire));
  }
  Writer& writer() { return *writer_; }
  Stats stats() const;  // thread: any
  // Changed pages that are not on disk, those of the batch under way included.
  uint64_t unwritten_bytes() const { return dirty_bytes_ + writing_bytes_; }

  // --- checkpoints: apply loop begins, checkpoint loop runs, apply loop ends ---
  // Freezes the newest published root. nullptr when nothing changed since the last one, or one is
  // under way.
  std::unique_ptr<Image> BeginCheckpoint();
  // Writes the dirty pages in slices of ≤ 1 MiB, `pace` between two slices (0 = none), then sync,
  // meta, sync. `done` on `storage`. An error means the process must end.
  void RunCheckpoint(Image& image, env::Executor& storage, env::Duration pace,
                     env::DoneStatus done);
  void HurryCheckpoint() { hurry_.store(true); }     // apply loop: the rest without pauses
  void EndCheckpoint(std::unique_ptr<Image> image);  // apply loop, after done(OK)
  // Waits: for recovery, clean stop and tools. REQUIRES: no checkpoint under way.
  Status CheckpointNow();

  // A frozen root for copying (Snapshot RPC, MsgSnap, Hash); any number of them, next to a
  // checkpoint. While it lives, no page it reaches is reused. Each takes a slot of the epoch
  // domain. Thread: apply makes and releases it, another reads it.
  std::unique_ptr<Image> Freeze();
  void Thaw(std::unique_ptr<Image> image);
  Snapshot SnapshotOf(const Image& image) const { return Snapshot(*cache_, image.published_); }

  // --- giving space back: apply loop, between batches ---
  // Moves about `pages_max` pages from the end of the file to free places nearer its start. The
  // file is cut once both durable metas have the lower mark.
  StatusOr<Relocation> RelocateSlice(size_t pages_max) { return relocator_->Slice(pages_max); }
  // Another one goes on with this: whatever was noted about the tree is forgotten.
  void RestartRelocation() { relocator_->Restart(); }

  // Structure check of the newest published root: every page reachable once or free, keys in order
  // and within their parent's bounds, types and counts plausible. Thread: the apply loop, or nobody
  // else's change under way.
  CheckReport Check();

 private:
  friend class Writer;
  friend class Image;
  friend class CheckpointRun;
  friend class Relocator;
  friend class RawCopy;
  Tree(std::string path, const Options& options);

  Status CreateFile(env::BlockingFileSystem& files);
  Status ReadMetas();
  Status WalkAndCollectFree();
  Status ConvertInlineBuckets(const std::vector<std::pair<std::string, std::string>>& buckets);
  PageId Allocate(uint64_t pages);
  // The writer does not need this page any more: it becomes reusable when nobody can reach it.
  void FreeFrame(Frame* frame);
  void AddDirty(Frame* frame);
  void DropDirty(Frame* frame);
  void PublishRoot(std::unique_ptr<PublishedRoot> published);
  void CollectFree();
  bool IsFrozen(const PageRun& run) const;
  void HoldForFrozen(PageRun run);
  std::vector<bool> ReachableNow() const;
  void UpdateStats();
  Meta NextMeta() const;
  static uint64_t MetaPageOf(uint64_t txid) { return txid % 2; }

  const std::string path_;
  const Options options_;
  uint32_t page_size_ = 0;
  std::unique_ptr<env::File> file_;
  EpochDomain epochs_;
  std::unique_ptr<PageCache> cache_;
  FreePages free_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Relocator> relocator_;
  std::atomic<const PublishedRoot*> published_{nullptr};
  std::deque<std::pair<uint64_t, const PublishedRoot*>> old_roots_;

  // Writer's:
  PageId high_water_ = 0;
  uint64_t generation_ = 1;  // grows with every frozen image
  std::vector<Frame*> dirty_;
  uint64_t dirty_bytes_ = 0;
  uint64_t writing_bytes_ = 0;
  std::vector<PageRun>
      freed_in_batch_;         // made after the last image froze: only readers may reach them
  std::vector<PageRun> held_;  // the durable meta or an image may reach them
  std::vector<PageRun> held_by_checkpoint_;  // free once the checkpoint under way is durable
  uint64_t held_pages_ = 0;                  // of both
  std::vector<PageRun> held_for_frozen_;     // durable metas do not reach them, a frozen copy does
  uint64_t held_for_frozen_pages_ = 0;
  bool checkpointing_ = false;
  std::set<uint64_t> frozen_;     // generations: a copy reaches pages of up to its own
  uint64_t durable_version_ = 0;  // version of the root that the newest meta has

  // Storage loop during a checkpoint, writer otherwise:
  Meta durable_;
  Meta durable_before_;
  uint64_t durable_page_ = 0;  // which meta page holds durable_
  uint64_t file_bytes_ = 0;

  std::atomic<uint64_t> stat_file_bytes_{0}, stat_in_use_bytes_{0}, stat_dirty_bytes_{0},
      stat_writing_bytes_{0};
  std::atomic<bool> hurry_{false};  // said by the apply loop, asked by the checkpoint loop
};

// The check for a file that may be anything (tools, fuzzing): never crashes, loops or allocates
// beyond the file's size.
CheckReport CheckFile(env::BlockingFileSystem& files, const std::string& path);

}  // namespace quoin::btree
