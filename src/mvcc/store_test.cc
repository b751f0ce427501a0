// The store against a model: a std::map from key to its versions, through transactions, ranges at
// every revision, compactions in slices, and restarts from the tree.

#include "mvcc/store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "env/posix/posix_env.h"

namespace quoin::mvcc {
namespace {

const std::string kFromKey(1, '\0');

bool InRange(const std::string& key, const std::string& begin, const std::string& end) {
  if (end.empty()) return key == begin;
  return key >= begin && (end == kFromKey || key < end);
}

struct Version {
  Revision at;
  bool tombstone = false;
  int64_t create = 0, version = 0, lease = 0;
  std::string value;
};

// One live key, or one row of bucket `key`.
struct Row {
  std::string key;
  Version version;

  std::string Record() const {
    KeyValue kv;
    kv.key = key;
    if (!version.tombstone) {
      kv.value = version.value;
      kv.create_revision = version.create;
      kv.mod_revision = version.at.main;
      kv.version = version.version;
      kv.lease = version.lease;
    }
    std::string record;
    EncodeRecord(kv, record);
    return record;
  }
  std::string RowKey() const { return RevisionKey(version.at, version.tombstone); }
};

struct RangeAnswer {
  std::vector<Row> rows;
  int64_t count = 0;
  bool more = false;
};

// What the store must be.
class Model {
 public:
  int64_t revision = 1;
  int64_t compacted = -1;
  std::map<int64_t, std::pair<uint32_t, int64_t>> hashes;  // of compactions since the start

  void Put(const std::string& key, const std::string& value, int64_t lease, Revision at) {
    std::vector<Version>& versions = keys_[key];
    Version next{at, false, at.main, 1, lease, value};
    if (!versions.empty() && !versions.back().tombstone) {
      next.create = versions.back().create;
      next.version = versions.back().version + 1;
    }
    versions.push_back(next);
  }
  // How many went; their tombstones stand from `at` on.
  int64_t Delete(const std::string& begin, const std::string& end, Revision at) {
    int64_t deleted = 0;
    for (auto& [key, versions] : keys_) {
      if (!InRange(key, begin, end) || versions.back().tombstone) continue;
      versions.push_back({{at.main, at.sub + deleted++}, true, 0, 0, 0, ""});
    }
    return deleted;
  }

  const Version* LiveAt(const std::string& key, int64_t at) const {
    auto found = keys_.find(key);
    if (found == keys_.end()) return nullptr;
    const Version* newest = nullptr;
    for (const Version& version : found->second) {
      if (version.at.main <= at) newest = &version;
    }
    return newest == nullptr || newest->tombstone ? nullptr : newest;
  }

  RangeAnswer Range(const RangeQuery& query) const {
    RangeAnswer answer;
    const int64_t at = query.revision <= 0 ? revision : query.revision;
    for (const auto& [key, versions] : keys_) {
      const Version* live = LiveAt(key, at);
      if (live == nullptr || !InRange(key, std::string(query.key), std::string(query.range_end)))
        continue;
      ++answer.count;
      if (!query.count_only && Passes(query, *live)) answer.rows.push_back({key, *live});
    }
    const size_t limit = query.limit > 0 ? static_cast<size_t>(query.limit) : SIZE_MAX;
    // etcd: without an order and filters the first keys are taken, and these put in order.
    if (query.order == SortOrder::kNone && !Filters(query) && answer.rows.size() > limit)
      answer.rows.resize(limit + 1);
    std::stable_sort(answer.rows.begin(), answer.rows.end(), [&](const Row& a, const Row& b) {
      return query.order == SortOrder::kDescend ? Below(b, a, query.target)
                                                : Below(a, b, query.target);
    });
    answer.more = answer.rows.size() > limit;
    if (answer.more) answer.rows.resize(limit);
    return answer;
  }

