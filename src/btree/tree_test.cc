// The tree against a model: a std::map per bucket, through publishes, checkpoints, frozen copies
// and reopenings.

#include "btree/tree.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <map>
#include <random>

#include "base/prng.h"
#include "env/posix/posix_env.h"

namespace quoin::btree {
namespace {

using Model = std::map<std::string, std::map<std::string, std::string>>;

class TreeTest : public testing::Test {
 protected:
  TreeTest() : fs_(env::NewPosixFileSystem()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "quoin-btree-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
    path_ = dir_ + "/db";
  }
  ~TreeTest() override {
    tree_.reset();
    std::filesystem::remove_all(dir_);
  }

  void Open(Options options = {}) {
    tree_.reset();
    StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(fs_->blocking(), path_, options);
    ASSERT_TRUE(tree.ok()) << tree.status();
    tree_ = *std::move(tree);
  }

  // Everything in the newest published root.
  Model Contents() {
    EpochDomain::ReaderSlot slot(tree_->epochs());
    EpochDomain::Guard guard(slot);
    return Read(tree_->Current());
  }
  static Model Read(const Snapshot& snapshot) {
    Model model;
    for (const std::string& name : snapshot.Buckets()) {
      auto& bucket = model[name];
      Cursor cursor = snapshot.NewCursor(name, OnMiss::kLoad);
      EXPECT_TRUE(cursor.SeekFirst().ok());
      while (cursor.Valid()) {
        bucket.emplace(cursor.key(), cursor.value());
        EXPECT_TRUE(cursor.Next().ok());
      }
    }
    return model;
  }

  void ExpectSound(const std::string& when) {
    CheckReport report = tree_->Check();
    for (const std::string& problem : report.problems) ADD_FAILURE() << when << ": " << problem;
    // Pages 0 and 1 are the metas. The counters agree with a walk.
    const uint64_t page_size = Options().page_size;
    EXPECT_EQ(tree_->stats().in_use_bytes, (report.pages_reachable + 2) * page_size) << when;
  }

  // In pieces of a few pages each, so that some end within a page of many.
  void ExpectCopyIs(Image& image, const Model& model) {
    const std::string copy_path = dir_ + "/copy";
    auto file = *fs_->blocking().Open(copy_path, env::OpenMode::kCreateTrunc);
    RawCopy copy(image);
    uint64_t size = 0;
    while (true) {
      StatusOr<std::string> piece = copy.Next(7 * Options().page_size);
      ASSERT_TRUE(piece.ok()) << piece.status();
      if (piece->empty()) break;
      ASSERT_TRUE(file->blocking().Write(size, *piece).ok());
      size += piece->size();
    }
    EXPECT_EQ(size, image.size_bytes());
    auto other = Tree::Open(fs_->blocking(), copy_path, {});
    ASSERT_TRUE(other.ok()) << other.status();
    EpochDomain::ReaderSlot slot((*other)->epochs());
    EpochDomain::Guard guard(slot);
    ASSERT_EQ(Read((*other)->Current()), model);
  }

