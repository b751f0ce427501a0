// HashKV and the hash of the whole tree. Both walk many pages: in slices, so that pages can leave
// the cache meanwhile, and others can have the thread.

#include "base/crc32c.h"
#include "base/errors.h"
#include "mvcc/store.h"

namespace quoin::mvcc {
namespace {

constexpr std::string_view kKeyBucket = "key";
// Of one slice.
constexpr size_t kRecordsPerGuard = 5000;
constexpr size_t kBytesPerGuard = 4 << 20;

// Calls `visit` for pairs of a bucket from `next` on, within the caller's guard, until one slice is
// full: `next` is set then, and the result is false. True: the bucket has ended, or `visit` said
// that it had enough.
template <typename Visit>
StatusOr<bool> WalkSlice(const btree::Snapshot& snapshot, std::string_view bucket,
                         std::string& next, Visit visit) {
  btree::Cursor cursor = snapshot.NewCursor(bucket, btree::OnMiss::kLoad);
  RETURN_IF_ERROR(cursor.Seek(next));
  size_t bytes = 0;
  for (size_t left = kRecordsPerGuard; cursor.Valid() && left > 0 && bytes < kBytesPerGuard;
       --left) {
    bytes += cursor.value().size();
    ASSIGN_OR_RETURN(const bool go_on, visit(cursor.key(), cursor.value()));
    if (!go_on) return true;
    RETURN_IF_ERROR(cursor.Next());
  }
  if (!cursor.Valid()) return true;
  next = std::string(cursor.key());
  return false;
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
  HashRun run(*this, revision);
  while (true) {
    ASSIGN_OR_RETURN(const bool done, run.Slice(slot));
    if (done) return run.result();
  }
}

StatusOr<bool> HashRun::Slice(EpochDomain::ReaderSlot& slot) {
  EpochDomain::Guard guard(slot);
  if (next_key_.empty()) {
    ASSIGN_OR_RETURN(const bool done, Begin());
    if (done) return true;
  }
  ASSIGN_OR_RETURN(const bool done, WalkSlice(store_.tree_.Current(), kKeyBucket, next_key_,
                                              [&](std::string_view key, std::string_view value) {
                                                return Add(key, value);
                                              }));
  // A compaction that passed meanwhile may have taken records away from under the walk.
  if (store_.compact_revision() != result_.compact_revision) {
    next_key_.clear();
    return false;
  }
  result_.hash = crc_;
  return done;
}

// True: the result was remembered.
StatusOr<bool> HashRun::Begin() {
  const int64_t current = store_.current_revision();
  if (std::optional<HashResult> stored = store_.StoredHash(revision_)) {
    result_ = *stored;
    result_.current_revision = current;
    return true;
  }
  const int64_t compacted = store_.compact_revision();
  if (revision_ != 0 && revision_ < compacted) return errors::Compacted();
  if (revision_ > current) return errors::FutureRevision();
  result_.compact_revision = compacted;
  result_.hash_revision = revision_ == 0 ? current : revision_;
  result_.current_revision = current;
  crc_ = Crc32c(0, kKeyBucket);
  any_kept_ = false;
  store_.index_.Visit(std::string_view(), std::string_view("\0", 1), [&](const KeyEntry& entry) {
    const std::optional<KeyVersion> version = entry.At(result_.hash_revision);
    any_kept_ = version && !version->is_tombstone();
    return !any_kept_;
  });
  next_key_.assign(1, '\0');
  return false;
}

// Records up to the compact revision count only as the newest live version at the revision that is
// hashed; etcd drops that rule when there is no such version at all. False: the rest is newer.
StatusOr<bool> HashRun::Add(std::string_view key, std::string_view value) {
  std::optional<ParsedRevisionKey> parsed = ParseRevisionKey(key);
  KeyValue kv;
  if (!parsed || !DecodeRecord(value, kv))
    return absl::DataLossError("bucket key: a record is malformed");
  const Revision at = parsed->at;
  if (at.main > result_.hash_revision) return false;
  const int64_t compacted = result_.compact_revision;
  if (at.main <= compacted && any_kept_ && !IsKept(kv.key, at)) return true;
  if (parsed->tombstone && at.main == compacted) return true;
  crc_ = Crc32c(Crc32c(crc_, key), value);
  return true;
}

bool HashRun::IsKept(std::string_view key, Revision at) const {
  const KeyEntry* entry = store_.index_.Find(key);
  if (entry == nullptr) return false;
  const std::optional<KeyVersion> version = entry->At(result_.hash_revision);
  return version && !version->is_tombstone() && version->main == at.main && version->sub == at.sub;
}

// --- the whole tree ---

TreeHashRun::TreeHashRun(btree::Tree& tree, btree::Image& image, Volatile skipped)
    : tree_(tree), image_(image), skipped_(skipped), buckets_(tree.SnapshotOf(image).Buckets()) {}

StatusOr<bool> TreeHashRun::Slice() {
  if (bucket_at_ == buckets_.size()) return true;
  EpochDomain::Guard guard(image_.slot());
  const std::string& bucket = buckets_[bucket_at_];
  if (next_key_.empty()) {
    hash_ = Crc32c(hash_, bucket);
    next_key_.assign(1, '\0');
  }
  const bool meta = skipped_ == Volatile::kSkipped && bucket == "meta";
  ASSIGN_OR_RETURN(const bool ended,
                   WalkSlice(tree_.SnapshotOf(image_), bucket, next_key_,
                             [&](std::string_view key, std::string_view value) -> StatusOr<bool> {
                               if (meta && (key == "consistent_index" || key == "term" ||
                                            key == "storageVersion"))
                                 return true;
                               hash_ = Crc32c(Crc32c(hash_, key), value);
                               return true;
                             }));
  if (!ended) return false;
  next_key_.clear();
  return ++bucket_at_ == buckets_.size();
}

StatusOr<uint32_t> HashWholeTree(btree::Tree& tree, btree::Image& image, Volatile skipped) {
  TreeHashRun run(tree, image, skipped);
  while (true) {
    ASSIGN_OR_RETURN(const bool done, run.Slice());
    if (done) return run.hash();
  }
}

}  // namespace quoin::mvcc