  // Every record from revision `from` on, in the order of the log.
  std::vector<Row> History(const std::string& begin, const std::string& end, int64_t from) const {
    std::vector<Row> rows;
    for (const auto& [key, versions] : keys_) {
      if (!InRange(key, begin, end)) continue;
      for (const Version& version : versions) {
        if (version.at.main >= from) rows.push_back({key, version});
      }
    }
    std::sort(rows.begin(), rows.end(),
              [](const Row& a, const Row& b) { return a.version.at < b.version.at; });
    return rows;
  }

  bool AnyLiveAt(int64_t at) const {
    return std::any_of(keys_.begin(), keys_.end(),
                       [&](const auto& entry) { return LiveAt(entry.first, at) != nullptr; });
  }

  // etcd's HashKV at `upper`.
  uint32_t HashAt(int64_t upper) const {
    const bool any_kept = AnyLiveAt(upper);
    uint32_t crc = Crc32c(0, "key");
    for (const Row& row : History("", kFromKey, 0)) {
      const Revision at = row.version.at;
      if (at.main > upper) break;
      if (at.main <= compacted && any_kept) {
        const Version* kept = LiveAt(row.key, upper);
        if (kept == nullptr || kept->at != at) continue;
      }
      if (row.version.tombstone && at.main == compacted) continue;
      crc = Crc32c(Crc32c(crc, row.RowKey()), row.Record());
    }
    return crc;
  }

  void Compact(int64_t at) {
    hashes[at] = {HashAt(at), compacted};
    if (hashes.size() > 10) hashes.erase(hashes.begin());
    compacted = at;
    for (auto entry = keys_.begin(); entry != keys_.end();) {
      std::vector<Version>& versions = entry->second;
      size_t first = 0;  // of those that stay
      while (first + 1 < versions.size() && versions[first + 1].at.main <= at) ++first;
      if (versions[first].tombstone && versions[first].at.main < at) ++first;
      versions.erase(versions.begin(), versions.begin() + static_cast<std::ptrdiff_t>(first));
      entry = versions.empty() ? keys_.erase(entry) : std::next(entry);
    }
  }

  std::map<std::string, int64_t> Leases() const {
    std::map<std::string, int64_t> leases;
    for (const auto& [key, versions] : keys_) {
      if (!versions.back().tombstone && versions.back().lease != 0)
        leases[key] = versions.back().lease;
    }
    return leases;
  }

 private:
  static bool Filters(const RangeQuery& query) {
    return query.min_mod_revision != 0 || query.max_mod_revision != 0 ||
           query.min_create_revision != 0 || query.max_create_revision != 0;
  }
  static bool Passes(const RangeQuery& query, const Version& version) {
    auto within = [](int64_t low, int64_t high, int64_t x) {
      return (low == 0 || x >= low) && (high == 0 || x <= high);
    };
    return within(query.min_mod_revision, query.max_mod_revision, version.at.main) &&
           within(query.min_create_revision, query.max_create_revision, version.create);
  }
  static bool Below(const Row& a, const Row& b, SortTarget target) {
    switch (target) {
      case SortTarget::kKey:
        return a.key < b.key;
      case SortTarget::kVersion:
        return a.version.version < b.version.version;
      case SortTarget::kCreate:
        return a.version.create < b.version.create;
      case SortTarget::kMod:
        return a.version.at.main < b.version.at.main;
      case SortTarget::kValue:
        return a.version.value < b.version.value;
    }
    return false;
  }

  std::map<std::string, std::vector<Version>> keys_;  // oldest first, never empty
};

class StoreTest : public testing::TestWithParam<uint32_t> {
 protected:
  StoreTest() : fs_(env::NewPosixFileSystem()), random_(GetParam()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "quoin-mvcc-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
    Open();
  }
  ~StoreTest() override {
    Close();
    std::filesystem::remove_all(dir_);
  }

