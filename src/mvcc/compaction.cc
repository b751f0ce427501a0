// Compaction in slices, and the hash that etcd takes of what it sees on the way.

#include "base/check.h"
#include "base/crc32c.h"
#include "base/errors.h"
#include "mvcc/store.h"

namespace quoin::mvcc {
namespace {

constexpr std::string_view kKeyBucket = "key";
constexpr std::string_view kMetaBucket = "meta";
constexpr size_t kHashesKept = 10;

// The version of a key that a compaction at `revision` keeps: the newest one up to it, tombstones
// only at it.
std::optional<KeyVersion> KeptAt(const KeyEntry* entry, int64_t revision) {
  std::optional<KeyVersion> version;
  if (entry != nullptr) version = entry->At(revision);
  if (version && version->is_tombstone() && version->main < revision) version.reset();
  return version;
}

}  // namespace

Status Store::ScheduleCompaction(int64_t revision) {
  const int64_t compacted = compact_revision_.load(std::memory_order_relaxed);
  if (revision <= compacted) return errors::Compacted();
  if (revision > revision_) return errors::FutureRevision();
  RETURN_IF_ERROR(
      writer_.Put(kMetaBucket, "scheduledCompactRev", RevisionKey({revision, 0}, false)));
  PendingCompaction compaction;
  compaction.revision = revision;
  compaction.previous = compacted;
  compaction.crc = Crc32c(0, kKeyBucket);
  compaction.next_key.assign(1, '\0');
  pending_.push_back(std::move(compaction));
  compact_revision_.store(revision, std::memory_order_release);
  return OkStatus();
}

bool Store::AnyKept(int64_t revision) const {
  bool any = false;
  index_.Visit(std::string_view("\0", 1), std::string_view("\0", 1), [&](const KeyEntry& entry) {
    any = KeptAt(&entry, revision).has_value();
    return !any;
  });
  return any;
}

// A reader takes its revision and looks whether it is compacted within one guard. One who entered
// before the compaction was visible may read below it until that guard ends, or longer by a pin,
// which was made within the guard. One who enters later cannot get below it.
bool Store::ReadersBelowCompaction() {
  if (pending_.empty()) return false;
  PendingCompaction& compaction = pending_.front();
  if (compaction.removes) return false;
  CHECK_GE(published_revision_.load(std::memory_order_relaxed), compaction.revision)
      << "a compaction that readers do not see yet";
  if (!compaction.visible_since) compaction.visible_since = tree_.epochs().Advance();
  compaction.removes = *compaction.visible_since < tree_.epochs().SafeEpoch() &&
                       !pins_.AnyBelow(compaction.revision);
  return !compaction.removes;
}

void Store::RevokePins(ReadPins::Time touched_before) {
  if (pending_.empty() || pending_.front().removes) return;
  if (pins_.Revoke(pending_.front().revision, touched_before) == 0) return;
  // A slice that asked before goes on until its guard ends.
  pending_.front().visible_since.reset();
}

StatusOr<bool> Store::CompactionSlice(size_t revisions_max) {
  if (pending_.empty()) return true;
  if (ReadersBelowCompaction()) return false;
  PendingCompaction& compaction = pending_.front();
  if (compaction.next_key.size() == 1) compaction.skips_unkept = AnyKept(compaction.revision);
  const std::string end = RevisionKey({compaction.revision + 1, 0}, false);
  std::vector<std::string> doomed;
  size_t left = revisions_max;
  btree::Cursor cursor = writer_.NewCursor(kKeyBucket);
  RETURN_IF_ERROR(cursor.Seek(compaction.next_key));
  while (cursor.Valid() && cursor.key() < end && left-- > 0) {
    std::optional<ParsedRevisionKey> parsed = ParseRevisionKey(cursor.key());
    if (!parsed) return absl::DataLossError("bucket key: a record is malformed");
    RETURN_IF_ERROR(CompactRecord(compaction, parsed->at, parsed->tombstone, cursor.key(),
                                  cursor.value(), doomed));
    RETURN_IF_ERROR(cursor.Next());
  }
  const bool finished = !cursor.Valid() || cursor.key() >= end;
  if (!finished) compaction.next_key = std::string(cursor.key());
  for (const std::string& key : doomed) RETURN_IF_ERROR(writer_.Delete(kKeyBucket, key));
  if (!finished) return false;
  RETURN_IF_ERROR(FinishCompaction(compaction));
  pending_.pop_front();
  return pending_.empty();
}

// Hashes one record by etcd's rules and notes whether it goes. The key's index loses what is
// superseded.
Status Store::CompactRecord(PendingCompaction& compaction, Revision at, bool tombstone,
                            std::string_view key, std::string_view value,
                            std::vector<std::string>& doomed) {
  KeyValue kv;
  if (!DecodeRecord(value, kv)) return absl::DataLossError("bucket key: a record is malformed");
  const std::optional<KeyVersion> kept = KeptAt(index_.Find(kv.key), compaction.revision);
  const bool stays = kept && kept->main == at.main && kept->sub == at.sub;
  const bool below_previous = at.main <= compaction.previous;
  const bool left_out = (below_previous && compaction.skips_unkept && !stays) ||
                        (tombstone && at.main == compaction.previous);
  if (!left_out) compaction.crc = Crc32c(Crc32c(compaction.crc, key), value);
  if (!stays) {
    doomed.emplace_back(key);
    index_.Compact(kv.key, compaction.revision);
  }
  return OkStatus();
}

Status Store::FinishCompaction(PendingCompaction& compaction) {
  RETURN_IF_ERROR(
      writer_.Put(kMetaBucket, "finishedCompactRev", RevisionKey({compaction.revision, 0}, false)));
  if (!compaction.hash_is_whole) return OkStatus();
  HashResult hash;
  hash.hash = compaction.crc;
  hash.compact_revision = compaction.previous;
  hash.hash_revision = compaction.revision;
  std::lock_guard lock(hashes_mutex_);
  hashes_.push_back(hash);
  if (hashes_.size() > kHashesKept) hashes_.pop_front();
  return OkStatus();
}

}  // namespace quoin::mvcc
