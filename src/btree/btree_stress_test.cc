// The tree under its real conditions: readers on other threads while it is written, checkpointed
// and copied (build with QUOIN_SANITIZE=thread to see races), and a power cut at every step of the
// disk.

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "base/prng.h"
#include "btree/tree.h"
#include "env/posix/posix_env.h"

namespace quoin::btree {
namespace {

using Model = std::map<std::string, std::map<std::string, std::string>>;

Model Contents(Tree& tree, const Snapshot& snapshot) {
  Model model;
  for (const std::string& name : snapshot.Buckets()) {
    auto& bucket = model[name];
    Cursor cursor = snapshot.NewCursor(name, OnMiss::kLoad);
    Status status = cursor.SeekFirst();
    for (; status.ok() && cursor.Valid(); status = cursor.Next())
      bucket.emplace(cursor.key(), cursor.value());
    EXPECT_TRUE(status.ok()) << status;
  }
  (void)tree;
  return model;
}

Model Contents(Tree& tree) {
  EpochDomain::ReaderSlot slot(tree.epochs());
  EpochDomain::Guard guard(slot);
  return Contents(tree, tree.Current());
}

// --- a disk that loses power
// ----------------------------------------------------------------------------------------

constexpr size_t kSectorBytes = 512;

// One file in memory: what is on the platter, and what was written since the last sync. Each step
// (a write, a sync, a change of length) can be the last one: `power_left` counts down, at 0
// everything fails. Restart decides for each sector since the last sync whether it arrived. Thread:
// one.
struct Disk {
  std::map<std::string, std::string> durable, volatile_now;
  int64_t power_left = INT64_MAX;

  bool Step() { return --power_left >= 0; }
  void Restart(Prng& random) {
    for (auto& [path, now] : volatile_now) {
      std::string& old = durable[path];
      const std::string before = old;
      old.resize(random.Chance(0.5) ? now.size() : old.size(), '\0');
      for (size_t at = 0; at < std::min(old.size(), now.size()); at += kSectorBytes) {
        if (random.Chance(0.5))
          old.replace(at, kSectorBytes, now, at, std::min(kSectorBytes, old.size() - at));
      }
    }
    volatile_now = durable;
    power_left = INT64_MAX;
  }
};

Status PowerCut() { return absl::DataLossError("no power"); }

// Thread: one.
class DiskFile final : public env::File, public env::BlockingFile {
 public:
  DiskFile(Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}

  StatusOr<size_t> Read(uint64_t offset, std::span<char> into) override {
    const std::string& data = disk_.volatile_now[path_];
    if (offset >= data.size()) return 0;
    return data.copy(into.data(), into.size(), offset);
  }
  Status Write(uint64_t offset, std::string_view bytes) override {
    if (!disk_.Step()) return PowerCut();
    std::string& data = disk_.volatile_now[path_];
    if (data.size() < offset + bytes.size()) data.resize(offset + bytes.size());
    data.replace(offset, bytes.size(), bytes);
    return OkStatus();
  }
  Status Sync() override {
    if (!disk_.Step()) return PowerCut();
    disk_.durable[path_] = disk_.volatile_now[path_];
    return OkStatus();
  }
  Status Resize(uint64_t size) override {
    if (!disk_.Step()) return PowerCut();
    disk_.volatile_now[path_].resize(size);
    return OkStatus();
  }
  Status Allocate(uint64_t size) override { return Resize(size); }
  StatusOr<uint64_t> Size() override { return disk_.volatile_now[path_].size(); }

  void Read(uint64_t offset, std::span<char> into, env::Executor& on,
            env::DoneStatus done) override {
    StatusOr<size_t> got = Read(offset, into);
    Post(on, std::move(done),
         *got == into.size() ? OkStatus() : absl::OutOfRangeError("end of file"));
  }
  void Write(uint64_t offset, std::vector<std::string_view> pieces, env::Executor& on,
             env::DoneStatus done) override {
    std::string bytes;
    for (std::string_view piece : pieces) bytes += piece;
    Post(on, std::move(done), Write(offset, bytes));
  }
  void Sync(env::Executor& on, env::DoneStatus done) override { Post(on, std::move(done), Sync()); }
  void Resize(uint64_t size, env::Executor& on, env::DoneStatus done) override {
    Post(on, std::move(done), Resize(size));
  }
  env::BlockingFile& blocking() override { return *this; }
  const std::string& path() const override { return path_; }

