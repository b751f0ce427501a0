// mvcc: keys with revisions over the tree. internals: shared contract with etcd in
// docs/formats/db.md and docs/design (revisions, generations, compaction, hash).
//
// There are Store, WriteTxn (apply loop), View (what a reader or a transaction sees), RangeQuery.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/epoch.h"
#include "base/shared_bytes.h"
#include "base/status.h"
#include "btree/tree.h"
#include "mvcc/key_index.h"
#include "mvcc/read_pins.h"

namespace quoin::mvcc {

class Store;

// A place in history: one main revision per mutating transaction, sub-revisions within it.
struct Revision {
  int64_t main = 0;
  int64_t sub = 0;
  friend auto operator<=>(const Revision&, const Revision&) = default;
};

// One live key as a reader finds it. `record` is the wire form of mvccpb.KeyValue as stored;
// decoded fields beside it.
struct KeyValue {
  std::string_view key;
  std::string_view value;
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  int64_t version = 0;
  int64_t lease = 0;
  std::string_view record;  // empty when only the index was read
  Revision at;              // where the record stands in bucket `key`
  uint32_t record_bytes = 0;
};

enum class SortOrder : uint8_t { kNone = 0, kAscend = 1, kDescend = 2 };
enum class SortTarget : uint8_t { kKey = 0, kVersion = 1, kCreate = 2, kMod = 3, kValue = 4 };

// etcd's RangeRequest. `range_end` by etcd's convention: empty = the key alone, "\0" = everything ≥
// key.
struct RangeQuery {
  std::string_view key;
  std::string_view range_end;
  int64_t limit = 0;     // ≤ 0 = none
  int64_t revision = 0;  // ≤ 0 = the view's own
  SortOrder order = SortOrder::kNone;
  SortTarget target = SortTarget::kKey;
  bool keys_only = false;
  bool count_only = false;
  bool want_count = true;  // false: count is not computed beyond what was visited (streamed chunks)
  int64_t min_mod_revision = 0, max_mod_revision = 0;
  int64_t min_create_revision = 0, max_create_revision = 0;
};

// Whether the query's bounds on revisions admit this key.
bool PassesFilters(const RangeQuery& query, const KeyValue& kv);

// What one slice of reading may still look at. Value type; counts down.
struct ReadBudget {
  size_t keys = SIZE_MAX;   // of the index, dead ones included
  size_t bytes = SIZE_MAX;  // of records, as the reader says
  bool spent() const { return keys == 0 || bytes == 0; }
  void Take(size_t record_bytes) { bytes -= std::min(bytes, record_bytes); }
};

struct RangeResult {
  std::vector<KeyValue> kvs;  // point into pages and index nodes: valid as long as the view
  bool more = false;
  int64_t count = 0;
};

// What one moment of the store looks like. Value type.
// Thread: the one that made it, within its epoch guard.
class View {
 public:
  int64_t revision() const { return revision_; }                  // the store's current revision
  int64_t compact_revision() const { return compact_revision_; }  // −1 = never compacted
  // Every option of etcd's Range, in etcd's order of filter, sort, limit. Errors: OutOfRange with
  // etcd's two texts (compacted, future), Unavailable when a page is missing and on_miss is
  // kReport, DataLoss.
  StatusOr<RangeResult> Range(const RangeQuery& query) const;
  // The same within `budget`, which it uses up: keys of the index that are looked at, bytes of what
  // the result holds or its order needs, 640 at least for a record. nullopt: it takes more.
  StatusOr<std::optional<RangeResult>> RangeWithin(const RangeQuery& query,
                                                   ReadBudget& budget) const;
  // Live keys of an interval in key order, from the index alone (value and record are empty, lease
  // is 0); stops when `visit` returns false.
  void VisitKeys(std::string_view key, std::string_view range_end, int64_t at_revision,
                 absl::FunctionRef<bool(const KeyValue&)> visit) const;
  // The same, but looks at no more than `keys_max` keys of the index, dead ones included. The key
  // to go on from; nullopt when there are no more, or `visit` returned false.
  std::optional<std::string> VisitSlice(std::string_view key, std::string_view range_end,
                                        int64_t at_revision, size_t keys_max,
                                        absl::FunctionRef<bool(const KeyValue&)> visit) const;
  // … and stops when `budget` is spent. Of its bytes `visit` takes what it reads.
  std::optional<std::string> VisitSlice(std::string_view key, std::string_view range_end,
                                        int64_t at_revision, ReadBudget& budget,
                                        absl::FunctionRef<bool(const KeyValue&)> visit) const;
  // Whether Range(query) looks at no more than `budget`, which it uses up, as far as the index
  // tells. True for what cannot be read: an error is small.
  bool Fits(const RangeQuery& query, ReadBudget& budget) const;
  // Reads the record that `kv.at` names and fills in value, lease and record.
  Status Fill(KeyValue& kv) const;
  // The revision that a query means, or why it cannot be read.
  StatusOr<int64_t> ResolveRevision(int64_t revision) const;
  // For a caller who reads at `revision` in several guards without a pin: a compaction may have
  // passed it meanwhile. Within one guard nothing is removed that the view can read.
  Status StillReadable(int64_t revision) const;
  // Keeps `revision`, which this view can read, readable in later guards.
  std::unique_ptr<ReadPins::Pin> PinRevision(int64_t revision, ReadPins::Time now) const;

