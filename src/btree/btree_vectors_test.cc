// Files that etcd wrote, sound and damaged, and files of ours that etcd reads. What they hold:
// vectors/datadir of the shared material (QUOIN_SHARED, or beside the source tree); tests that need
// it say when it is absent.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "btree/tree.h"
#include "env/posix/posix_env.h"

namespace quoin::btree {
namespace {

namespace fs = std::filesystem;

fs::path SharedPath() {
  if (const char* given = std::getenv("QUOIN_SHARED")) return given;
  return fs::path(QUOIN_SOURCE_DIR) / ".." / "shared";
}

// Runs a shell command; its exit code and what it printed.
std::pair<int, std::string> Shell(const std::string& command) {
  std::string output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return {-1, ""};
  char buffer[4096];
  while (size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, n);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

std::string ReadAll(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// The object `"buckets": {"name": count, …}` of expect.json, which is flat.
std::map<std::string, uint64_t> ExpectedBuckets(const std::string& json) {
  std::map<std::string, uint64_t> out;
  const size_t at = json.find("\"buckets\": {");
  if (at == std::string::npos) return out;
  std::stringstream object(json.substr(at + 12, json.find('}', at) - at - 12));
  std::string pair;
  while (std::getline(object, pair, ',')) {
    const size_t open = pair.find('"'), close = pair.find('"', open + 1),
                 colon = pair.find(':', close);
    if (colon == std::string::npos) continue;
    out[pair.substr(open + 1, close - open - 1)] = std::stoull(pair.substr(colon + 1));
  }
  return out;
}

class TempDir {
 public:
  TempDir() {
    std::string pattern = (fs::temp_directory_path() / "quoin-btree-vectors-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::map<std::string, uint64_t> CountPairs(Tree& tree) {
  std::map<std::string, uint64_t> out;
  EpochDomain::ReaderSlot slot(tree.epochs());
  EpochDomain::Guard guard(slot);
  const Snapshot snapshot = tree.Current();
  for (const std::string& name : snapshot.Buckets()) {
    Cursor cursor = snapshot.NewCursor(name, OnMiss::kLoad);
    uint64_t& count = out[name];
    for (Status s = cursor.SeekFirst(); s.ok() && cursor.Valid(); s = cursor.Next()) ++count;
  }
  return out;
}

class VectorTest : public testing::Test {
 protected:
  VectorTest() : files_(env::NewPosixFileSystem()) {}

  void SetUp() override {
    root_ = SharedPath() / "vectors" / "datadir";
    if (!fs::exists(root_)) GTEST_SKIP() << "SKIPPED: no vectors at " << root_;
  }
  // Unpacks a vector; the path of its data file (empty when the vector has none).
  fs::path Unpack(const fs::path& vector) {
    const fs::path into = temp_.path() / vector.filename();
    fs::create_directories(into);
    auto [code, output] =
        Shell("tar -xzf '" + (vector / "data.tar.gz").string() + "' -C '" + into.string() + "'");
    EXPECT_EQ(code, 0) << output;
    for (const char* name : {"member/snap/db", "snapshot.db"}) {
      if (fs::exists(into / name)) return into / name;
    }
    return {};
  }
  fs::path UnpackBroken(const std::string& name) {
    return Unpack(root_ / ("3.7.1-broken-db-" + name));
  }

  // Refused by Open, the text names the file and `what`, and the file has not changed.
  void ExpectRefused(const fs::path& db, const std::string& what) {
    const std::string before = ReadAll(db);
    StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(files_->blocking(), db, {});
    ASSERT_FALSE(tree.ok()) << db;
    EXPECT_EQ(tree.status().code(), StatusCode::kDataLoss);
    EXPECT_NE(tree.status().message().find(db.string()), std::string::npos) << tree.status();
    EXPECT_NE(tree.status().message().find(what), std::string::npos) << tree.status();
    EXPECT_EQ(ReadAll(db), before);
    EXPECT_FALSE(CheckFile(files_->blocking(), db).problems.empty());
  }

  TempDir temp_;
  fs::path root_;
  std::unique_ptr<env::FileSystem> files_;
};

TEST_F(VectorTest, SoundFilesOpenWithTheBucketsThatTheyHold) {
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(root_)) {
    const std::string name = entry.path().filename();
    if (!entry.is_directory() || name.find("-broken-") != std::string::npos) continue;
    SCOPED_TRACE(name);
    const fs::path db = Unpack(entry.path());
    if (db.empty()) continue;
    const CheckReport report = CheckFile(files_->blocking(), db);
    for (const std::string& problem : report.problems) ADD_FAILURE() << problem;
    StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(files_->blocking(), db, {.read_only = true});
    ASSERT_TRUE(tree.ok()) << tree.status();
    const auto expected = ExpectedBuckets(ReadAll(entry.path() / "expect.json"));
    ASSERT_FALSE(expected.empty());
    EXPECT_EQ(CountPairs(**tree), expected);
    fs::remove_all(temp_.path() / name);
    ++seen;
  }
  EXPECT_GT(seen, 30);
}

TEST_F(VectorTest, WhatWeWriteBackHoldsTheSame) {
  const fs::path vector = root_ / "3.7.1-mixed";
  const fs::path db = Unpack(vector);
  for (int round = 0; round < 3; ++round) {
    StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(files_->blocking(), db, {});
    ASSERT_TRUE(tree.ok()) << tree.status();
    ASSERT_TRUE((*tree)
                    ->writer()
                    .Put("meta", "consistent_index", std::string(8, static_cast<char>(round)))
                    .ok());
    (*tree)->writer().Publish();
    ASSERT_TRUE((*tree)->CheckpointNow().ok());
  }
  EXPECT_EQ(CheckFile(files_->blocking(), db).problems, std::vector<std::string>());
  StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(files_->blocking(), db, {.read_only = true});
  ASSERT_TRUE(tree.ok()) << tree.status();
  EXPECT_EQ(CountPairs(**tree), ExpectedBuckets(ReadAll(vector / "expect.json")));
}

TEST_F(VectorTest, OneGoodMetaIsEnough) {
  for (const char* name : {"meta0", "meta-newer"}) {
    SCOPED_TRACE(name);
    const fs::path db = UnpackBroken(name);
    StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(files_->blocking(), db, {});
    ASSERT_TRUE(tree.ok()) << tree.status();
    EXPECT_TRUE((*tree)->Check().problems.empty());
    EXPECT_GT(CountPairs(**tree)["key"], 0u);
    // The next two checkpoints mend the damaged meta page without ever leaving the file without a
    // good one.
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE((*tree)
                      ->writer()
                      .Put("meta", "consistent_index", std::string(8, static_cast<char>(i)))
                      .ok());
      (*tree)->writer().Publish();
      ASSERT_TRUE((*tree)->CheckpointNow().ok());
    }
    const std::string file = ReadAll(db);
    EXPECT_TRUE(Meta::Decode(file.data()).has_value());
    EXPECT_TRUE(Meta::Decode(file.data() + 4096).has_value());
  }
}

TEST_F(VectorTest, DamagedFilesAreRefusedByName) {
  ExpectRefused(UnpackBroken("meta-both"), "meta");
  ExpectRefused(UnpackBroken("page-zeroed"), "page 11 (file offset 45056)");
  ExpectRefused(UnpackBroken("truncated"), "beyond the end of the file");
  ExpectRefused(UnpackBroken("truncated-half-page"), "page 11 (file offset 45056)");
}

// bbolt's pages have no checksum: nothing in the file tells that a value changed.
TEST_F(VectorTest, AFlippedBitInAValueIsNotSeen) {
  const fs::path db = UnpackBroken("value-bit");
  EXPECT_EQ(CheckFile(files_->blocking(), db).problems, std::vector<std::string>());
}

// --- etcd reads what we wrote
// ---------------------------------------------------------------------------------------

TEST(EtcdReadsOurs, SnapshotStatusCountsThePairs) {
  if (Shell("command -v etcdctl").first != 0) GTEST_SKIP() << "SKIPPED: etcdctl is not installed";
  TempDir temp;
  const std::string db = temp.path() / "db";
  auto files = env::NewPosixFileSystem();
  StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(files->blocking(), db, {});
  ASSERT_TRUE(tree.ok()) << tree.status();
  Writer& writer = (*tree)->writer();
  for (const char* name : {"alarm", "auth", "authRoles", "authUsers", "cluster", "key", "lease",
                           "members", "members_removed", "meta"}) {
    ASSERT_TRUE(writer.CreateBucket(name).ok());
  }
  // 17-byte revision keys; the value is a KeyValue with key "k" and mod_revision, as far as 3.4
  // looks at it.
  constexpr int kRecords = 5000;
  for (int i = 2; i < kRecords + 2; ++i) {
    std::string key(17, '\0');
    for (int byte = 0; byte < 8; ++byte)
      key[7 - byte] = static_cast<char>(byte < 4 ? i >> (8 * byte) & 255 : 0);
    key[8] = '_';
    const std::string size_and_text = std::string(1, 100) + std::string(100, 'v');
    ASSERT_TRUE(writer.Put("key", key, std::string("\x0a\x01k\x2a") + size_and_text).ok());
    if (i % 100 == 0) writer.Publish();
  }
  writer.Publish();
  ASSERT_TRUE((*tree)->CheckpointNow().ok());
  tree->reset();
  auto [code, output] =
      Shell("ETCDCTL_API=3 etcdctl snapshot status '" + db + "' --write-out=json");
  EXPECT_EQ(code, 0) << output;
  EXPECT_NE(output.find("\"totalKey\":" + std::to_string(kRecords)), std::string::npos) << output;
}

}  // namespace
}  // namespace quoin::btree