 private:
  static void Post(env::Executor& on, env::DoneStatus done, Status status) {
    on.Post([done = std::move(done), status = std::move(status)]() mutable {
      done(std::move(status));
    });
  }
  Disk& disk_;
  const std::string path_;
};

// Thread: one.
class DiskFiles final : public env::BlockingFileSystem {
 public:
  explicit DiskFiles(Disk& disk) : disk_(disk) {}
  StatusOr<std::unique_ptr<env::File>> Open(const std::string& path, env::OpenMode mode,
                                            uint32_t) override {
    const bool exists = disk_.volatile_now.contains(path);
    if (!exists && mode != env::OpenMode::kCreate && mode != env::OpenMode::kCreateTrunc) {
      return absl::NotFoundError(path);
    }
    if (mode == env::OpenMode::kCreateTrunc) disk_.volatile_now[path].clear();
    disk_.volatile_now[path];
    return std::unique_ptr<env::File>(new DiskFile(disk_, path));
  }
  // A rename is on the platter at once; what the file held need not be.
  Status Rename(const std::string& from, const std::string& to) override {
    if (!disk_.Step()) return PowerCut();
    for (auto* half : {&disk_.durable, &disk_.volatile_now}) {
      auto node = half->extract(from);
      if (node.empty()) continue;
      half->erase(to);
      node.key() = to;
      half->insert(std::move(node));
    }
    return OkStatus();
  }
  Status Remove(const std::string& path) override {
    disk_.durable.erase(path);
    disk_.volatile_now.erase(path);
    return OkStatus();
  }
  Status RemoveAll(const std::string& path) override { return Remove(path); }
  Status MakeDirectory(const std::string&, uint32_t) override { return OkStatus(); }
  Status SyncDirectory(const std::string&) override {
    return disk_.Step() ? OkStatus() : PowerCut();
  }
  StatusOr<std::vector<std::string>> List(const std::string&) override {
    return std::vector<std::string>();
  }
  StatusOr<env::FileInfo> Stat(const std::string& path) override {
    auto file = disk_.volatile_now.find(path);
    if (file == disk_.volatile_now.end()) return absl::NotFoundError(path);
    return env::FileInfo{file->second.size(), false, 0600};
  }
  StatusOr<std::unique_ptr<env::FileLock>> Lock(const std::string&, bool) override {
    return absl::UnimplementedError("no locks here");
  }

 private:
  Disk& disk_;
};

// Runs what is posted, in order, on the calling thread. Thread: one.
class InlineExecutor final : public env::Executor {
 public:
  void Stop() override { tasks_.clear(); }
  void Post(env::Task task) override { tasks_.push_back(std::move(task)); }
  env::TimerId RunAfter(env::Duration, env::Task task) override {
    Post(std::move(task));
    return {1};
  }
  bool Cancel(env::TimerId) override { return false; }
  void AtEndOfTurn(env::Task task) override { Post(std::move(task)); }
  bool IsCurrent() const override { return true; }
  env::Clock& clock() override { return clock_; }
  bool RunOne() {
    if (tasks_.empty()) return false;
    env::Task task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
    return true;
  }

 private:
  // Stands still. Thread: any.
  class Still final : public env::Clock {
   public:
    env::Duration Now() const override { return env::Duration(0); }
    env::Duration WallNow() const override { return env::Duration(0); }
  };
  std::deque<env::Task> tasks_;
  Still clock_;
};

// One life of the tree on the disk: random changes with checkpoints between them until the power
// goes. `states` are the contents at each checkpoint; returns the number of the last one that
// completed.
class Life {
 public:
  Life(DiskFiles& files, Prng& random, Model start)
      : files_(files), random_(random), model_(start) {
    states_.push_back(std::move(start));
  }

