// Hostile data files: CheckFile, Open, and walking and changing what Open lets through. Refusals
// name the file; there is never a crash, an endless loop, or memory beyond a few times the file's
// size.
//
// The first byte says whether the metas are mended first (checksums made right, so that the fuzzer
// gets past them).

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/check.h"
#include "btree/tree.h"

namespace quoin::btree {
namespace {

// One file in memory. Thread: one.
class MemoryFile final : public env::File, public env::BlockingFile {
 public:
  explicit MemoryFile(std::string& data) : data_(data) {}
  StatusOr<size_t> Read(uint64_t offset, std::span<char> into) override {
    return offset >= data_.size() ? 0 : data_.copy(into.data(), into.size(), offset);
  }
  Status Write(uint64_t offset, std::string_view bytes) override {
    if (data_.size() < offset + bytes.size()) data_.resize(offset + bytes.size());
    data_.replace(offset, bytes.size(), bytes);
    return OkStatus();
  }
  Status Sync() override { return OkStatus(); }
  Status Resize(uint64_t size) override {
    CHECK_LE(size, uint64_t{64} << 20);
    data_.resize(size);
    return OkStatus();
  }
  Status Allocate(uint64_t size) override { return Resize(size); }
  StatusOr<uint64_t> Size() override { return data_.size(); }
  void Read(uint64_t, std::span<char>, env::Executor&, env::DoneStatus) override { CHECK(false); }
  void Write(uint64_t, std::vector<std::string_view>, env::Executor&, env::DoneStatus) override {
    CHECK(false);
  }
  void Sync(env::Executor&, env::DoneStatus) override { CHECK(false); }
  void Resize(uint64_t, env::Executor&, env::DoneStatus) override { CHECK(false); }
  env::BlockingFile& blocking() override { return *this; }
  const std::string& path() const override { return path_; }

 private:
  std::string& data_;
  const std::string path_ = "db";
};

// A directory with that one file. Thread: one.
class MemoryFiles final : public env::BlockingFileSystem {
 public:
  explicit MemoryFiles(std::string data) : data_(std::move(data)) {}
  StatusOr<std::unique_ptr<env::File>> Open(const std::string&, env::OpenMode, uint32_t) override {
    return std::unique_ptr<env::File>(new MemoryFile(data_));
  }
  Status Rename(const std::string&, const std::string&) override { return OkStatus(); }
  Status Remove(const std::string&) override { return OkStatus(); }
  Status RemoveAll(const std::string&) override { return OkStatus(); }
  Status MakeDirectory(const std::string&, uint32_t) override { return OkStatus(); }
  Status SyncDirectory(const std::string&) override { return OkStatus(); }
  StatusOr<std::vector<std::string>> List(const std::string&) override {
    return std::vector<std::string>();
  }
  StatusOr<env::FileInfo> Stat(const std::string&) override {
    return env::FileInfo{data_.size(), false, 0600};
  }
  StatusOr<std::unique_ptr<env::FileLock>> Lock(const std::string&, bool) override {
    return absl::UnimplementedError("no locks here");
  }
  const std::string& data() const { return data_; }

 private:
  std::string data_;
};

// Gives both meta pages a valid head and checksum; root, mark and txid stay the fuzzer's.
void MendMetas(std::string& file) {
  constexpr uint32_t kPage = 1024;
  for (PageId id = 0; id < 2 && file.size() >= (id + 1) * kPage; ++id) {
    const char* meta = file.data() + id * kPage + kPageHeaderBytes;
    Meta mended;
    mended.page_size = kPage;
    mended.root = Load<uint64_t>(meta + 16);
    mended.high_water = Load<uint64_t>(meta + 40);
    mended.txid = Load<uint64_t>(meta + 48);
    file.replace(id * kPage, kPageHeaderBytes + kMetaBytes, mended.Encode(id), 0,
                 kPageHeaderBytes + kMetaBytes);
  }
}

void Walk(const Snapshot& snapshot) {
  for (const std::string& name : snapshot.Buckets()) {
    size_t count = 0;
    Cursor cursor = snapshot.NewCursor(name, OnMiss::kLoad);
    CHECK(cursor.SeekFirst().ok());
    for (; cursor.Valid(); ++count) {
      CHECK(snapshot.Get(name, cursor.key(), OnMiss::kLoad)->has_value());
      CHECK(cursor.Next().ok());
    }
    CHECK(cursor.SeekLast().ok());
    for (; cursor.Valid(); --count) CHECK(cursor.Prev().ok());
    CHECK_EQ(count, 0u);
  }
}

void ExpectSound(const CheckReport& report) {
  CHECK(report.problems.empty()) << report.problems[0];
}

// A file that was let through must bear changes, and be sound afterwards if it was before (Open
// takes files on which the check is stricter).
void Change(MemoryFiles& files, Tree& tree, bool sound) {
  Writer& writer = tree.writer();
  CHECK(writer.CreateBucket("fuzz").ok());
  for (int i = 0; i < 50; ++i) {
    CHECK(writer.Put("fuzz", "k" + std::to_string(i), std::string(100, 'v')).ok());
  }
  std::vector<std::string> names;
  {
    EpochDomain::ReaderSlot slot(tree.epochs());
    EpochDomain::Guard guard(slot);
    names = tree.Current().Buckets();
  }
  for (const std::string& name : names) {
    Cursor cursor = writer.NewCursor(name);
    CHECK(cursor.SeekFirst().ok());
    if (cursor.Valid()) CHECK(writer.Delete(name, std::string(cursor.key())).ok());
  }
  writer.Publish();
  CHECK(tree.CheckpointNow().ok());
  if (!sound) return;
  ExpectSound(tree.Check());
  ExpectSound(CheckFile(files, "db"));
}

}  // namespace

void FuzzOne(const uint8_t* data, size_t size) {
  if (size < 2 || size > (1 << 20)) return;
  std::string file(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 1) != 0) MendMetas(file);
  MemoryFiles files(file);
  const bool sound = CheckFile(files, "db").problems.empty();
  CHECK(files.data() == file) << "a check changed the file";
  StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(files, "db", {.cache_bytes = 64 << 10});
  if (!tree.ok()) {
    CHECK(!sound);
    CHECK(files.data() == file) << "a refused file was changed";
    CHECK(tree.status().message().find("db") != std::string::npos);
    return;
  }
  {
    EpochDomain::ReaderSlot slot((*tree)->epochs());
    EpochDomain::Guard guard(slot);
    Walk((*tree)->Current());
  }
  Change(files, **tree, sound);
}

}  // namespace quoin::btree

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quoin::btree::FuzzOne(data, size);
  return 0;
}