  std::unique_ptr<env::FileSystem> fs_;
  std::string dir_, path_;
  std::unique_ptr<Tree> tree_;
};

std::string RandomBytes(Prng& random, size_t size) {
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random.Next());
  return out;
}

TEST_F(TreeTest, KeepsWhatItIsGiven) {
  Open();
  ASSERT_TRUE(tree_->writer().CreateBucket("b").ok());
  ASSERT_TRUE(tree_->writer().Put("b", "k", "v").ok());
  EXPECT_TRUE(Contents().empty());  // not published
  tree_->writer().Publish();
  EXPECT_EQ(Contents(), (Model{{"b", {{"k", "v"}}}}));
  ASSERT_TRUE(tree_->CheckpointNow().ok());
  Open();
  EXPECT_EQ(Contents(), (Model{{"b", {{"k", "v"}}}}));
  ExpectSound("reopened");
}

TEST_F(TreeTest, AnUncheckpointedChangeIsNotInTheFile) {
  Open();
  ASSERT_TRUE(tree_->writer().CreateBucket("b").ok());
  tree_->writer().Publish();
  ASSERT_TRUE(tree_->CheckpointNow().ok());
  ASSERT_TRUE(tree_->writer().Put("b", "k", "v").ok());
  tree_->writer().Publish();
  Open();
  EXPECT_EQ(Contents(), (Model{{"b", {}}}));
}

TEST_F(TreeTest, AppendsFillPages) {
  Open();
  Writer& writer = tree_->writer();
  ASSERT_TRUE(writer.CreateBucket("key").ok());
  constexpr int kRecords = 20000;
  for (int i = 0; i < kRecords; ++i) {
    char key[18];
    std::snprintf(key, sizeof key, "%016d", i);
    ASSERT_TRUE(writer.Put("key", key, std::string(100, 'x')).ok());
    if (i % 16 == 0) writer.Publish();
  }
  writer.Publish();
  ASSERT_TRUE(tree_->CheckpointNow().ok());
  ASSERT_TRUE(tree_->CheckpointNow().ok());
  // 132 bytes a record: 30 of them fit a page of 4096.
  EXPECT_LT(tree_->stats().in_use_bytes, uint64_t{kRecords} * 132 * 115 / 100);
  ExpectSound("after appends");
}

class TreeModelTest : public TreeTest, public testing::WithParamInterface<uint64_t> {};

TEST_P(TreeModelTest, AgreesWithAMap) {
  const uint64_t seed = GetParam();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Prng random(seed);
  Options options;
  options.cache_bytes = random.Chance(0.5) ? 1 << 20 : 64 << 20;
  Open(options);
  Model live, published, durable;
  std::unique_ptr<Image> checkpoint;
  std::vector<std::pair<std::unique_ptr<Image>, Model>> frozen;
  Model checkpoint_model;
  const std::vector<std::string> buckets = {"a", "key", "zz", "lease"};
  for (int step = 0; step < 6000; ++step) {
    Writer& writer = tree_->writer();
    const uint64_t kind = random.Below(1000);
    const std::string& bucket = buckets[random.Below(buckets.size())];
    if (kind < 600) {
      if (!live.contains(bucket)) {
        ASSERT_TRUE(writer.CreateBucket(bucket).ok());
        live[bucket];
      }
      std::string key =
          random.Chance(0.5)
              ? "k" + std::to_string(random.Below(3000))
              : RandomBytes(random, 1 + random.Below(random.Chance(0.05) ? 3000 : 40));
      std::string value =
          RandomBytes(random, random.Chance(0.02) ? random.Below(200000) : random.Below(300));
      ASSERT_TRUE(writer.Put(bucket, key, value).ok());
      live[bucket][key] = value;
    } else if (kind < 850) {
      if (!live.contains(bucket) || live[bucket].empty()) continue;
      auto at = live[bucket].lower_bound("k" + std::to_string(random.Below(3000)));
      if (at == live[bucket].end()) at = live[bucket].begin();
      const std::string key = at->first;
      ASSERT_TRUE(writer.Delete(bucket, key).ok());
      ASSERT_TRUE(writer.Delete(bucket, key).ok());  // absent now: fine
      live[bucket].erase(key);
    } else if (kind < 853) {
      ASSERT_TRUE(writer.DeleteBucket(bucket).ok());
      live.erase(bucket);
    } else if (kind < 960) {
      writer.Publish();
      published = live;
    } else if (kind < 970) {
      writer.Publish();
      published = live;
      if (checkpoint != nullptr) continue;
      ASSERT_TRUE(tree_->CheckpointNow().ok());
      durable = published;
    } else if (kind < 975) {
      writer.Publish();
      published = live;
      if (frozen.size() < 3 && random.Chance(0.5)) {
        frozen.emplace_back(tree_->Freeze(), published);
      } else if (!frozen.empty()) {
        std::swap(frozen[random.Below(frozen.size())], frozen.back());
        auto [image, model] = std::move(frozen.back());
        frozen.pop_back();
        {
          EpochDomain::Guard guard(image->slot());
          ASSERT_EQ(Read(tree_->SnapshotOf(*image)), model) << "step " << step;
        }
        ASSERT_NO_FATAL_FAILURE(ExpectCopyIs(*image, model));
        tree_->Thaw(std::move(image));
      }
    } else if (kind < 985) {
      writer.Publish();
      published = live;
      if (checkpoint == nullptr) {
        checkpoint = tree_->BeginCheckpoint();
        checkpoint_model = published;
      } else {
        auto env = env::NewPosixEnv();
        auto storage = env->NewExecutor("storage");
        std::promise<Status> done;
        storage->Post([&] {
          tree_->RunCheckpoint(*checkpoint, *storage, env::Duration(0),
                               [&](Status s) { done.set_value(s); });
        });
        ASSERT_TRUE(done.get_future().get().ok());
        storage.reset();
        tree_->EndCheckpoint(std::move(checkpoint));
        checkpoint = nullptr;
        durable = checkpoint_model;
      }
    } else if (kind < 990) {
      writer.Publish();
      published = live;
      ASSERT_TRUE(tree_->RelocateSlice(20).ok());
      writer.Publish();
      while (writer.LowerSmallBuckets()) writer.Publish();
    } else if (kind < 993 && frozen.empty() && checkpoint == nullptr) {
      Open(options);
      live = published = durable;
    } else if (kind < 996) {
      writer.Publish();
      published = live;
      ExpectSound("step " + std::to_string(step));
      ASSERT_EQ(Contents(), published) << "step " << step;
    }
    if (HasFailure()) return;
  }
  tree_->writer().Publish();
  for (auto& [image, model] : frozen) tree_->Thaw(std::move(image));
  if (checkpoint != nullptr) {
    checkpoint.reset();
  } else {
    ASSERT_TRUE(tree_->CheckpointNow().ok());
    Open(options);
  }
  ASSERT_EQ(Contents(), live);
  ExpectSound("end");
}

INSTANTIATE_TEST_SUITE_P(Seeds, TreeModelTest,
                         testing::Values(1, 2, 3, 4, 5, 6, 7, 8, std::random_device{}()));

// Etcd's tests give a store a quota of a few pages.
TEST_F(TreeTest, AFileOfFewBucketsStaysAsSmallAsItCan) {
  Open({});
  Writer& writer = tree_->writer();
  const std::vector<std::string> buckets = {"a", "b", "c", "d"};
  for (const std::string& bucket : buckets) ASSERT_TRUE(writer.CreateBucket(bucket).ok());
  Model model;
  for (int round = 0; round < 20; ++round) {
    for (const std::string& bucket : buckets) {
      const std::string value = std::to_string(round);
      ASSERT_TRUE(writer.Put(bucket, "k", value).ok());
      model[bucket]["k"] = value;
      writer.Publish();
    }
    while (writer.LowerSmallBuckets()) writer.Publish();
    ASSERT_TRUE(tree_->CheckpointNow().ok());
    ExpectSound("round " + std::to_string(round));
  }
  // Two metas, the root, four buckets; and as many again, which the next round writes to.
  EXPECT_LE(tree_->stats().file_bytes, 12 * tree_->page_size());
  Open({});
  EXPECT_EQ(Contents(), model);
}

TEST_F(TreeTest, CursorsGoBothWays) {
  Open();
  Writer& writer = tree_->writer();
  ASSERT_TRUE(writer.CreateBucket("b").ok());
  std::map<std::string, std::string> model;
  Prng random(5);
  for (int i = 0; i < 5000; ++i) {
    std::string key = std::to_string(random.Below(1000000));
    ASSERT_TRUE(writer.Put("b", key, key + "v").ok());
    model[key] = key + "v";
  }
  Cursor cursor = writer.NewCursor("b");
  ASSERT_TRUE(cursor.SeekLast().ok());
  for (auto at = model.rbegin(); at != model.rend(); ++at) {
    ASSERT_TRUE(cursor.Valid());
    ASSERT_EQ(cursor.key(), at->first);
    ASSERT_TRUE(cursor.Prev().ok());
  }
  EXPECT_FALSE(cursor.Valid());
  for (int i = 0; i < 2000; ++i) {
    std::string key = std::to_string(random.Below(1000000));
    ASSERT_TRUE(cursor.Seek(key).ok());
    auto at = model.lower_bound(key);
    ASSERT_EQ(cursor.Valid(), at != model.end());
    if (cursor.Valid()) {
      EXPECT_EQ(cursor.key(), at->first);
    }
  }
}

TEST_F(TreeTest, OverwritingDoesNotGrowTheFileWithoutBound) {
  Open();
  Writer& writer = tree_->writer();
  ASSERT_TRUE(writer.CreateBucket("b").ok());
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 100; ++i)
      ASSERT_TRUE(writer.Put("b", "k" + std::to_string(i), std::string(200, 'a')).ok());
    writer.Publish();
    if (round % 5 == 0) {
      ASSERT_TRUE(tree_->CheckpointNow().ok());
    }
  }
  EXPECT_LT(tree_->stats().file_bytes, 1u << 20);
}