  Status Run(int checkpoints) {
    ASSIGN_OR_RETURN(tree_, Tree::Open(files_, "db", {.cache_bytes = 256 << 10}));
    for (int i = 0; i < checkpoints; ++i) {
      RETURN_IF_ERROR(Change());
      tree_->writer().Publish();
      RETURN_IF_ERROR(Checkpoint());
      if (random_.Chance(0.3)) RETURN_IF_ERROR(tree_->RelocateSlice(8).status());
    }
    return OkStatus();
  }
  const std::vector<Model>& states() const { return states_; }
  size_t completed() const { return completed_; }

 private:
  Status Change() {
    Writer& writer = tree_->writer();
    for (const char* bucket : {"key", "meta"}) {
      if (model_.contains(bucket)) continue;
      RETURN_IF_ERROR(writer.CreateBucket(bucket));
      model_[bucket];
    }
    for (uint64_t left = random_.Below(60); left > 0; --left) {
      const std::string bucket = random_.Chance(0.9) ? "key" : "meta";
      const std::string key = "k" + std::to_string(random_.Below(400));
      if (random_.Chance(0.3)) {
        RETURN_IF_ERROR(writer.Delete(bucket, key));
        model_[bucket].erase(key);
        continue;
      }
      const std::string value(random_.Chance(0.02) ? random_.Below(20000) : random_.Below(200),
                              static_cast<char>('a' + random_.Below(26)));
      RETURN_IF_ERROR(writer.Put(bucket, key, value));
      model_[bucket][key] = value;
    }
    return OkStatus();
  }
  // By the storage loop's way, with changes while it runs, or by the waiting one.
  Status Checkpoint() {
    std::unique_ptr<Image> image = tree_->BeginCheckpoint();
    if (image == nullptr) return OkStatus();
    states_.push_back(model_);
    std::optional<Status> result;
    InlineExecutor storage;
    tree_->RunCheckpoint(*image, storage, env::Duration(0),
                         [&](Status status) { result = std::move(status); });
    while (!result.has_value() && storage.RunOne()) {
      if (!random_.Chance(0.2)) continue;
      RETURN_IF_ERROR(Change());
      tree_->writer().Publish();
    }
    RETURN_IF_ERROR(*result);
    tree_->EndCheckpoint(std::move(image));
    completed_ = states_.size() - 1;
    return OkStatus();
  }