 private:
  friend class Store;
  friend class WriteTxn;
  View(const Store& store, int64_t revision, int64_t compact_revision,
       std::optional<btree::Snapshot> snapshot, btree::OnMiss on_miss)
      : store_(&store),
        revision_(revision),
        compact_revision_(compact_revision),
        snapshot_(snapshot),
        on_miss_(on_miss) {}

  Status FillAll(std::vector<KeyValue>& kvs) const;

  const Store* store_;
  int64_t revision_;
  int64_t compact_revision_;
  std::optional<btree::Snapshot> snapshot_;  // absent: the writer's own view
  btree::OnMiss on_miss_;
};

// A change of the store, as watchers want it.
struct Event {
  enum class Type : uint8_t { kPut = 0, kDelete = 1 };
  Type type;
  Revision at;
  SharedBytes record;  // wire form of mvccpb.KeyValue; for a delete: key and mod_revision
};

// One mutating transaction: all its changes share revision main = previous + 1. Begin, change, End.
// Thread: the apply loop; at most one alive.
class WriteTxn {
 public:
  WriteTxn(WriteTxn&& other) noexcept;
  ~WriteTxn();
  // REQUIRES for all: non-empty key. Errors are disk errors (DataLoss) only.
  // Stores a new version of `key`. create_revision and version follow from the index.
  StatusOr<Revision> Put(std::string_view key, std::string_view value, int64_t lease);
  // Deletes the live keys of the interval, in key order; returns how many.
  StatusOr<int64_t> DeleteRange(std::string_view key, std::string_view range_end);
  // Sees the transaction's own changes; its revision() is the previous one before the first change,
  // then the new one.
  View view() const;
  // Ends the transaction; returns its main revision if anything changed, else the unchanged current
  // revision.
  int64_t End();
  bool changed() const { return sub_ > 0; }

 private:
  friend class Store;
  explicit WriteTxn(Store& store) : store_(&store) {}
  Status Delete(std::string_view key);

