#include "mvcc/store.h"

#include <algorithm>
#include <map>

#include "base/check.h"

namespace quoin::mvcc {
namespace {

constexpr std::string_view kKeyBucket = "key";
constexpr std::string_view kMetaBucket = "meta";
constexpr std::string_view kScheduled = "scheduledCompactRev";
constexpr std::string_view kFinished = "finishedCompactRev";
constexpr size_t kRestoreRecordsPerGuard = 10000;

}  // namespace

// --- opening ---

StatusOr<std::unique_ptr<Store>> Store::Open(
    btree::Tree& tree, absl::FunctionRef<void(std::string_view, int64_t)> on_live_lease) {
  std::unique_ptr<Store> store(new Store(tree));
  RETURN_IF_ERROR(store->Restore(on_live_lease));
  return store;
}

// Walks all records in order. The guard is given up now and then, so that pages may leave the
// cache.
Status Store::Restore(absl::FunctionRef<void(std::string_view, int64_t)> on_live_lease) {
  EpochDomain::ReaderSlot slot(tree_.epochs());
  std::map<std::string, int64_t, std::less<>> leases;  // of live keys
  std::string next(1, '\0');
  bool more = true;
  while (more) {
    EpochDomain::Guard guard(slot);
    btree::Cursor cursor = tree_.Current().NewCursor(kKeyBucket, btree::OnMiss::kLoad);
    RETURN_IF_ERROR(cursor.Seek(next));
    size_t left = kRestoreRecordsPerGuard;
    while (cursor.Valid() && left-- > 0) {
      RETURN_IF_ERROR(RestoreRecord(cursor.key(), cursor.value()));
      KeyValue kv;
      DecodeRecord(cursor.value(), kv);
      const bool live_with_lease = kv.lease != 0 && cursor.key().size() == 17;
      if (live_with_lease) {
        leases[std::string(kv.key)] = kv.lease;
      } else if (auto old = leases.find(kv.key); old != leases.end()) {
        leases.erase(old);
      }
      RETURN_IF_ERROR(cursor.Next());
    }
    more = cursor.Valid();
    if (more) next = std::string(cursor.key());
  }
  for (const auto& [key, lease] : leases) on_live_lease(key, lease);
  RETURN_IF_ERROR(RestoreCompaction());
  published_revision_.store(revision_);
  return OkStatus();
}

Status Store::RestoreRecord(std::string_view key, std::string_view value) {
  std::optional<ParsedRevisionKey> parsed = ParseRevisionKey(key);
  KeyValue kv;
  if (!parsed || !DecodeRecord(value, kv))
    return absl::DataLossError("bucket key: a record is malformed");
  revision_ = std::max(revision_, parsed->at.main);
  KeyVersion version;
  version.main = parsed->at.main;
  version.sub = static_cast<uint32_t>(parsed->at.sub);
  version.record_bytes = static_cast<uint32_t>(value.size());
  if (!parsed->tombstone) {
    // A record without content (a revision that was only bumped) still is a version of the empty
    // key.
    version.create_revision = kv.create_revision != 0 ? kv.create_revision : parsed->at.main;
    version.version = kv.version;
  }
  index_.Append(kv.key, version);
  return OkStatus();
}

Status Store::RestoreCompaction() {
  auto read = [this](std::string_view name) -> StatusOr<int64_t> {
    ASSIGN_OR_RETURN(auto value, writer_.Get(kMetaBucket, name));
    if (!value) return -1;
    std::optional<ParsedRevisionKey> parsed = ParseRevisionKey(*value);
    if (!parsed) return absl::DataLossError("bucket meta: " + std::string(name) + " is malformed");
    return parsed->at.main;
  };
  ASSIGN_OR_RETURN(int64_t finished, read(kFinished));
  ASSIGN_OR_RETURN(int64_t scheduled, read(kScheduled));
  writer_.Publish();
  revision_ = std::max({revision_, finished, scheduled});
  compact_revision_.store(finished);
  if (scheduled > finished) {
    compact_revision_.store(scheduled);
    PendingCompaction compaction;
    compaction.revision = scheduled;
    compaction.previous = finished;
    compaction.hash_is_whole = false;
    compaction.next_key.assign(1, '\0');
    pending_.push_back(std::move(compaction));
  }
  return OkStatus();
}

// --- writing ---

WriteTxn Store::Begin() { return WriteTxn(*this); }

WriteTxn::WriteTxn(WriteTxn&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), sub_(other.sub_) {}

WriteTxn::~WriteTxn() {
  CHECK(store_ == nullptr || sub_ == 0) << "a transaction with changes was not ended";
}

StatusOr<Revision> WriteTxn::Put(std::string_view key, std::string_view value, int64_t lease) {
  CHECK(!key.empty());
  const Revision at{store_->revision_ + 1, sub_};
  const KeyEntry* entry = store_->index_.Find(key);
  std::optional<KeyVersion> newest;
  if (entry != nullptr) newest = entry->Newest();
  KeyValue kv;
  kv.key = key;
  kv.value = value;
  kv.mod_revision = at.main;
  const bool exists = newest && !newest->is_tombstone();
  kv.create_revision = exists ? newest->create_revision : at.main;
  kv.version = exists ? newest->version + 1 : 1;
  kv.lease = lease;
  std::string& record = store_->scratch_;
  record.clear();
  EncodeRecord(kv, record);
  RETURN_IF_ERROR(store_->writer_.Put(kKeyBucket, RevisionKey(at, false), record));
  KeyVersion version;
  version.main = at.main;
  version.sub = static_cast<uint32_t>(at.sub);
  version.create_revision = kv.create_revision;
  version.version = kv.version;
  version.record_bytes = static_cast<uint32_t>(record.size());
  store_->index_.Append(key, version);
  if (store_->collect_events_)
    store_->events_.push_back({Event::Type::kPut, at, SharedBytes(record)});
  ++sub_;
  return at;
}

Status WriteTxn::Delete(std::string_view key) {
  const Revision at{store_->revision_ + 1, sub_};
  KeyValue kv;
  kv.key = key;
  std::string& record = store_->scratch_;
  record.clear();
  EncodeRecord(kv, record);
  RETURN_IF_ERROR(store_->writer_.Put(kKeyBucket, RevisionKey(at, true), record));
  KeyVersion version;
  version.main = at.main;
  version.sub = static_cast<uint32_t>(at.sub);
  version.record_bytes = static_cast<uint32_t>(record.size());
  store_->index_.Append(key, version);
  if (store_->collect_events_) {
    kv.mod_revision = at.main;
    record.clear();
    EncodeRecord(kv, record);
    store_->events_.push_back({Event::Type::kDelete, at, SharedBytes(record)});
  }
  ++sub_;
  return OkStatus();
}

StatusOr<int64_t> WriteTxn::DeleteRange(std::string_view key, std::string_view range_end) {
  std::vector<std::string> live;
  store_->index_.Visit(key, range_end, [&](const KeyEntry& entry) {
    const std::optional<KeyVersion> newest = entry.Newest();
    if (!entry.key().empty() && newest && !newest->is_tombstone()) live.emplace_back(entry.key());
    return true;
  });
  for (const std::string& k : live) RETURN_IF_ERROR(Delete(k));
  return static_cast<int64_t>(live.size());
}

View WriteTxn::view() const {
  return View(*store_, store_->revision_ + (sub_ > 0 ? 1 : 0),
              store_->compact_revision_.load(std::memory_order_relaxed), std::nullopt,
              btree::OnMiss::kLoad);
}

int64_t WriteTxn::End() {
  Store* store = std::exchange(store_, nullptr);
  if (sub_ > 0) ++store->revision_;
  return store->revision_;
}

void Store::Publish() {
  writer_.Publish();
  published_revision_.store(revision_);  // in one order with NodeInfo::watchers
}

// --- reading ---

View Store::Current(btree::OnMiss on_miss) const {
  // The revision first: what the root and the index hold beyond it is not looked at.
  const int64_t revision = published_revision_.load(std::memory_order_acquire);
  const int64_t compacted = compact_revision_.load(std::memory_order_acquire);
  return View(*this, revision, compacted, tree_.Current(), on_miss);
}

}  // namespace quoin::mvcc