TEST_F(TreeTest, RelocationGivesTheFileBack) {
  Open();
  Writer& writer = tree_->writer();
  ASSERT_TRUE(writer.CreateBucket("b").ok());
  for (int i = 0; i < 6000; ++i)
    ASSERT_TRUE(writer.Put("b", "k" + std::to_string(i), std::string(300, 'a')).ok());
  writer.Publish();
  ASSERT_TRUE(tree_->CheckpointNow().ok());
  for (int i = 0; i < 6000; ++i) {
    if (i % 20 == 0) continue;
    ASSERT_TRUE(writer.Delete("b", "k" + std::to_string(i)).ok());
  }
  writer.Publish();
  const uint64_t before = tree_->stats().file_bytes;
  for (int idle = 0; idle < 4;) {
    StatusOr<Relocation> moved = tree_->RelocateSlice(64);
    ASSERT_TRUE(moved.ok());
    writer.Publish();
    if (moved->pages > 0) idle = 0;
    if (!moved->at_end) continue;
    ASSERT_TRUE(tree_->CheckpointNow().ok());
    ++idle;
    ASSERT_TRUE(writer.Put("b", "touch", std::to_string(idle)).ok());
    writer.Publish();
  }
  EXPECT_LT(tree_->stats().file_bytes, before / 4);
  ExpectSound("after relocation");
  ASSERT_TRUE(tree_->CheckpointNow().ok());
  Open();
  EXPECT_EQ(Contents()["b"].size(), 301u);
}

