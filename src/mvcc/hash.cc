// HashKV and the hash of the whole tree. Both walk many pages: in slices, so that pages can leave
// the cache meanwhile.

#include "base/crc32c.h"
#include "base/errors.h"
#include "mvcc/store.h"

namespace quoin::mvcc {
namespace {

constexpr std::string_view kKeyBucket = "key";
constexpr size_t kRecordsPerGuard = 5000;

// Calls `visit` for each pair of a bucket from its start; the root of each slice comes from
// `snapshot()`.
template <typename MakeSnapshot, typename Visit>
Status ForEach(std::string_view bucket, EpochDomain::ReaderSlot& slot, MakeSnapshot snapshot,
               Visit visit) {
  std::string next(1, '\0');
  while (true) {
    EpochDomain::Guard guard(slot);
    btree::Cursor cursor = snapshot().NewCursor(bucket, btree::OnMiss::kLoad);
    RETURN_IF_ERROR(cursor.Seek(next));
    for (size_t left = kRecordsPerGuard; cursor.Valid() && left > 0; --left) {
      ASSIGN_OR_RETURN(bool go_on, visit(cursor.key(), cursor.value()));
      if (!go_on) return OkStatus();
      RETURN_IF_ERROR(cursor.Next());
    }
    if (!cursor.Valid()) return OkStatus();
    next = std::string(cursor.key());
  }
}

}  // namespace

std::optional<HashResult> Store::StoredHash(int64_t revision) const {
  std::lock_guard lock(hashes_mutex_);
  for (const HashResult& hash : hashes_) {
    if (hash.hash_revision == revision) return hash;
  }
  return std::nullopt;
}

std::vector<HashResult> Store::CompactionHashes() const {
  std::lock_guard lock(hashes_mutex_);
  return {hashes_.rbegin(), hashes_.rend()};
}

StatusOr<HashResult> Store::HashByRevision(int64_t revision, EpochDomain::ReaderSlot& slot) const {
  const int64_t current = current_revision();
  if (std::optional<HashResult> stored = StoredHash(revision)) {
    stored->current_revision = current;
    return *stored;
  }
  const int64_t compacted = compact_revision();
  if (revision != 0 && revision < compacted) return errors::Compacted();
  if (revision > current) return errors::FutureRevision();
  HashResult result;
  result.compact_revision = compacted;
  result.hash_revision = revision == 0 ? current : revision;
  result.current_revision = current;
  const int64_t upper = result.hash_revision;
  uint32_t crc = Crc32c(0, kKeyBucket);

  // Records up to the compact revision count only as the newest live version at `upper`; etcd drops
  // that rule when there is no such version at all.
  auto kept_at = [&](std::string_view key, Revision at) {
    const KeyEntry* entry = index_.Find(key);
    if (entry == nullptr) return false;
    const std::optional<KeyVersion> version = entry->At(upper);
    return version && !version->is_tombstone() && version->main == at.main &&
           version->sub == at.sub;
  };
  bool any_kept = false;
  {
    EpochDomain::Guard guard(slot);
    index_.Visit(std::string_view(), std::string_view("\0", 1), [&](const KeyEntry& entry) {
      const std::optional<KeyVersion> version = entry.At(upper);
      any_kept = version && !version->is_tombstone();
      return !any_kept;
    });
  }
  RETURN_IF_ERROR(ForEach(
      kKeyBucket, slot, [this] { return tree_.Current(); },
      [&](std::string_view key, std::string_view value) -> StatusOr<bool> {
        std::optional<ParsedRevisionKey> parsed = ParseRevisionKey(key);
        KeyValue kv;
        if (!parsed || !DecodeRecord(value, kv))
          return absl::DataLossError("bucket key: a record is malformed");
        if (parsed->at.main > upper) return false;
        if (parsed->at.main <= compacted && any_kept && !kept_at(kv.key, parsed->at)) return true;
        if (parsed->tombstone && parsed->at.main == compacted) return true;
        crc = Crc32c(Crc32c(crc, key), value);
        return true;
      }));
  // A compaction that passed meanwhile may have taken records away from under the walk.
  if (compact_revision() != compacted) return HashByRevision(revision, slot);
  result.hash = crc;
  return result;
}

StatusOr<uint32_t> HashWholeTree(btree::Tree& tree, const btree::Image& image,
                                 EpochDomain::ReaderSlot& slot, bool skip_volatile) {
  uint32_t crc = 0;
  auto snapshot = [&] { return tree.SnapshotOf(image); };
  for (const std::string& bucket : snapshot().Buckets()) {
    crc = Crc32c(crc, bucket);
    const bool meta = skip_volatile && bucket == "meta";
    RETURN_IF_ERROR(ForEach(
        bucket, slot, snapshot,
        [&](std::string_view key, std::string_view value) -> StatusOr<bool> {
          if (meta && (key == "consistent_index" || key == "term" || key == "storageVersion"))
            return true;
          crc = Crc32c(Crc32c(crc, key), value);
          return true;
        }));
  }
  return crc;
}

}  // namespace quoin::mvcc
