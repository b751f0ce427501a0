#include "ctl/snapshot_file.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <algorithm>
#include <string>

#include "base/prng.h"
#include "ctl/text.h"
#include "env/posix/posix_env.h"

namespace quoin::ctl {
namespace {

std::string DigestOf(std::string_view data) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

std::string Noise(Prng& prng, size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(prng.Next());
  return bytes;
}

class SnapshotFileTest : public testing::Test {
 protected:
  SnapshotFileTest() {
    EXPECT_TRUE(files().RemoveAll(folder_).ok());
    EXPECT_TRUE(files().MakeDirectory(folder_).ok());
  }
  ~SnapshotFileTest() override { (void)files().RemoveAll(folder_); }

  env::BlockingFileSystem& files() { return env_->files().blocking(); }

  // Gives `stream` to a new SnapshotFile in pieces of random sizes and commits.
  Status Save(std::string_view stream, uint64_t seed) {
    SCOPED_TRACE(seed);
    Prng prng(seed);
    ASSIGN_OR_RETURN(const auto file, SnapshotFile::Create(env_->files(), path_));
    while (!stream.empty()) {
      const std::string_view piece = stream.substr(0, prng.Below(700));
      RETURN_IF_ERROR(file->Append(piece));
      stream.remove_prefix(piece.size());
    }
    return file->Commit();
  }

  std::string Content() {
    auto file = files().Open(path_, env::OpenMode::kRead);
    if (!file.ok()) return "absent";
    std::string bytes(*(*file)->blocking().Size(), '\0');
    EXPECT_EQ(*(*file)->blocking().Read(0, bytes), bytes.size());
    return bytes;
  }

  const std::unique_ptr<env::Env> env_ = env::NewPosixEnv();
  const std::string folder_ =
      testing::TempDir() + "quoin-snapshot-file-" + std::to_string(env_->Random());
  const std::string path_ = folder_ + "/snap.db";
};

TEST_F(SnapshotFileTest, KeepsWhatTheDigestConfirms) {
  Prng prng(5);
  for (size_t sectors : {0, 1, 40}) {
    const std::string data = Noise(prng, sectors * 512);
    ASSERT_TRUE(Save(data + DigestOf(data), sectors).ok());
    EXPECT_EQ(Content(), data + DigestOf(data));
    EXPECT_FALSE(files().Exists(path_ + ".part"));
  }
}

TEST_F(SnapshotFileTest, LeavesNothingOfADamagedStream) {
  Prng prng(6);
  const std::string data = Noise(prng, 2048);
  std::string damaged = data + DigestOf(data);
  damaged[1000] = static_cast<char>(damaged[1000] ^ 1);
  const Status status = Save(damaged, 1);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_TRUE(Message(status).starts_with("expected sha256 [")) << status;
  EXPECT_EQ(Content(), "absent");
  EXPECT_FALSE(files().Exists(path_ + ".part"));
}

TEST_F(SnapshotFileTest, LeavesNothingOfAShortStream) {
  Prng prng(7);
  const std::string data = Noise(prng, 1024);
  for (size_t size : {size_t{0}, size_t{31}, size_t{512}, size_t{1024}, size_t{1055}}) {
    const Status status = Save((data + DigestOf(data)).substr(0, size), size);
    EXPECT_EQ(Message(status), "sha256 checksum not found [bytes: " + std::to_string(size) + "]");
  }
  EXPECT_EQ(Content(), "absent");
  EXPECT_FALSE(files().Exists(path_ + ".part"));
}

TEST_F(SnapshotFileTest, ReplacesAnOlderFileOnlyAtTheEnd) {
  Prng prng(8);
  const std::string first = Noise(prng, 512);
  ASSERT_TRUE(Save(first + DigestOf(first), 1).ok());
  EXPECT_FALSE(Save("too short", 2).ok());
  EXPECT_EQ(Content(), first + DigestOf(first));
  const std::string second = Noise(prng, 512);
  ASSERT_TRUE(Save(second + DigestOf(second), 3).ok());
  EXPECT_EQ(Content(), second + DigestOf(second));
}

TEST_F(SnapshotFileTest, SaysWhereItCouldNotWrite) {
  const auto file = SnapshotFile::Create(env_->files(), folder_ + "/missing/snap.db");
  EXPECT_TRUE(
      Message(file.status()).starts_with("could not open " + folder_ + "/missing/snap.db.part ("))
      << file.status();
}

}  // namespace
}  // namespace quoin::ctl