// ---- every mix of value sizes ----

struct Mix {
  const char* name;
  std::vector<std::pair<int, size_t>> stretches;  // so many values of this size, one behind another
  int rounds;                                     // the stretches again and again
  int block;                                      // every second block of so many keys is deleted
  size_t deleted_max;                             // of values up to this size
};

void PrintTo(const Mix& mix, std::ostream* out) { *out << mix.name; }

class RelocationTest : public TreeTest, public testing::WithParamInterface<Mix> {
 protected:
  // As a member does it: passes and checkpoints in turn, until three passes moved nothing. Returns
  // how many pages moved.
  uint64_t GiveBack() {
    uint64_t moved = 0, slices = 0;
    for (int idle = 0; idle < 3; ++idle) {
      for (bool at_end = false; !at_end; ++slices) {
        StatusOr<Relocation> slice = tree_->RelocateSlice(64);
        EXPECT_TRUE(slice.ok()) << slice.status();
        if (!slice.ok()) return moved;
        tree_->writer().Publish();
        moved += slice->pages;
        if (slice->pages > 0) idle = 0;
        at_end = slice->at_end;
        EXPECT_LT(slices, 20000u) << "it does not end";
        if (slices >= 20000u) return moved;
      }
      EXPECT_TRUE(tree_->CheckpointNow().ok());
    }
    return moved;
  }
};

