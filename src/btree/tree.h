// Tree: a persistent copy-on-write B+tree in bbolt's file format (docs/formats/db.md), the member's data file.
//
// There are Tree (the file and its page cache), Writer (the one who changes it), Snapshot (a root that readers may
// walk), Cursor, and Image (a frozen root that is being written out: checkpoint or copy).
//
//   apply loop:    Writer ops … Publish()      → readers see them at once, the file does not yet
//   storage loop:  Image of a published root   → the file has it after sync, meta page, sync
//
// Strictly copy-on-write: a page that readers or the file can reach is never changed. Pages come from the file through
// env::File into a bounded cache; dirty pages stay in memory until a checkpoint has written them. A page is reused
// once no reader (epochs) and no durable meta reaches it.
//
// Keys are bytes in bytewise order, values bytes; buckets are named top-level trees (no nesting).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "base/epoch.h"
#include "base/status.h"
#include "env/blocking.h"
#include "env/executor.h"

namespace quoin::btree {

using PageId = uint64_t;

struct Options {
  uint64_t cache_bytes = 256 << 20;  // clean pages kept; dirty ones come on top until checkpointed
  uint32_t page_size = 4096;         // of a new file; an existing one says its own
  bool read_only = false;            // tools: nothing is written, not even a new file
};

struct Stats {
  uint64_t file_bytes = 0;    // high-water mark × page size of the published root, dirty pages included
  uint64_t in_use_bytes = 0;  // that minus free pages
  uint64_t dirty_bytes = 0;   // not yet checkpointed
  uint64_t cache_bytes = 0;   // memory held by page frames
};

// How a reader behaves when a page is not in memory.
enum class OnMiss : uint8_t {
  kLoad,    // read it, waiting for the disk
  kReport,  // fail with Unavailable: an I/O loop then hands the work to an executor that may wait
};

// Walks one bucket in key order. Keys and values point into pages: valid until the guard of the snapshot ends, or,
// for the writer's own cursors, until the writer's next change.
// Thread: one.
class Cursor {
 public:
  // Each fails with DataLoss (file and offset in the text) when a page is malformed, or Unavailable (OnMiss::kReport).
  Status SeekFirst();
  Status SeekLast();
  Status Seek(std::string_view key);  // to the first key ≥ `key`
  Status Next();
  Status Prev();
  bool Valid() const;
  std::string_view key() const;
  std::string_view value() const;
};

// A published root. Cheap value type; usable only while an EpochDomain::Guard that was entered BEFORE Tree::Current()
// lives (short reads), or while a Tree::Pin lives.
class Snapshot {
 public:
  uint64_t version() const;  // grows with every Publish
  StatusOr<std::optional<std::string_view>> Get(std::string_view bucket, std::string_view key, OnMiss on_miss) const;
  Cursor NewCursor(std::string_view bucket, OnMiss on_miss) const;  // empty when the bucket is absent
  std::vector<std::string> Buckets() const;
};

// The one who changes the tree. Changes are visible to its own reads at once, to others after Publish().
// Thread: the apply loop.
class Writer {
 public:
  Status CreateBucket(std::string_view name);  // OK when it exists
  Status DeleteBucket(std::string_view name);
  Status Put(std::string_view bucket, std::string_view key, std::string_view value);
  Status Delete(std::string_view bucket, std::string_view key);  // OK when absent
  StatusOr<std::optional<std::string_view>> Get(std::string_view bucket, std::string_view key);
  Cursor NewCursor(std::string_view bucket);
  // Makes everything since the last Publish visible to readers, atomically.
  void Publish();
};

// A frozen root, written out page by page by the storage loop while the writer goes on.
// Thread: made on the apply loop; Run* on the storage loop.
class Image {
 public:
  virtual ~Image() = default;
  uint64_t size_bytes() const;  // high-water × page size: the length of a raw copy
  // Raw copy for snapshots: bytes [offset, offset+n) of a bbolt file of size_bytes() that holds exactly this root
  // (metas made for it, freelist absent, unreachable pages zero). n and offset are multiples of the page size.
  StatusOr<std::string> ReadRaw(uint64_t offset, size_t n);
};

struct CheckReport {
  std::vector<std::string> problems;  // each with page id and file offset; empty = sound
  uint64_t pages_reachable = 0;
  uint64_t pages_free = 0;
};

class Tree {
 public:
  // Opens, or makes, the file. Takes no lock (the caller locks the data directory). Walks every reachable page once to
  // rebuild the free set; a hostile or damaged file is refused with file and offset, and nothing is changed on disk.
  // A torn newer meta falls back to the older one.
  static StatusOr<std::unique_ptr<Tree>> Open(env::BlockingFileSystem& files, std::string path, const Options& options);
  ~Tree();

  EpochDomain& epochs();
  // The newest published root. Thread: any; see Snapshot for what keeps it alive.
  Snapshot Current() const;
  Writer& writer();
  Stats stats() const;  // thread: any

  // --- checkpoints: apply loop begins, storage loop runs, apply loop ends ---
  // Freezes the newest published root. nullptr when nothing changed since the last one, or one is under way.
  std::unique_ptr<Image> BeginCheckpoint();
  // Writes the dirty pages in slices of ≤ 1 MiB, `pace` between two slices (0 = none), then sync, meta, sync. `done`
  // on `storage`. An error means the process must end.
  void RunCheckpoint(Image& image, env::Executor& storage, env::Duration pace, env::DoneStatus done);
  void EndCheckpoint(std::unique_ptr<Image> image);  // apply loop, after done(OK)
  // Waits: for recovery, clean stop and tools.
  Status CheckpointNow();

  // A frozen root for copying (Snapshot RPC, MsgSnap, Hash). At most one at a time next to a checkpoint; nullptr when
  // one exists. While it lives, no page it reaches is reused. Thread: apply makes and releases it, storage reads it.
  std::unique_ptr<Image> Freeze();
  void Thaw(std::unique_ptr<Image> image);
  Snapshot SnapshotOf(const Image& image) const;

  // --- giving space back: apply loop, between batches ---
  // Moves up to `pages_max` pages from the end of the file to free places nearer its start; returns how many moved
  // (0 = the file cannot shrink further). The file is truncated after two durable metas have the lower mark.
  StatusOr<size_t> RelocateSlice(size_t pages_max);

  // Structure check of the newest published root: every page reachable once or free, keys in order and within their
  // parent's bounds, types and counts plausible. Thread: any executor that may wait.
  CheckReport Check();
};

// The check for a file that may be anything (tools, fuzzing): never crashes, loops or allocates beyond the file's size.
CheckReport CheckFile(env::BlockingFileSystem& files, const std::string& path);

}  // namespace quoin::btree