  DiskFiles& files_;
  Prng& random_;
  Model model_;
  std::vector<Model> states_;
  size_t completed_ = 0;
  std::unique_ptr<Tree> tree_;
};

class CrashTest : public testing::TestWithParam<uint64_t> {};

// Lives after one another, each cut at a random step; a life on a second disk with the same seed
// counts the steps.
TEST_P(CrashTest, AfterEachPowerCutSomeCheckpointIsThereWhole) {
  const uint64_t seed = GetParam();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Prng random(seed);
  Disk disk;
  DiskFiles files(disk);
  Model start;
  ASSERT_TRUE(Tree::Open(files, "db", {}).ok());
  for (int life_number = 0; life_number < 150; ++life_number) {
    SCOPED_TRACE("life " + std::to_string(life_number));
    Life life(files, random, start);
    disk.power_left = static_cast<int64_t>(random.Below(120));
    (void)life.Run(6);  // ends by the cut, or is through before it
    disk.Restart(random);

    StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(files, "db", {});
    ASSERT_TRUE(tree.ok()) << tree.status();
    for (const std::string& problem : (*tree)->Check().problems) ADD_FAILURE() << problem;
    Model found = Contents(**tree);
    size_t at = life.completed();
    while (at < life.states().size() && life.states()[at] != found) ++at;
    ASSERT_LT(at, life.states().size())
        << "no checkpoint from " << life.completed() << " on holds what was found";
    start = std::move(found);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, CrashTest, testing::Values(1, 2, 3, 4, std::random_device{}()));

// Each single step of one fixed run, instead of random ones.
TEST(CrashAtEveryStep, SomeCheckpointIsThereWhole) {
  bool through = false;
  for (int64_t steps = 0; !through; ++steps) {
    ASSERT_LT(steps, 5000);
    for (uint64_t outcome = 0; outcome < 3; ++outcome) {
      SCOPED_TRACE("steps " + std::to_string(steps) + " outcome " + std::to_string(outcome));
      Disk disk;
      DiskFiles files(disk);
      ASSERT_TRUE(Tree::Open(files, "db", {}).ok());
      Prng random(77);
      Life life(files, random, {});
      disk.power_left = steps;
      through = life.Run(5).ok();
      Prng arrives(outcome * 1000 + static_cast<uint64_t>(steps));
      disk.Restart(arrives);
      StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(files, "db", {});
      ASSERT_TRUE(tree.ok()) << tree.status();
      ASSERT_TRUE((*tree)->Check().problems.empty());
      const Model found = Contents(**tree);
      size_t at = life.completed();
      while (at < life.states().size() && life.states()[at] != found) ++at;
      ASSERT_LT(at, life.states().size());
    }
  }
}

// --- space ---

TEST(Space, AFrozenCopyHoldsOnlyItsOwnPages) {
  Disk disk;
  DiskFiles files(disk);
  auto tree = Tree::Open(files, "db", {});
  ASSERT_TRUE(tree.ok()) << tree.status();
  Writer& writer = (*tree)->writer();
  ASSERT_TRUE(writer.CreateBucket("key").ok());
  auto write_all = [&] {
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(writer.Put("key", "k" + std::to_string(i), std::string(300, 'v')).ok());
    }
    writer.Publish();
    ASSERT_TRUE((*tree)->CheckpointNow().ok());
  };
  write_all();
  std::unique_ptr<Image> frozen = (*tree)->Freeze();
  for (int round = 0; round < 200; ++round) write_all();
  EXPECT_LT((*tree)->stats().file_bytes, 2u << 20);
  (*tree)->Thaw(std::move(frozen));
  EXPECT_TRUE((*tree)->Check().problems.empty());
}

TEST(Space, TheFileIsCutThoughNothingElseIsWritten) {
  Disk disk;
  DiskFiles files(disk);
  auto tree = Tree::Open(files, "db", {});
  ASSERT_TRUE(tree.ok()) << tree.status();
  Writer& writer = (*tree)->writer();
  ASSERT_TRUE(writer.CreateBucket("key").ok());
  auto key = [](int i) { return "k" + std::to_string(100000 + i); };
  for (int i = 0; i < 20000; ++i) {
    ASSERT_TRUE(writer.Put("key", key(i), std::string(300, 'v')).ok());
  }
  writer.Publish();
  ASSERT_TRUE((*tree)->CheckpointNow().ok());
  const size_t before = disk.durable["db"].size();
  for (int i = 20; i < 20000; ++i) ASSERT_TRUE(writer.Delete("key", key(i)).ok());
  writer.Publish();
  InlineExecutor storage;
  for (int idle = 0; idle < 5; ++idle) {  // as a defragmentation does
    StatusOr<Relocation> moved = (*tree)->RelocateSlice(256);
    ASSERT_TRUE(moved.ok());
    writer.Publish();
    if (moved->pages > 0) idle = 0;
    std::unique_ptr<Image> image = (*tree)->BeginCheckpoint();
    if (image == nullptr) continue;
    bool done = false;
    (*tree)->RunCheckpoint(*image, storage, env::Duration(0), [&](Status status) {
      ASSERT_TRUE(status.ok()) << status;
      done = true;
    });
    while (!done) ASSERT_TRUE(storage.RunOne());
    (*tree)->EndCheckpoint(std::move(image));
  }
  EXPECT_LT(disk.volatile_now["db"].size(), before / 3);
  EXPECT_TRUE((*tree)->Check().problems.empty());
}

// --- readers on threads
// ---------------------------------------------------------------------------------------------

std::string Key(uint64_t i) {
  char text[24];
  std::snprintf(text, sizeof text, "%012llu", static_cast<unsigned long long>(i));
  return text;
}

constexpr uint64_t kKeys = 2000;

// What one published root holds: every key has the round's number, so that a mix of two roots is
// seen.
void CheckRound(Tree& tree, const Snapshot& snapshot, Prng& random) {
  auto round = snapshot.Get("meta", "round", OnMiss::kLoad);
  ASSERT_TRUE(round.ok() && round->has_value());
  const std::string expected(**round);
  for (int i = 0; i < 20; ++i) {
    auto value = snapshot.Get("key", Key(random.Below(kKeys)), OnMiss::kLoad);
    ASSERT_TRUE(value.ok()) << value.status();
    ASSERT_TRUE(value->has_value());
    ASSERT_EQ((*value)->substr(0, expected.size()), expected);
  }
  Cursor cursor = snapshot.NewCursor("key", OnMiss::kLoad);
  ASSERT_TRUE(cursor.Seek(Key(random.Below(kKeys))).ok());
  std::string previous;
  for (int i = 0; i < 100 && cursor.Valid(); ++i) {
    ASSERT_LT(previous, cursor.key());
    ASSERT_EQ(cursor.value().substr(0, expected.size()), expected);
    previous = cursor.key();
    ASSERT_TRUE(cursor.Next().ok());
  }
  (void)tree;
}

TEST(ReadersOnThreads, SeeWholeRootsWhileTheTreeIsWrittenCheckpointedAndCopied) {
  std::string pattern = testing::TempDir() + "quoin-btree-stress-XXXXXX";
  const std::string dir = mkdtemp(pattern.data());
  auto env = env::NewPosixEnv();
  auto opened = Tree::Open(env->files().blocking(), dir + "/db", {.cache_bytes = 512 << 10});
  ASSERT_TRUE(opened.ok()) << opened.status();
  std::unique_ptr<Tree> tree = *std::move(opened);
  Writer& writer = tree->writer();
  ASSERT_TRUE(writer.CreateBucket("key").ok());
  ASSERT_TRUE(writer.CreateBucket("meta").ok());
  auto write_round = [&](int round) {
    const std::string tag = Key(static_cast<uint64_t>(round));
    ASSERT_TRUE(writer.Put("meta", "round", tag).ok());
    for (uint64_t i = 0; i < kKeys; ++i) {
      ASSERT_TRUE(writer.Put("key", Key(i), tag + std::string(i % 300, 'v')).ok());
    }
    writer.Publish();
  };
  write_round(0);

  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (uint64_t r = 0; r < 3; ++r) {
    readers.emplace_back([&, r] {
      EpochDomain::ReaderSlot slot(tree->epochs());
      Prng random(r);
      while (!stop.load(std::memory_order_relaxed) && !testing::Test::HasFailure()) {
        EpochDomain::Guard guard(slot);
        CheckRound(*tree, tree->Current(), random);
      }
    });
  }
  auto storage = env->NewExecutor("storage");
  for (int round = 1; round <= 40 && !testing::Test::HasFailure(); ++round) {
    write_round(round);
    std::unique_ptr<Image> image = tree->BeginCheckpoint();
    ASSERT_NE(image, nullptr);
    std::atomic<int> written{0};
    storage->Post([&] {
      tree->RunCheckpoint(*image, *storage, env::Duration(0), [&](Status status) {
        EXPECT_TRUE(status.ok()) << status;
        written.store(1, std::memory_order_release);
        written.notify_one();
      });
    });
    write_round(round + 1000);
    std::unique_ptr<Image> frozen = tree->Freeze();  // while the checkpoint runs
    ASSERT_NE(frozen, nullptr);
    written.wait(0);
    tree->EndCheckpoint(std::move(image));
    std::atomic<int> copied{0};
    storage->Post([&] {
      StatusOr<std::string> copy = RawCopy(*frozen).Next(frozen->size_bytes());
      EXPECT_TRUE(copy.ok()) << copy.status();
      copied.store(1, std::memory_order_release);
      copied.notify_one();
    });
    write_round(round + 2000);
    copied.wait(0);
    tree->Thaw(std::move(frozen));
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  storage.reset();
  for (const std::string& problem : tree->Check().problems) ADD_FAILURE() << problem;
  EXPECT_LT(tree->stats().file_bytes, 64u << 20);
  tree.reset();
  ASSERT_TRUE(env->files().blocking().RemoveAll(dir).ok());
}

}  // namespace
}  // namespace quoin::btree