TEST_P(RelocationTest, EndsAndTheFileShrinks) {
  const Mix& mix = GetParam();
  Open();
  Writer& writer = tree_->writer();
  ASSERT_TRUE(writer.CreateBucket("key").ok());
  Model model;
  std::map<std::string, std::string>& bucket = model["key"];
  std::vector<std::pair<std::string, size_t>> keys;
  for (int round = 0; round < mix.rounds; ++round) {
    for (const auto& [count, size] : mix.stretches) {
      for (int i = 0; i < count; ++i) {
        char key[16];
        std::snprintf(key, sizeof key, "%09zu", keys.size());
        keys.emplace_back(key, size);
        bucket[key] = std::string(size, static_cast<char>('a' + keys.size() % 26));
        ASSERT_TRUE(writer.Put("key", key, bucket[key]).ok());
        if (i % 16 == 15) writer.Publish();
      }
    }
  }
  writer.Publish();
  ASSERT_TRUE(tree_->CheckpointNow().ok());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i / static_cast<size_t>(mix.block) % 2 == 0 || keys[i].second > mix.deleted_max) continue;
    ASSERT_TRUE(writer.Delete("key", keys[i].first).ok());
    bucket.erase(keys[i].first);
  }
  writer.Publish();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(tree_->CheckpointNow().ok());
    ASSERT_TRUE(writer.Put("key", "touch", "t").ok());
    writer.Publish();
  }
  bucket["touch"] = "t";
  const uint64_t before = tree_->stats().file_bytes, pages = before / 4096;
  const uint64_t moved = GiveBack();
  EXPECT_LE(moved, pages);
  const Stats stats = tree_->stats();
  EXPECT_LT(stats.file_bytes, before);
  EXPECT_LT(stats.file_bytes, stats.in_use_bytes * 5 / 4 + (1 << 20))
      << "before " << before << ", moved " << moved << " pages of " << pages;
  ExpectSound("after relocation");
  EXPECT_EQ(GiveBack(), 0u);
  ASSERT_TRUE(tree_->CheckpointNow().ok());
  Open();
  EXPECT_TRUE(Contents() == model);
}

INSTANTIATE_TEST_SUITE_P(
    Mixes, RelocationTest,
    testing::Values(
        Mix{"short values in front of long ones", {{12000, 1000}, {200, 100000}}, 1, 40, 1000},
        Mix{"long values in front of short ones", {{200, 100000}, {12000, 1000}}, 1, 40, 100000},
        Mix{"short values only", {{20000, 500}}, 1, 7, 500},
        Mix{"long values only", {{300, 100000}}, 1, 1, 100000},
        Mix{"long values in long blocks", {{300, 100000}}, 1, 10, 100000},
        Mix{"of every size, one by one",
            {{3, 900}, {1, 9000}, {2, 300}, {1, 40000}},
            400,
            1,
            40000},
        Mix{"of every size, the short ones go",
            {{9, 900}, {1, 9000}, {7, 300}, {1, 40000}},
            200,
            3,
            900},
        Mix{"stretches", {{300, 900}, {20, 9000}, {500, 100}, {9, 150000}}, 6, 25, 150000}));

// A short value behind a long one: each batch that puts one more copies its own page, not those of
// the long value.
TEST_F(TreeTest, AShortValueDoesNotShareThePagesOfALongOne) {
  Open();
  Writer& writer = tree_->writer();
  ASSERT_TRUE(writer.CreateBucket("key").ok());
  ASSERT_TRUE(writer.Put("key", "a", std::string(1 << 20, 'l')).ok());
  writer.Publish();
  ASSERT_TRUE(writer.Put("key", "b", "short").ok());
  writer.Publish();
  ASSERT_TRUE(tree_->CheckpointNow().ok());
  for (const char* key : {"c", "aa", "Z", "b"}) {
    ASSERT_TRUE(writer.Put("key", key, "short").ok());
    writer.Publish();
    if (std::string(key) == "Z") {
      ASSERT_TRUE(tree_->CheckpointNow().ok());
    }
  }
  EXPECT_LT(tree_->stats().dirty_bytes, 1u << 16);
  EXPECT_EQ(Contents()["key"].size(), 5u);
  ExpectSound("after short values");
}

}  // namespace
}  // namespace quoin::btree
