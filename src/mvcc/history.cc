// Reading what is past: for watchers that are behind, and for what a value was before.

#include "base/errors.h"
#include "mvcc/store.h"

namespace quoin::mvcc {
namespace {

constexpr std::string_view kKeyBucket = "key";
constexpr std::string_view kFromKey("\0", 1);
// What one slice looks at, whether it is in the range or not: large values of others must not hold
// the reader's thread.
constexpr size_t kSeenBytesMax = 16 << 20;

bool InRange(const HistoryQuery& query, std::string_view key) {
  return key >= query.key && (query.range_end == kFromKey || key < query.range_end);
}

// Collects changes until the slice is full at the end of a revision.
class SliceBuilder {
 public:
  explicit SliceBuilder(const HistoryQuery& query) : query_(query) {}

  // False: the slice ended before this revision.
  bool Admits(int64_t main) {
    if (main == last_seen_) return true;
    const bool full = seen_ >= query_.records_max || seen_bytes_ >= kSeenBytesMax ||
                      revisions_ >= query_.revisions_max || bytes_ >= query_.bytes_max;
    if (full && last_seen_ != 0) return false;
    last_seen_ = main;
    return true;
  }
  void Saw(std::string_view stored) {
    ++seen_;
    seen_bytes_ += stored.size();
  }
  void Add(Revision at, bool tombstone, std::string_view stored) {
    if (at.main != last_added_) ++revisions_;
    last_added_ = at.main;
    Event event{tombstone ? Event::Type::kDelete : Event::Type::kPut, at, {}};
    if (tombstone) {
      KeyValue kv;
      DecodeRecord(stored, kv);
      kv.mod_revision = at.main;
      std::string record;
      EncodeRecord(kv, record);
      event.record = SharedBytes(record);
    } else {
      event.record = SharedBytes(stored);
    }
    bytes_ += event.record.size();
    slice_.events.push_back(std::move(event));
  }
  HistorySlice Finish(int64_t next) {
    slice_.next = next;
    return std::move(slice_);
  }

 private:
  const HistoryQuery& query_;
  HistorySlice slice_;
  int64_t last_seen_ = 0, last_added_ = 0;
  size_t seen_ = 0, seen_bytes_ = 0, revisions_ = 0, bytes_ = 0;
};

}  // namespace

StatusOr<HistorySlice> Store::ReadHistory(const HistoryQuery& query, btree::OnMiss on_miss) const {
  const int64_t current = published_revision_.load(std::memory_order_acquire);
  const btree::Snapshot snapshot = tree_.Current();
  if (query.from < compact_revision()) return errors::Compacted();
  SliceBuilder slice(query);
  int64_t next = current + 1;
  Status status;
  if (query.range_end.empty()) {
    // One key: the index knows where its changes stand.
    const KeyEntry* entry = index_.Find(query.key);
    if (entry != nullptr) {
      entry->VisitFrom(query.from, [&](const KeyVersion& version) {
        if (version.main > current) return false;
        if (!slice.Admits(version.main)) {
          next = version.main;
          return false;
        }
        const Revision at{version.main, version.sub};
        auto record = snapshot.Get(kKeyBucket, RevisionKey(at, version.is_tombstone()), on_miss);
        if (record.ok() && !*record) record = errors::Compacted();  // it was there a moment ago
        status = record.status();
        if (!status.ok()) return false;
        slice.Saw(**record);
        slice.Add(at, version.is_tombstone(), **record);
        return true;
      });
    }
  } else {
    btree::Cursor cursor = snapshot.NewCursor(kKeyBucket, on_miss);
    RETURN_IF_ERROR(cursor.Seek(RevisionKey({query.from, 0}, false)));
    for (; cursor.Valid(); status = cursor.Next()) {
      RETURN_IF_ERROR(status);
      std::optional<ParsedRevisionKey> parsed = ParseRevisionKey(cursor.key());
      KeyValue kv;
      if (!parsed || !DecodeRecord(cursor.value(), kv))
        return absl::DataLossError("bucket key: a record is malformed");
      if (parsed->at.main > current) break;
      if (!slice.Admits(parsed->at.main)) {
        next = parsed->at.main;
        break;
      }
      slice.Saw(cursor.value());
      if (InRange(query, kv.key)) slice.Add(parsed->at, parsed->tombstone, cursor.value());
    }
  }
  RETURN_IF_ERROR(status);
  // A compaction that passed meanwhile may have taken records away from under the walk.
  if (query.from < compact_revision()) return errors::Compacted();
  return slice.Finish(next);
}

StatusOr<std::string> Store::RecordBefore(std::string_view key, int64_t revision,
                                          btree::OnMiss on_miss) const {
  const int64_t before = revision - 1;
  const View view = Current(on_miss);
  if (before < compact_revision()) return std::string();
  const KeyEntry* entry = index_.Find(key);
  std::optional<KeyVersion> version;
  if (entry != nullptr) version = entry->At(before);
  if (!version || version->is_tombstone()) return std::string();
  KeyValue kv;
  kv.at = {version->main, version->sub};
  Status status = view.Fill(kv);
  if (absl::IsOutOfRange(status)) return std::string();
  RETURN_IF_ERROR(status);
  return std::string(kv.record);
}

}  // namespace quoin::mvcc