  void Open() {
    btree::Options options;
    options.cache_bytes = 256 * 1024;  // smaller than the tree: pages come and go
    StatusOr<std::unique_ptr<btree::Tree>> tree =
        btree::Tree::Open(fs_->blocking(), dir_ + "/db", options);
    ASSERT_TRUE(tree.ok()) << tree.status();
    tree_ = *std::move(tree);
    ASSERT_TRUE(tree_->writer().CreateBucket("key").ok());
    ASSERT_TRUE(tree_->writer().CreateBucket("meta").ok());
    tree_->writer().Publish();
    std::map<std::string, int64_t> leases;
    StatusOr<std::unique_ptr<Store>> store = Store::Open(
        *tree_, [&](std::string_view key, int64_t lease) { leases.emplace(key, lease); });
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    slot_ = std::make_unique<EpochDomain::ReaderSlot>(tree_->epochs());
    EXPECT_EQ(leases, model_.Leases());
    EXPECT_EQ(store_->current_revision(), model_.revision);
    EXPECT_EQ(store_->compact_revision(), model_.compacted);
  }
  void Close() {
    slot_.reset();
    store_.reset();
    tree_.reset();
  }

  uint32_t Below(size_t n) { return static_cast<uint32_t>(random_() % n); }
  bool OneIn(size_t n) { return Below(n) == 0; }
  std::string Key() {
    // Long shared prefixes, and keys that are prefixes of others.
    std::string key = OneIn(4) ? "" : "/registry/things/";
    key += static_cast<char>('a' + Below(3));
    if (!OneIn(3)) key += std::to_string(Below(key_space_));
    return key;
  }
  std::pair<std::string, std::string> Interval() {
    if (OneIn(3)) return {Key(), ""};
    if (OneIn(3)) return {Key(), kFromKey};
    return {Key(), Key()};  // perhaps empty
  }
  // A revision that can be read.
  int64_t SomeRevision() {
    const int64_t floor = std::max<int64_t>(model_.compacted, 1);
    return floor + Below(static_cast<size_t>(model_.revision - floor + 1));
  }

  void Transaction() {
    WriteTxn txn = store_->Begin();
    Revision at{model_.revision + 1, 0};
    for (uint32_t changes = Below(5); changes-- > 0;) {
      if (OneIn(4)) {
        const auto [begin, end] = OneIn(2) ? Interval() : std::pair(Key(), std::string());
        const int64_t wanted = model_.Delete(begin, end, at);
        StatusOr<int64_t> deleted = txn.DeleteRange(begin, end);
        ASSERT_TRUE(deleted.ok()) << deleted.status();
        EXPECT_EQ(*deleted, wanted);
        at.sub += wanted;
      } else {
        const std::string key = Key(), value(Below(300), static_cast<char>('a' + Below(26)));
        const int64_t lease = OneIn(5) ? Below(100) : 0;
        model_.Put(key, value, lease, at);
        StatusOr<Revision> put = txn.Put(key, value, lease);
        ASSERT_TRUE(put.ok()) << put.status();
        EXPECT_EQ(*put, at);
        ++at.sub;
      }
      if (OneIn(6)) {
        // The transaction sees itself.
        const int64_t before = std::exchange(model_.revision, at.main - (at.sub > 0 ? 0 : 1));
        CheckRange(txn.view(), model_, RandomQuery(0));
        model_.revision = before;
      }
    }
    EXPECT_EQ(txn.changed(), at.sub > 0);
    if (at.sub > 0) ++model_.revision;
    EXPECT_EQ(txn.End(), model_.revision);
  }

  RangeQuery RandomQuery(int64_t revision) {
    std::tie(begin_, end_) = Interval();
    RangeQuery query;
    query.key = begin_;
    query.range_end = end_;
    query.revision = revision;
    query.limit = OneIn(2) ? 0 : Below(12);
    query.order = static_cast<SortOrder>(Below(3));
    query.target = static_cast<SortTarget>(Below(5));
    query.keys_only = OneIn(5);
    query.count_only = OneIn(6);
    if (OneIn(4)) query.min_mod_revision = SomeRevision();
    if (OneIn(4)) query.max_mod_revision = SomeRevision();
    if (OneIn(8)) query.min_create_revision = SomeRevision();
    if (OneIn(8)) query.max_create_revision = SomeRevision();
    return query;
  }

