// What the tree costs: appends by batch size, point reads, scans, random overwrites, checkpoints,
// opening.
//   quoin_btree_bench --benchmark_filter=Append

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/prng.h"
#include "btree/tree.h"
#include "env/posix/posix_env.h"

namespace quoin::btree {
namespace {

constexpr size_t kValueBytes = 330;
constexpr uint64_t kRecords = 1000000;

// 8 bytes of revision, big-endian, '_', 8 bytes of 0, as bucket `key` has them.
void SetRevision(std::string& key, uint64_t revision) {
  for (int i = 0; i < 8; ++i)
    key[static_cast<size_t>(7 - i)] = static_cast<char>(revision >> (8 * i));
}
std::string RevisionKey(uint64_t revision) {
  std::string key(17, '\0');
  key[8] = '_';
  SetRevision(key, revision);
  return key;
}

// A tree in a directory of its own, which goes with it. Thread: one.
class TempTree {
 public:
  explicit TempTree(uint64_t cache_bytes)
      : files_(env::NewPosixFileSystem()), cache_bytes_(cache_bytes) {
    char pattern[] = "/tmp/quoin-btree-bench-XXXXXX";
    dir_ = mkdtemp(pattern);
    Reopen();
    CHECK(writer().CreateBucket("key").ok());
  }
  ~TempTree() {
    tree_.reset();
    (void)files_->blocking().RemoveAll(dir_);
  }
  void Reopen() {
    tree_.reset();
    auto tree = Tree::Open(files_->blocking(), dir_ + "/db", {.cache_bytes = cache_bytes_});
    CHECK(tree.ok()) << tree.status();
    tree_ = *std::move(tree);
  }
  void Fill(uint64_t records) {
    std::string key = RevisionKey(0);
    const std::string value(kValueBytes, 'v');
    for (uint64_t i = 1; i <= records; ++i) {
      SetRevision(key, i);
      CHECK(writer().Put("key", key, value).ok());
      if (i % 1000 == 0) writer().Publish();
    }
    writer().Publish();
    CHECK(tree_->CheckpointNow().ok());
  }
  Tree& tree() { return *tree_; }
  Writer& writer() { return tree_->writer(); }

 private:
  std::unique_ptr<env::FileSystem> files_;
  const uint64_t cache_bytes_;
  std::string dir_;
  std::unique_ptr<Tree> tree_;
};

// Onto 1M records; a root is published every range(0) puts.
void BM_Append(benchmark::State& state) {
  TempTree temp(uint64_t{2} << 30);
  temp.Fill(kRecords);
  const std::string value(kValueBytes, 'v');
  std::string key = RevisionKey(0);
  uint64_t revision = kRecords;
  const auto batch = static_cast<uint64_t>(state.range(0));
  for (auto _ : state) {
    SetRevision(key, ++revision);
    CHECK(temp.writer().Put("key", key, value).ok());
    if (revision % batch == 0) temp.writer().Publish();
  }
  temp.writer().Publish();
}
BENCHMARK(BM_Append)->Arg(1)->Arg(16)->Arg(100)->Arg(1000)->Iterations(300000);

// Point reads of random records out of 1M, all in memory.
void BM_Get(benchmark::State& state) {
  TempTree temp(uint64_t{2} << 30);
  temp.Fill(kRecords);
  EpochDomain::ReaderSlot slot(temp.tree().epochs());
  EpochDomain::Guard guard(slot);
  const Snapshot snapshot = temp.tree().Current();
  Prng random(1);
  std::string key = RevisionKey(0);
  for (auto _ : state) {
    SetRevision(key, 1 + random.Below(kRecords));
    auto value = snapshot.Get("key", key, OnMiss::kLoad);
    CHECK(value.ok() && value->has_value());
    benchmark::DoNotOptimize(*value);
  }
}
BENCHMARK(BM_Get);

// One record of a scan in order.
void BM_Next(benchmark::State& state) {
  TempTree temp(uint64_t{2} << 30);
  temp.Fill(kRecords / 5);
  EpochDomain::ReaderSlot slot(temp.tree().epochs());
  EpochDomain::Guard guard(slot);
  Cursor cursor = temp.tree().Current().NewCursor("key", OnMiss::kLoad);
  CHECK(cursor.SeekFirst().ok());
  for (auto _ : state) {
    benchmark::DoNotOptimize(cursor.value());
    CHECK(cursor.Next().ok());
    if (!cursor.Valid()) CHECK(cursor.SeekFirst().ok());
  }
}
BENCHMARK(BM_Next);

// Overwrites at random places of 200k records, published every 100.
void BM_Overwrite(benchmark::State& state) {
  TempTree temp(uint64_t{2} << 30);
  temp.Fill(kRecords / 5);
  Prng random(1);
  const std::string value(kValueBytes, 'w');
  std::string key = RevisionKey(0);
  uint64_t done = 0;
  for (auto _ : state) {
    SetRevision(key, 1 + random.Below(kRecords / 5));
    CHECK(temp.writer().Put("key", key, value).ok());
    if (++done % 100 == 0) temp.writer().Publish();
  }
  temp.writer().Publish();
}
BENCHMARK(BM_Overwrite)->Iterations(200000);

// Opening 1M records (about 370 MB): every page is walked. The file is in the kernel's memory.
void BM_Open(benchmark::State& state) {
  TempTree temp(uint64_t{64} << 20);
  temp.Fill(kRecords);
  for (auto _ : state) temp.Reopen();
  state.counters["MB/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()) *
                             static_cast<double>(temp.tree().stats().file_bytes) / 1e6,
                         benchmark::Counter::kIsRate);
}
BENCHMARK(BM_Open)->Unit(benchmark::kMillisecond)->Iterations(3);

// One turn of giving space back, in a file where three records of four are gone.
void BM_RelocateSlice(benchmark::State& state) {
  TempTree temp(uint64_t{64} << 20);
  temp.Fill(kRecords / 5);
  for (uint64_t i = 1; i <= kRecords / 5; ++i) {
    if (i % 4 != 0) CHECK(temp.writer().Delete("key", RevisionKey(i)).ok());
    if (i % 1000 == 0) temp.writer().Publish();
  }
  temp.writer().Publish();
  CHECK(temp.tree().CheckpointNow().ok());
  for (auto _ : state) {
    CHECK(temp.tree().RelocateSlice(256).ok());
    temp.writer().Publish();
  }
}
BENCHMARK(BM_RelocateSlice)->Unit(benchmark::kMillisecond)->Iterations(8);

}  // namespace
}  // namespace quoin::btree