  Store* store_;
  int64_t sub_ = 0;  // the next sub-revision
};

// Which past changes a reader wants: those of an interval of keys, from a revision on.
struct HistoryQuery {
  std::string_view key, range_end;  // as in RangeQuery
  int64_t from = 0;
  // Where a slice ends; whole revisions, at least one.
  size_t records_max = 10000;  // looked at
  size_t revisions_max = 1000;
  size_t bytes_max = 4 << 20;
};
struct HistorySlice {
  std::vector<Event> events;  // ascending
  int64_t next = 0;           // everything below was looked at
};

struct HashResult {
  uint32_t hash = 0;
  int64_t compact_revision = 0;
  int64_t hash_revision = 0;
  int64_t current_revision = 0;
};

// The key-value store: index, pages, revisions. See each group below for its thread.
// Thread: the apply loop, but for what says otherwise.
class Store {
 public:
  // Scans bucket `key`, rebuilds the index (generations, versions, tombstones), takes up an
  // interrupted compaction. `on_live_lease(key, lease)` is called for each live key that has a
  // lease.
  static StatusOr<std::unique_ptr<Store>> Open(
      btree::Tree& tree,
      absl::FunctionRef<void(std::string_view key, int64_t lease)> on_live_lease);

  // --- readers: any thread, within a guard of the tree's EpochDomain that was entered before ---
  View Current(btree::OnMiss on_miss) const;
  int64_t current_revision() const { return published_revision_.load(); }
  int64_t compact_revision() const { return compact_revision_.load(std::memory_order_acquire); }

  // --- the apply loop ---
  WriteTxn Begin();
  // Events of every End() since the last call, for watchers; collected only when asked for.
  void set_collect_events(bool collect) { collect_events_ = collect; }
  std::vector<Event> TakeEvents() { return std::exchange(events_, {}); }
  // Makes what was applied visible to readers: Tree::Publish, then the revision.
  void Publish();

  // Compaction, step 1 at apply: checks `revision` (OutOfRange, etcd's texts) and records
  // scheduledCompactRev.
  Status ScheduleCompaction(int64_t revision);
  // Step 2, between batches: looks at at most `revisions_max` records of the pending compaction and
  // deletes the superseded ones, in tree and index; true when none is pending any more
  // (finishedCompactRev written, hash kept). Does nothing while somebody reads below its revision.
  // REQUIRES: step 1 has been published.
  StatusOr<bool> CompactionSlice(size_t revisions_max);
  bool compaction_pending() const { return !pending_.empty(); }
  // Whether the next slice would find readers below the pending compaction: those in a guard that
  // they entered before step 1 was published, and pins.
  bool ReadersBelowCompaction();
  // Revokes the pins that the pending compaction waits for, and which made no progress since then.
  void RevokePins(ReadPins::Time touched_before);

  // --- any thread, within a guard that was entered before ---
  // The changes of an interval up to the current revision. OutOfRange (etcd's text) when `from` has
  // been compacted.
  StatusOr<HistorySlice> ReadHistory(const HistoryQuery& query, btree::OnMiss on_miss) const;
  // The record of `key` as it was before `revision`; empty when it was absent, or that has been
  // compacted.
  StatusOr<std::string> RecordBefore(std::string_view key, int64_t revision,
                                     btree::OnMiss on_miss) const;

  // --- any thread that may wait for the disk; enters guards of `slot` itself, in slices ---
  // HashKV exactly as etcd computes it (hashes of the last ten compactions are remembered).
  // revision 0 = current.
  StatusOr<HashResult> HashByRevision(int64_t revision, EpochDomain::ReaderSlot& slot) const;
  // The remembered ones, newest first.
  std::vector<HashResult> CompactionHashes() const;