  void CheckRange(const View& view, const Model& model, const RangeQuery& query) {
    SCOPED_TRACE(absl::StrCat("revision ", query.revision, " limit ", query.limit, " order ",
                              static_cast<int>(query.order), " target ",
                              static_cast<int>(query.target), " keys only ", query.keys_only));
    StatusOr<RangeResult> found = view.Range(query);
    ASSERT_TRUE(found.ok()) << found.status();
    const RangeAnswer wanted = model.Range(query);
    EXPECT_EQ(found->count, wanted.count);
    EXPECT_EQ(found->more, wanted.more);
    ASSERT_EQ(found->kvs.size(), wanted.rows.size());
    for (size_t i = 0; i < wanted.rows.size(); ++i) {
      const KeyValue& kv = found->kvs[i];
      const Version& version = wanted.rows[i].version;
      EXPECT_EQ(kv.key, wanted.rows[i].key);
      EXPECT_EQ(kv.create_revision, version.create);
      EXPECT_EQ(kv.mod_revision, version.at.main);
      EXPECT_EQ(kv.version, version.version);
      EXPECT_EQ(kv.record_bytes, wanted.rows[i].Record().size());
      if (!query.keys_only) {
        EXPECT_EQ(kv.record, wanted.rows[i].Record());
      }
    }
  }

  // Readers see what was published, at every revision since the compaction.
  void CheckReaders() {
    EpochDomain::Guard guard(*slot_);
    const View view = store_->Current(btree::OnMiss::kLoad);
    EXPECT_EQ(view.revision(), model_.revision);
    for (int i = 0; i < 10; ++i)
      CheckRange(view, model_, RandomQuery(OneIn(3) ? 0 : SomeRevision()));
    EXPECT_EQ(view.Range({.key = "a", .revision = model_.revision + 1}).status().code(),
              absl::StatusCode::kOutOfRange);
    if (model_.compacted > 1) {
      EXPECT_EQ(view.Range({.key = "a", .revision = model_.compacted - 1}).status().code(),
                absl::StatusCode::kOutOfRange);
    }
    const std::string key = Key();
    const int64_t before = SomeRevision() + 1;
    const Version* old = model_.LiveAt(key, before - 1);
    StatusOr<std::string> record = store_->RecordBefore(key, before, btree::OnMiss::kLoad);
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_EQ(*record, old == nullptr ? "" : (Row{key, *old}.Record()));
  }

  void CheckHistory() {
    if (store_->compaction_pending()) return;  // what will go may still be there
    EpochDomain::Guard guard(*slot_);
    const auto [begin, end] = Interval();
    HistoryQuery query{.key = begin, .range_end = end, .from = SomeRevision()};
    query.records_max = 1 + Below(50);
    query.revisions_max = 1 + Below(20);
    const std::vector<Row> wanted = model_.History(begin, end, query.from);
    size_t at = 0;
    while (query.from <= model_.revision) {
      StatusOr<HistorySlice> slice = store_->ReadHistory(query, btree::OnMiss::kLoad);
      ASSERT_TRUE(slice.ok()) << slice.status();
      ASSERT_GT(slice->next, query.from);
      for (const Event& event : slice->events) {
        ASSERT_LT(at, wanted.size());
        EXPECT_EQ(event.at, wanted[at].version.at);
        EXPECT_EQ(event.type == Event::Type::kDelete, wanted[at].version.tombstone);
        if (!wanted[at].version.tombstone) {
          EXPECT_EQ(event.record.view(), wanted[at].Record());
        }
        ++at;
      }
      query.from = slice->next;
    }
    EXPECT_EQ(at, wanted.size());
  }

