// Logs that etcd wrote, sound and damaged: vectors/datadir of the shared material (QUOIN_SHARED, or
// beside the source tree). The tests say when it is absent.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "env/posix/posix_env.h"
#include "raft_types/codec.h"
#include "wal/record.h"
#include "wal/segment.h"
#include "wal/wal.h"

namespace quoin::wal {
namespace {

namespace fs = std::filesystem;

fs::path Vectors() {
  const char* given = std::getenv("QUOIN_SHARED");
  const fs::path shared =
      given != nullptr ? fs::path(given) : fs::path(QUOIN_SOURCE_DIR) / "../shared";
  return shared / "vectors/datadir";
}

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string out(fs::file_size(path), '\0');
  in.read(out.data(), static_cast<std::streamsize>(out.size()));
  return out;
}

// A piece of JSON text: the object, list or scalar that follows `"name":`, the first one in `json`.
std::string Value(const std::string& json, const std::string& name) {
  const std::string key = "\"" + name + "\": ";
  size_t at = json.find(key);
  if (at == std::string::npos) return "";
  at += key.size();
  if (json[at] == '"') return json.substr(at + 1, json.find('"', at + 1) - at - 1);
  int depth = 0;
  for (size_t end = at; end < json.size(); ++end) {
    const char c = json[end];
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (depth < 0 || (depth == 0 && (c == ',' || c == '\n'))) return json.substr(at, end - at);
    if (depth == 0 && (c == '}' || c == ']')) return json.substr(at, end + 1 - at);
  }
  return json.substr(at);
}

uint64_t Number(const std::string& json, const std::string& name) {
  return std::strtoull(Value(json, name).c_str(), nullptr, 10);
}

uint64_t Hex(const std::string& json, const std::string& name) {
  return std::strtoull(Value(json, name).c_str(), nullptr, 16);
}

// A vector unpacked into a directory of its own.
class Vector {
 public:
  explicit Vector(const std::string& name) : expect_(ReadFile(Vectors() / name / "expect.json")) {
    std::string pattern = (fs::temp_directory_path() / "quoin-wal-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
    const fs::path archive = Vectors() / name / "data.tar.gz";
    const int status =
        std::system(("tar -xzf '" + archive.string() + "' -C '" + path_.string() + "'").c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << archive;
  }
  ~Vector() { fs::remove_all(path_); }
  const std::string& expect() const { return expect_; }
  std::string wal() const { return (path_ / "member/wal").string(); }
  std::string snap() const { return (path_ / "member/snap").string(); }

 private:
  std::string expect_;
  fs::path path_;
};

std::vector<std::string> VectorNames(const std::string& part) {
  std::vector<std::string> out;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(Vectors(), absent)) {
    const std::string name = entry.path().filename().string();
    if (name.find(part) != std::string::npos) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

// Each file of a directory: its size and when it was written to.
std::map<std::string, std::pair<uintmax_t, fs::file_time_type>> Files(const std::string& dir) {
  std::map<std::string, std::pair<uintmax_t, fs::file_time_type>> out;
  for (const auto& entry : fs::directory_iterator(dir)) {
    out[entry.path().filename().string()] = {entry.file_size(), entry.last_write_time()};
  }
  return out;
}

class WalVectors : public testing::Test {
 protected:
  void SetUp() override {
    if (VectorNames("3.7.1").empty()) GTEST_SKIP() << "no vectors at " << Vectors();
  }
  env::BlockingFileSystem& files() { return files_->blocking(); }
  StatusOr<Recovered> Read(const Vector& vector, ReadMode mode, Index floor = Index()) {
    return Recover(files(), vector.wal(), mode, floor, log_);
  }
  void ExpectRefused(const std::string& name, const std::string& message_part) {
    Vector vector(name);
    const auto before = Files(vector.wal());
    StatusOr<Recovered> recovered = Read(vector, ReadMode::kRepair);
    EXPECT_TRUE(absl::IsDataLoss(recovered.status())) << name << ": " << recovered.status();
    EXPECT_NE(recovered.status().message().find(message_part), std::string::npos)
        << name << ": " << recovered.status();
    EXPECT_EQ(Files(vector.wal()), before) << name;
  }
  void ExpectCut(const std::string& name, uint64_t at) {
    Vector vector(name);
    const std::string segment = SegmentName{0, Index(0)}.text();
    const std::string before = ReadFile(vector.wal() + "/" + segment);
    StatusOr<Recovered> read = Read(vector, ReadMode::kReadOnly);
    ASSERT_TRUE(read.ok()) << name << ": " << read.status();
    EXPECT_EQ(read->end.offset, at) << name;
    StatusOr<Recovered> recovered = Read(vector, ReadMode::kRepair);
    ASSERT_TRUE(recovered.ok()) << name << ": " << recovered.status();
    EXPECT_TRUE(recovered->repaired);
    EXPECT_EQ(recovered->entries.back().index, Index(103)) << name;
    EXPECT_TRUE(ReadFile(vector.wal() + "/" + segment + ".broken") == before) << name;
    StatusOr<Recovered> again = Read(vector, ReadMode::kReadOnly);
    ASSERT_TRUE(again.ok()) << name << ": " << again.status();
    EXPECT_FALSE(again->repaired) << name;
    EXPECT_EQ(again->entries, recovered->entries);
  }

  std::unique_ptr<env::FileSystem> files_ = env::NewPosixFileSystem();
  NullLogger log_;
};

void CompareWithExpectation(const Recovered& recovered, const std::string& wal) {
  // The counts by type name "metadata" too; the list is the one that is meant.
  const std::string metadata = wal.substr(wal.find("\"metadata\": ["));
  EXPECT_EQ(recovered.metadata.node_id, Hex(metadata, "node_id"));
  EXPECT_EQ(recovered.metadata.cluster_id, Hex(metadata, "cluster_id"));
  const std::string state = Value(wal, "last_hard_state");
  EXPECT_EQ(recovered.hard_state,
            (raft::HardState{Term(Number(state, "term")), NodeId(Hex(state, "vote")),
                             Index(Number(state, "commit"))}));
  const std::string snapshots = Value(wal, "snapshot_records");
  size_t count = 0;
  for (size_t at = 0; (at = snapshots.find("\"index\"", at)) != std::string::npos; ++at) {
    ASSERT_LT(count, recovered.snapshots.size());
    EXPECT_EQ(recovered.snapshots[count].index, Index(Number(snapshots.substr(at), "index")));
    EXPECT_EQ(recovered.snapshots[count].term, Term(Number(snapshots.substr(at), "term")));
    ++count;
  }
  EXPECT_EQ(recovered.snapshots.size(), count);
  const std::string entries = Value(wal, "entries");
  const Index last(Number(entries, "last"));
  EXPECT_EQ(recovered.start.index + recovered.entries.size(), last);
  for (size_t i = 0; i < recovered.entries.size(); ++i) {
    ASSERT_EQ(recovered.entries[i].index, recovered.start.index + 1 + i);
  }
}

TEST_F(WalVectors, SoundLogsReadAsTheirDescriptionSays) {
  size_t read = 0;
  for (const std::string& name : VectorNames("3.")) {
    if (name.find("broken") != std::string::npos || name.find("snapshot-file") != std::string::npos)
      continue;
    SCOPED_TRACE(name);
    Vector vector(name);
    const auto before = Files(vector.wal());
    StatusOr<Recovered> recovered = Read(vector, ReadMode::kReadOnly);
    ASSERT_TRUE(recovered.ok()) << recovered.status();
    EXPECT_FALSE(recovered->repaired);
    CompareWithExpectation(*recovered, Value(vector.expect(), "wal"));
    EXPECT_EQ(Files(vector.wal()), before);
    ++read;
  }
  EXPECT_GE(read, 40u);
}

// What the newest version wrote is what we would write: each record encoded again is the same
// bytes.
TEST_F(WalVectors, RecordsOfTheNewestVersionAreEncodedToTheSameBytes) {
  size_t records = 0;
  for (const std::string& name : VectorNames("3.7.1-")) {
    if (name.find("broken") != std::string::npos || name.find("snapshot-file") != std::string::npos)
      continue;
    SCOPED_TRACE(name);
    Vector vector(name);
    const std::vector<SegmentName> segments = ListSegments(files(), vector.wal()).value();
    for (const SegmentName& segment : segments) {
      const std::string bytes = ReadFile(vector.wal() + "/" + segment.text());
      FrameWriter frames;
      size_t at = 0;
      for (Frame frame;
           (frame = ParseFrame(std::string_view(bytes).substr(at))).kind == Frame::Kind::kRecord;
           at += frame.bytes) {
        const Record& record = frame.record;
        std::string data, again;
        switch (record.type) {
          case RecordType::kCrc:
            frames.set_crc(record.crc);
            break;
          case RecordType::kMetadata:
            data = EncodeMetadata(*DecodeMetadata(record.data));
            break;
          case RecordType::kEntry:
            raft::EncodeEntry(*raft::DecodeEntry(record.data), data);
            break;
          case RecordType::kState:
            raft::EncodeHardState(*raft::DecodeHardState(record.data), data);
            break;
          case RecordType::kSnapshot:
            data = EncodeSnapshotRecord(*DecodeSnapshotRecord(record.data));
            break;
        }
        // A restore tool wrote the configurations of restored directories: it leaves a false out.
        if (record.type == RecordType::kSnapshot && data.size() == record.data.size() + 2)
          data = record.data;
        if (record.type == RecordType::kCrc) {
          frames.AppendCrc(again);
        } else {
          frames.Append(record.type, data, again);
        }
        ASSERT_EQ(again, bytes.substr(at, frame.bytes)) << segment.text() << " at " << at;
        ++records;
      }
    }
  }
  EXPECT_GE(records, 5000u);
}

TEST_F(WalVectors, SnapFilesReadAsTheirDescriptionSays) {
  size_t read = 0;
  for (const std::string& name : VectorNames("-segments")) {
    SCOPED_TRACE(name);
    Vector vector(name);
    for (const auto& entry : fs::directory_iterator(vector.snap())) {
      if (entry.path().extension() != ".snap") continue;
      StatusOr<raft::Snapshot> snapshot = ReadSnapFile(files(), entry.path().string());
      ASSERT_TRUE(snapshot.ok()) << snapshot.status();
      char expected[64];
      std::snprintf(expected, sizeof expected, "%016lx-%016lx.snap",
                    snapshot->metadata.term.value(), snapshot->metadata.index.value());
      EXPECT_EQ(entry.path().filename(), expected);
      EXPECT_TRUE(snapshot->data.view().starts_with("{\"Root\":"));
      const std::string original = ReadFile(entry.path());
      ASSERT_TRUE(WriteSnapFile(files(), vector.wal(), *snapshot).ok());
      EXPECT_EQ(ReadFile(vector.wal() + "/" + expected), original);
      ++read;
    }
  }
  EXPECT_GE(read, 3u);
}

// ---- damaged on purpose: `careful_implementation` of each ----

TEST_F(WalVectors, GoodRecordsBehindDamageAreNeverGivenUp) {
  ExpectRefused("3.7.1-broken-zero-sector-middle", "at offset 113560");
  ExpectRefused("3.7.1-broken-zero-sector-applied", "at offset 24280");
  ExpectRefused("3.7.1-broken-length-zero-middle", "at offset 113560");
  ExpectRefused("3.7.1-broken-length-too-long-middle", "at offset 113560");
  ExpectRefused("3.7.1-broken-length-slightly-long-middle", "at offset 113560");
}

TEST_F(WalVectors, TheRefusalNamesTheEntryBefore) {
  ExpectRefused("3.7.1-broken-zero-sector-middle", "entry 80");
  ExpectRefused("3.7.1-broken-zero-sector-applied", "entry 20");
}

TEST_F(WalVectors, AFlippedBitInTheLastRecordIsNoTornWrite) {
  ExpectRefused("3.7.1-broken-bad-crc-last", "at offset 147784");
}

TEST_F(WalVectors, ATornTailIsCutAndKeptAside) {
  ExpectCut("3.7.1-broken-torn-tail", 147784);
  ExpectCut("3.7.1-broken-length-too-long-last", 147784);
}

TEST_F(WalVectors, ATornTailThatTheDataFileHoldsIsRefused) {
  Vector vector("3.7.1-broken-torn-tail");
  const auto before = Files(vector.wal());
  EXPECT_TRUE(absl::IsDataLoss(Read(vector, ReadMode::kRepair, Index(104)).status()));
  EXPECT_EQ(Files(vector.wal()), before);
}

TEST_F(WalVectors, AMissingOlderSegmentIsNoHarmBehindASnapshot) {
  Vector vector("3.7.1-broken-wal-first-segment-missing");
  StatusOr<Recovered> recovered = Read(vector, ReadMode::kRepair);
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_FALSE(recovered->repaired);
  EXPECT_EQ(recovered->start.index + recovered->entries.size(),
            Index(Number(Value(vector.expect(), "base"), "last_index_in_wal")));
}

}  // namespace
}  // namespace quoin::wal
