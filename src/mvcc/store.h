// mvcc: keys with revisions over the tree. internals: shared contract with etcd in docs/formats/db.md and
// docs/design (revisions, generations, compaction, hash).
//
// There are Store, WriteTxn (apply loop), View (what a reader or a transaction sees), RangeQuery, Compactor.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/epoch.h"
#include "base/status.h"
#include "base/strong_int.h"
#include "btree/tree.h"

namespace quoin::mvcc {

// A place in history: one main revision per mutating transaction, sub-revisions within it.
struct Revision {
  int64_t main = 0;
  int64_t sub = 0;
  friend auto operator<=>(const Revision&, const Revision&) = default;
};

// One live key as a reader finds it. `record` is the wire form of mvccpb.KeyValue as stored; decoded fields beside it.
struct KeyValue {
  std::string_view key;
  std::string_view value;
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  int64_t version = 0;
  int64_t lease = 0;
  std::string_view record;  // empty when only the index was read (keys_only)
};

enum class SortOrder : uint8_t { kNone = 0, kAscend = 1, kDescend = 2 };
enum class SortTarget : uint8_t { kKey = 0, kVersion = 1, kCreate = 2, kMod = 3, kValue = 4 };

// etcd's RangeRequest. `range_end` by etcd's convention: empty = the key alone, "\0" = everything ≥ key.
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

struct RangeResult {
  std::vector<KeyValue> kvs;  // point into pages and index nodes: valid as long as the view
  bool more = false;
  int64_t count = 0;
};

// What one moment of the store looks like. Value type.
// Thread: the one that made it, within its epoch guards.
class View {
 public:
  int64_t revision() const;          // the store's current revision
  int64_t compact_revision() const;  // −1 = never compacted
  // Every option of etcd's Range, in etcd's order of filter, sort, limit. Errors: OutOfRange with etcd's two texts
  // (compacted, future), Unavailable when a page is missing and on_miss is kReport, DataLoss.
  StatusOr<RangeResult> Range(const RangeQuery& query) const;
  // Live keys of an interval in key order, index only (no values read); stops when `visit` returns false.
  void VisitKeys(std::string_view key, std::string_view range_end, int64_t at_revision,
                 absl::FunctionRef<bool(const KeyValue&)> visit) const;
  // The stored record at a revision; nullopt when there is none.
  StatusOr<std::optional<std::string_view>> Record(Revision at) const;
};

// A change of the store, as watchers want it.
struct Event {
  enum class Type : uint8_t { kPut = 0, kDelete = 1 };
  Type type;
  Revision at;
  SharedBytes record;  // wire form of mvccpb.KeyValue; for a delete: key and mod_revision
  std::string_view key() const;  // points into record
};

// One mutating transaction: all its changes share revision main = previous + 1. Begin, change, End.
// Thread: the apply loop; at most one alive.
class WriteTxn {
 public:
  ~WriteTxn();
  // REQUIRES for all: non-empty key. Errors are disk errors (DataLoss) only.
  // Stores a new version of `key`. create_revision and version follow from the index.
  StatusOr<Revision> Put(std::string_view key, std::string_view value, int64_t lease);
  // Deletes the live keys of the interval, in key order; returns how many.
  StatusOr<int64_t> DeleteRange(std::string_view key, std::string_view range_end);
  // Sees the transaction's own changes; its revision() is the previous one before the first change, then the new one.
  View view() const;
  // Lease attached to `key` now (0 = none or absent): callers detach it from the lessor.
  // Ends the transaction; returns its main revision if anything changed, else the unchanged current revision.
  int64_t End();
  bool changed() const;
};

struct HashResult {
  uint32_t hash = 0;
  int64_t compact_revision = 0;
  int64_t hash_revision = 0;
  int64_t current_revision = 0;
};

class Store {
 public:
  // Scans bucket `key`, rebuilds the index (generations, versions, tombstones), takes up an interrupted compaction
  // (see PendingCompaction). `on_live_lease(key, lease)` is called for each live key that has a lease.
  static StatusOr<std::unique_ptr<Store>> Open(btree::Tree& tree,
                                               absl::FunctionRef<void(std::string_view key, int64_t lease)> on_live_lease);
  ~Store();

  // --- readers: any thread that has a ReaderSlot ---
  // One guard covers the index and the tree; see ReadGuard.
  EpochDomain& epochs();
  View Current(btree::OnMiss on_miss) const;

  // --- the apply loop ---
  WriteTxn Begin();
  int64_t current_revision() const;
  int64_t compact_revision() const;
  // Collects events of every End() since the last call, for watchers.
  std::vector<Event> TakeEvents();
  // Makes what was applied visible to readers: Tree::Publish, then the index root and revision.
  void Publish();

  // Compaction, step 1 at apply: checks `revision` (OutOfRange, etcd's texts) and records scheduledCompactRev.
  Status ScheduleCompaction(int64_t revision);
  // Step 2, between batches: scans and deletes at most `revisions_max` records of the pending compaction, then cuts
  // the index; true when it finished (finishedCompactRev written, hash kept) or none is pending.
  StatusOr<bool> CompactionSlice(size_t revisions_max);
  bool compaction_pending() const;

  // HashKV exactly as etcd computes it (hash of the last ten compactions remembered). revision 0 = current.
  StatusOr<HashResult> HashByRevision(int64_t revision, btree::OnMiss on_miss) const;
};

// CRC-32C over every bucket of a snapshot in name order, without meta/{consistent_index, term, storageVersion} when
// `skip_volatile` (Maintenance.Hash), with everything otherwise (snapshot status).
StatusOr<uint32_t> HashWholeTree(const btree::Snapshot& snapshot, bool skip_volatile);

}  // namespace quoin::mvcc