  void CheckHash(int64_t revision) {
    // etcd's rule for a store without any live key counts what a compaction has not reached yet.
    if (store_->compaction_pending() && !model_.AnyLiveAt(revision)) return;
    auto stored = model_.hashes.find(revision);
    const bool is_stored = stored != model_.hashes.end() && !store_->compaction_pending();
    if (stored != model_.hashes.end() && !is_stored) return;  // which of the two depends on slices
    StatusOr<HashResult> hash = store_->HashByRevision(revision, *slot_);
    ASSERT_TRUE(hash.ok()) << hash.status();
    EXPECT_EQ(hash->hash, is_stored ? stored->second.first : model_.HashAt(revision))
        << "at revision " << revision << ", compacted " << model_.compacted;
    EXPECT_EQ(hash->compact_revision, is_stored ? stored->second.second : model_.compacted);
    EXPECT_EQ(hash->hash_revision, revision);
    EXPECT_EQ(hash->current_revision, model_.revision);
  }

  void Compact() {
    const int64_t at = SomeRevision();
    if (at <= model_.compacted) {
      EXPECT_EQ(store_->ScheduleCompaction(at).code(), absl::StatusCode::kOutOfRange);
      return;
    }
    EXPECT_EQ(store_->ScheduleCompaction(model_.revision + 1).code(),
              absl::StatusCode::kOutOfRange);
    ASSERT_TRUE(store_->ScheduleCompaction(at).ok());
    model_.Compact(at);
  }
  void CompactSome() {
    StatusOr<bool> finished = store_->CompactionSlice(1 + Below(40));
    ASSERT_TRUE(finished.ok()) << finished.status();
    EXPECT_EQ(*finished, !store_->compaction_pending());
  }

  void Checkpoint() {
    store_->Publish();
    ASSERT_TRUE(tree_->CheckpointNow().ok());
    durable_ = model_;
  }
  // What was hashed before is hashed the same after.
  void Restart() {
    const bool clean = !OneIn(3);
    if (clean) {
      while (store_->compaction_pending() && OneIn(2)) CompactSome();
      Checkpoint();
    }
    model_ = durable_;
    std::map<int64_t, uint32_t> hashes;
    for (int i = 0; i < 5 && clean && !store_->compaction_pending(); ++i) {
      const int64_t revision = SomeRevision();
      if (model_.hashes.contains(revision)) continue;
      hashes[revision] = store_->HashByRevision(revision, *slot_)->hash;
    }
    Close();
    model_.hashes.clear();  // those live in memory
    Open();
    for (const auto& [revision, hash] : hashes)
      EXPECT_EQ(store_->HashByRevision(revision, *slot_)->hash, hash);
  }

  void Step() {
    const uint32_t dice = Below(100);
    if (dice < 60) return Transaction();
    store_->Publish();
    if (dice < 72) return CheckReaders();
    if (dice < 78) return CheckHistory();
    if (dice < 84) return CheckHash(SomeRevision());
    if (dice < 86) return Compact();
    if (dice < 96) return CompactSome();
    if (dice < 98) return Checkpoint();
    Restart();
  }