 private:
  friend class View;
  friend class WriteTxn;
  friend class HashRun;
  // A compaction under way: where it is, and the hash of what it has seen.
  struct PendingCompaction {
    int64_t revision = 0;
    int64_t previous = 0;       // compact revision before it
    bool hash_is_whole = true;  // false when it was taken up after a restart
    bool skips_unkept = true;   // etcd's rule needs at least one kept record
    std::string next_key;       // of bucket `key`
    uint32_t crc = 0;
    // Readers who entered a guard later see the compaction, and read at its revision or above.
    std::optional<uint64_t> visible_since;
    bool removes = false;  // nobody reads below it any more
  };
  explicit Store(btree::Tree& tree) : tree_(tree), writer_(tree.writer()), index_(tree.epochs()) {}
  Status Restore(absl::FunctionRef<void(std::string_view key, int64_t lease)> on_live_lease);
  Status RestoreRecord(std::string_view key, std::string_view value);
  Status RestoreCompaction();
  bool AnyKept(int64_t revision) const;
  Status CompactRecord(PendingCompaction& compaction, Revision at, bool tombstone,
                       std::string_view key, std::string_view value,
                       std::vector<std::string>& doomed);
  Status FinishCompaction(PendingCompaction& compaction);
  std::optional<HashResult> StoredHash(int64_t revision) const;

  btree::Tree& tree_;
  btree::Writer& writer_;
  KeyIndex index_;
  int64_t revision_ = 1;  // the apply loop's, ahead of the published one during a batch
  std::atomic<int64_t> published_revision_{1};
  std::atomic<int64_t> compact_revision_{-1};
  std::deque<PendingCompaction> pending_;
  mutable ReadPins pins_;
  bool collect_events_ = false;
  std::vector<Event> events_;
  std::string scratch_;

  mutable std::mutex
      hashes_mutex_;  // the compaction's thread writes, hashing threads read; held for a copy only
  std::deque<HashResult> hashes_;  // of the last compactions, oldest first
};

// HashKV in slices. Begins anew when a compaction comes meanwhile.
// Thread: one at a time that may wait for the disk; `store` outlives it.
class HashRun {
 public:
  HashRun(const Store& store, int64_t revision) : store_(store), revision_(revision) {}
  // Within a guard of `slot`. True: result() is what HashByRevision returns.
  StatusOr<bool> Slice(EpochDomain::ReaderSlot& slot);
  const HashResult& result() const { return result_; }

 private:
  StatusOr<bool> Begin();
  StatusOr<bool> Add(std::string_view key, std::string_view value);
  bool IsKept(std::string_view key, Revision at) const;

  const Store& store_;
  const int64_t revision_;  // as asked
  HashResult result_;
  std::string next_key_;  // of bucket `key`; empty: not begun
  uint32_t crc_ = 0;
  bool any_kept_ = false;
};

// What each member has of its own in bucket meta: consistent_index, term, storageVersion.
enum class Volatile : uint8_t { kSkipped, kHashed };

// CRC-32C over every bucket of a frozen root in name order, in slices (Maintenance.Hash skips what
// is volatile, snapshot status does not). Thread: the one that reads the image; it may wait for the
// disk. Tree and image outlive it.
class TreeHashRun {
 public:
  TreeHashRun(btree::Tree& tree, btree::Image& image, Volatile skipped);
  StatusOr<bool> Slice();  // true: hash() is complete
  uint32_t hash() const { return hash_; }

 private:
  btree::Tree& tree_;
  btree::Image& image_;
  const Volatile skipped_;
  const std::vector<std::string> buckets_;
  size_t bucket_at_ = 0;
  std::string next_key_;  // empty: the bucket is not begun
  uint32_t hash_ = 0;
};
StatusOr<uint32_t> HashWholeTree(btree::Tree& tree, btree::Image& image, Volatile skipped);

// Bucket `key`: 8 bytes main, '_', 8 bytes sub; tombstones have a 't' behind.
std::string RevisionKey(Revision at, bool tombstone);
struct ParsedRevisionKey {
  Revision at;
  bool tombstone = false;
};
std::optional<ParsedRevisionKey> ParseRevisionKey(std::string_view key);

// mvccpb.KeyValue as Go writes it: ascending fields, zeros left out.
void EncodeRecord(const KeyValue& kv, std::string& out);
// Fills key, value, revisions, version, lease; false when malformed.
bool DecodeRecord(std::string_view record, KeyValue& kv);

}  // namespace quoin::mvcc