  std::unique_ptr<env::FileSystem> fs_;
  std::string dir_;
  std::mt19937 random_;
  size_t key_space_ = 40;
  Model model_, durable_;
  std::unique_ptr<btree::Tree> tree_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<EpochDomain::ReaderSlot> slot_;
  std::string begin_, end_;  // of the query being asked
};

TEST_P(StoreTest, IsWhatTheModelIs) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  Checkpoint();
  for (int step = 0; step < 1500 && !HasFailure(); ++step) Step();
}

// Enough keys for splits on every level of the index, and enough versions for many pages of each
// key.
TEST_P(StoreTest, ManyKeysAndManyVersions) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  key_space_ = OneIn(2) ? 5'000 : 3;
  Checkpoint();
  for (int i = 0; i < 3'000 && !HasFailure(); ++i) Transaction();
  store_->Publish();
  for (int i = 0; i < 5 && !HasFailure(); ++i) {
    CheckReaders();
    CheckHistory();
    CheckHash(SomeRevision());
  }
  Compact();
  store_->Publish();  // before that the compaction waits: readers do not see it yet
  while (store_->compaction_pending() && !HasFailure()) CompactSome();
  Restart();
  CheckReaders();
  CheckHistory();
}

// One key, written again and again: what a compaction takes away of it, and when.
class CompactionWaitsTest : public StoreTest {
 protected:
  int64_t Put(const std::string& value) {
    WriteTxn txn = store_->Begin();
    EXPECT_TRUE(txn.Put("k", value, 0).ok());
    return txn.End();
  }
  StatusOr<std::string> ValueAt(const View& view, int64_t revision) {
    RangeQuery query;
    query.key = "k";
    query.revision = revision;
    ASSIGN_OR_RETURN(RangeResult found, view.Range(query));
    if (found.kvs.size() != 1) return absl::NotFoundError("no such key");
    return std::string(found.kvs[0].value);
  }
  bool CompactAll() {
    StatusOr<bool> finished = store_->CompactionSlice(1000);
    EXPECT_TRUE(finished.ok());
    store_->Publish();
    return *finished;
  }
};

TEST_P(CompactionWaitsTest, AGuardThatWasEnteredBeforeReadsOn) {
  const int64_t old = Put("old");
  store_->Publish();
  auto guard = std::make_unique<EpochDomain::Guard>(*slot_);
  const View view = store_->Current(btree::OnMiss::kLoad);
  ASSERT_TRUE(store_->ScheduleCompaction(Put("new")).ok());
  EXPECT_EQ(*ValueAt(view, 0), "old") << "before the compaction is visible";
  store_->Publish();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(CompactAll());
  EXPECT_EQ(*ValueAt(view, 0), "old");
  EXPECT_EQ(*ValueAt(view, old), "old");
  guard.reset();
  EXPECT_TRUE(CompactAll());
  EpochDomain::Guard later(*slot_);
  EXPECT_EQ(*ValueAt(store_->Current(btree::OnMiss::kLoad), 0), "new");
  EXPECT_TRUE(absl::IsOutOfRange(ValueAt(store_->Current(btree::OnMiss::kLoad), old).status()));
}

TEST_P(CompactionWaitsTest, APinIsWaitedForUntilItGoesOrIsRevoked) {
  using Time = ReadPins::Time;
  for (const bool revoke : {false, true}) {
    const int64_t old = Put("old");
    store_->Publish();
    std::unique_ptr<ReadPins::Pin> pin;
    std::optional<View> view;
    {
      EpochDomain::Guard guard(*slot_);
      view = store_->Current(btree::OnMiss::kLoad);
      pin = view->PinRevision(old, Time(1));
    }
    ASSERT_TRUE(store_->ScheduleCompaction(Put("new")).ok());
    store_->Publish();
    pin->Touch(Time(5));
    store_->RevokePins(Time(5));
    EXPECT_FALSE(CompactAll());
    auto guard = std::make_unique<EpochDomain::Guard>(*slot_);
    EXPECT_FALSE(pin->revoked());
    view = store_->Current(btree::OnMiss::kLoad);
    EXPECT_EQ(view->revision(), old + 1);
    if (revoke) {
      store_->RevokePins(Time(6));
      EXPECT_TRUE(pin->revoked());
    } else {
      pin.reset();
    }
    // The slice that asked in time ends in peace.
    EXPECT_EQ(CompactAll(), !revoke);
    guard.reset();
    EXPECT_TRUE(CompactAll());
  }
}

INSTANTIATE_TEST_SUITE_P(One, CompactionWaitsTest, testing::Values(1u));

INSTANTIATE_TEST_SUITE_P(Seeds, StoreTest, testing::Range(1u, 13u));

}  // namespace
}  // namespace quoin::mvcc
