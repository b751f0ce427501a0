// The log as a whole, on a simulated disk: what is acknowledged comes back, whatever step the power
// fails at; what is damaged is refused; errors are final.

#include "wal/wal.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "env/sim/sim_disk.h"
#include "env/sim/sim_world.h"
#include "wal/record.h"
#include "wal/segment.h"

namespace quoin::wal {
namespace {

constexpr char kDir[] = "/data/member/wal";
constexpr Metadata kWho{7, 9};
constexpr uint64_t kSectorBytes = 512;

// Logger that counts warnings.
class CountingLog final : public Logger {
 public:
  void Write(LogLevel level, std::source_location, std::string_view, const LogField*,
             size_t) override {
    warnings += level == LogLevel::kWarn;
  }
  bool Enabled(LogLevel) const override { return true; }
  int warnings = 0;
};

// What a reader of the log must find: entries by index, and the newest hard state.
struct Model {
  std::map<uint64_t, std::pair<uint64_t, std::string>> entries;  // index → term, data
  raft::HardState hard_state;

  void Take(const Writer::Batch& batch) {
    for (const raft::Entry& entry : batch.entries) {
      entries.erase(entries.lower_bound(entry.index.value()), entries.end());
      entries[entry.index.value()] = {entry.term.value(), std::string(entry.data.view())};
    }
    if (batch.hard_state) hard_state = *batch.hard_state;
  }
  friend bool operator==(const Model&, const Model&) = default;
  friend void PrintTo(const Model& model, std::ostream* out) {
    *out << model.entries.size() << " entries, term " << model.hard_state.term << ", commit "
         << model.hard_state.commit;
  }
};

Model ModelOf(const Recovered& recovered) {
  Model out;
  out.Take({recovered.entries, recovered.hard_state, std::nullopt, true});
  return out;
}

raft::Entry MakeEntry(uint64_t term, uint64_t index, std::string data) {
  return {Term(term), Index(index), raft::EntryType::kNormal, SharedBytes(data)};
}

raft::HardState MakeState(uint64_t term, uint64_t commit) {
  return {Term(term), NodeId(7), Index(commit)};
}

// One machine: a disk that outlives the programs on it.
class Machine {
 public:
  explicit Machine(uint64_t seed = 1, uint64_t segment_bytes = 16384)
      : world_(seed), disk_(&world_) {
    options_.segment_bytes = segment_bytes;
    EXPECT_TRUE(disk_.MakeDirectory("/data/member", 0700).ok());
    EXPECT_TRUE(disk_.SyncDirectory("/data").ok());
  }
  ~Machine() { Stop(); }

  env::SimDisk& disk() { return disk_; }
  env::SimWorld& world() { return world_; }
  Writer& writer() { return *writer_; }
  CountingLog& log() { return log_; }

  Status Create(const Writer::Batch& first) {
    loop_ = std::make_unique<env::SimExecutor>(world_);
    ASSIGN_OR_RETURN(writer_, Writer::Create(disk_, kDir, kWho, first, options_, *loop_, log_));
    return OkStatus();
  }
  StatusOr<Recovered> Read(ReadMode mode = ReadMode::kReadOnly, Index floor = Index()) {
    return Recover(disk_, kDir, mode, floor, log_);
  }
  StatusOr<Recovered> Open(Index floor = Index()) {
    Stop();
    ASSIGN_OR_RETURN(Recovered recovered, Read(ReadMode::kRepair, floor));
    loop_ = std::make_unique<env::SimExecutor>(world_);
    ASSIGN_OR_RETURN(writer_, Writer::Open(disk_, kDir, recovered, options_, *loop_, log_));
    return recovered;
  }
  // Hands a batch to the writer; `answer` is set when it is done.
  void Append(Writer::Batch batch, std::optional<Status>& answer) {
    loop_->Post([this, batch = std::move(batch), &answer]() mutable {
      writer_->Append(std::move(batch), [&answer](Status status) { answer = std::move(status); });
    });
  }
  Status AppendAndWait(Writer::Batch batch) {
    std::optional<Status> answer;
    Append(std::move(batch), answer);
    world_.RunUntil([&] { return answer.has_value(); }, 100000);
    Settle();
    return answer.value_or(absl::InternalError("no answer"));
  }
  void Settle() {
    while (world_.Step()) {
    }
  }
  Status Close() {
    std::optional<Status> answer;
    loop_->Post([&] { writer_->Close([&](Status status) { answer = std::move(status); }); });
    world_.RunUntil([&] { return answer.has_value(); }, 100000);
    Settle();
    Stop();
    return answer.value_or(absl::InternalError("no answer"));
  }
  // The program is gone; what it wrote is there.
  void Stop() {
    Settle();
    writer_.reset();
    loop_.reset();
  }
  void Crash(uint64_t seed) {
    Stop();
    Prng random(seed);
    disk_.set_power_fails_at(UINT64_MAX);
    disk_.Crash(random);
  }

  std::string Bytes(const std::string& path) {
    auto file = disk_.Open(path, env::OpenMode::kRead, 0600);
    EXPECT_TRUE(file.ok()) << file.status();
    std::string out((*file)->blocking().Size().value(), '\0');
    EXPECT_TRUE((*file)->blocking().Read(0, out).ok());
    return out;
  }
  void Replace(const std::string& path, const std::string& bytes) {
    auto file = disk_.Open(path, env::OpenMode::kCreateTrunc, 0600);
    ASSERT_TRUE(file.ok() && (*file)->blocking().Write(0, bytes).ok());
    ASSERT_TRUE((*file)->blocking().Sync().ok());
  }
  std::vector<std::string> Names() { return disk_.List(kDir).value(); }
  // Every file of the log with its content.
  std::map<std::string, std::string> Image() {
    std::map<std::string, std::string> out;
    for (const std::string& name : Names()) out[name] = Bytes(std::string(kDir) + "/" + name);
    return out;
  }

 private:
  env::SimWorld world_;
  env::SimDisk disk_;
  CountingLog log_;
  Options options_;
  std::unique_ptr<env::SimExecutor> loop_;
  std::unique_ptr<Writer> writer_;
};

std::string SegmentPath(uint64_t sequence, uint64_t first_index) {
  return std::string(kDir) + "/" + SegmentName{sequence, Index(first_index)}.text();
}

// Random batches as a member's life gives them: appends, overwritten tails, commits.
class Life {
 public:
  explicit Life(uint64_t seed) : random_(seed) {}
  Writer::Batch First() { return {{Put(60)}, MakeState(term_, last_), std::nullopt, true}; }
  Writer::Batch Next() {
    if (last_ > commit_ && random_() % 8 == 0) {  // a new leader's log wins
      ++term_;
      last_ = commit_ + random_() % (last_ - commit_);
    }
    Writer::Batch batch;
    for (uint64_t n = 1 + random_() % 4; n > 0; --n) batch.entries.push_back(Put(random_() % 900));
    if (random_() % 2 == 0) commit_ += random_() % (last_ - commit_ + 1);
    batch.hard_state = MakeState(term_, commit_);
    return batch;
  }
  uint64_t commit() const { return commit_; }
  uint64_t term() const { return term_; }

 private:
  raft::Entry Put(size_t bytes) {
    // Some values are zeros: they must not look like what was never written.
    std::string data(bytes, random_() % 5 == 0 ? '\0' : 'x');
    if (!data.empty() && data[0] != '\0') {
      for (char& c : data) c = static_cast<char>(random_());
    }
    return MakeEntry(term_, ++last_, data);
  }
  std::mt19937_64 random_;
  uint64_t term_ = 1, last_ = 0, commit_ = 1;
};

// ---- frames ----

TEST(Frames, TheFirstRecordsOfALogAreEtcds) {
  FrameWriter frames;
  std::string out;
  frames.AppendCrc(out);
  EXPECT_EQ(out, std::string("\x04\0\0\0\0\0\0\x84\x08\x04\x10\0\0\0\0\0", 16));
  const Frame frame = ParseFrame(out);
  EXPECT_EQ(frame.kind, Frame::Kind::kRecord);
  EXPECT_EQ(frame.bytes, 16u);
  EXPECT_EQ(frame.record.type, RecordType::kCrc);
}

TEST(Frames, RecordsOfEveryLengthComeBackAligned) {
  FrameWriter frames;
  std::string out;
  for (size_t n = 0; n < 300; ++n) {
    const size_t at = out.size();
    frames.Append(RecordType::kEntry, std::string(n, 'e'), out);
    const Frame frame = ParseFrame(std::string_view(out).substr(at));
    ASSERT_EQ(frame.kind, Frame::Kind::kRecord);
    EXPECT_EQ(frame.bytes, out.size() - at);
    EXPECT_EQ(frame.bytes % 8, 0u);
    EXPECT_EQ(frame.record.data, std::string(n, 'e'));
    EXPECT_EQ(frame.record.crc, frames.crc());
  }
}

TEST(Frames, LengthsThatLieAreNoRecords) {
  EXPECT_EQ(ParseFrame("").kind, Frame::Kind::kEnd);
  EXPECT_EQ(ParseFrame(std::string(64, '\0')).kind, Frame::Kind::kEnd);
  EXPECT_EQ(ParseFrame(std::string(64, '\xff')).kind, Frame::Kind::kOverrun);
  EXPECT_EQ(ParseFrame(std::string("\x01\0\0", 3)).kind, Frame::Kind::kOverrun);
  std::string bytes(64, '\0');
  bytes[0] = 8;
  EXPECT_EQ(ParseFrame(bytes).kind, Frame::Kind::kMalformed);
}

TEST(Names, AreEtcds) {
  EXPECT_EQ((SegmentName{1, Index(255)}.text()), "0000000000000001-00000000000000ff.wal");
  EXPECT_FALSE(ParseSegmentName("0000000000000001-00000000000000ff.wal.broken"));
  EXPECT_FALSE(ParseSegmentName("0.tmp"));
  EXPECT_FALSE(ParseSegmentName("000000000000000g-00000000000000ff.wal"));
}

// ---- a life without faults ----

TEST(Log, ComesBackAfterManyAppendsOverwritesAndCuts) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Machine machine(seed, 4096);
  Life life(seed);
  Model model;
  const Writer::Batch first = life.First();
  model.Take(first);
  ASSERT_TRUE(machine.Create(first).ok());
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 30; ++i) {
      const Writer::Batch batch = life.Next();
      model.Take(batch);
      ASSERT_TRUE(machine.AppendAndWait(batch).ok());
    }
    ASSERT_TRUE(machine.Close().ok());
    StatusOr<Recovered> recovered = machine.Open(Index(life.commit()));
    ASSERT_TRUE(recovered.ok()) << recovered.status();
    EXPECT_EQ(ModelOf(*recovered), model);
    EXPECT_EQ(recovered->metadata, kWho);
    EXPECT_FALSE(recovered->repaired);
  }
  EXPECT_GT(machine.Names().size(), 20u);
  EXPECT_EQ(machine.log().warnings, 0);
}

TEST(Log, BatchesThatWaitShareOneSync) {
  Machine machine;
  ASSERT_TRUE(machine.Create({{MakeEntry(1, 1, "a")}, MakeState(1, 1), {}, true}).ok());
  int syncs = 0;
  machine.writer().set_on_fsync([&](env::Duration took) {
    EXPECT_GE(took.count(), 0);
    ++syncs;
  });
  std::vector<std::optional<Status>> answers(100);
  for (size_t i = 0; i < answers.size(); ++i) {
    machine.Append({{MakeEntry(1, i + 2, "b")}, std::nullopt, {}, true}, answers[i]);
  }
  machine.Settle();
  for (const auto& answer : answers) EXPECT_TRUE(answer && answer->ok());
  EXPECT_LE(syncs, 20);
  EXPECT_EQ(machine.Read()->entries.size(), 101u);
}

TEST(Log, ACommitAloneIsNotSynced) {
  Machine machine;
  ASSERT_TRUE(machine.Create({{MakeEntry(1, 1, "a")}, MakeState(1, 0), {}, true}).ok());
  int syncs = 0;
  machine.writer().set_on_fsync([&](env::Duration) { ++syncs; });
  ASSERT_TRUE(machine.AppendAndWait({{}, MakeState(1, 1), {}, false}).ok());
  EXPECT_EQ(syncs, 0);
  ASSERT_TRUE(machine.AppendAndWait({{}, MakeState(2, 1), {}, true}).ok());
  EXPECT_EQ(syncs, 1);
  ASSERT_TRUE(machine.Close().ok());
  EXPECT_EQ(machine.Read()->hard_state, MakeState(2, 1));
}

TEST(Log, StartsAtTheNewestCommittedSnapshot) {
  Machine machine(1, 2048);
  ASSERT_TRUE(machine.Create({{MakeEntry(1, 1, "a")}, MakeState(1, 1), {}, true}).ok());
  for (uint64_t i = 2; i <= 60; ++i) {
    ASSERT_TRUE(
        machine.AppendAndWait({{MakeEntry(1, i, "data data")}, MakeState(1, i), {}, true}).ok());
  }
  const raft::ConfState conf{{NodeId(7)}, {}, {}, {}, false};
  ASSERT_TRUE(machine.AppendAndWait({{}, {}, SnapshotRecord{Index(50), Term(1), conf}, true}).ok());
  ASSERT_TRUE(machine.AppendAndWait({{}, {}, SnapshotRecord{Index(90), Term(1), conf}, true}).ok());
  StatusOr<Recovered> recovered = machine.Read();
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_EQ(recovered->start.index, Index(50));
  EXPECT_EQ(recovered->start.conf_state, conf);
  EXPECT_EQ(recovered->snapshots.size(), 3u);  // the one at 0 that begins every log too
  ASSERT_EQ(recovered->entries.size(), 10u);
  EXPECT_EQ(recovered->entries.front().index, Index(51));
}

TEST(Log, ReleasesWhatASnapshotCovers) {
  Machine machine(1, 2048);
  ASSERT_TRUE(machine.Create({{MakeEntry(1, 1, "a")}, MakeState(1, 1), {}, true}).ok());
  for (uint64_t i = 2; i <= 200; ++i) {
    ASSERT_TRUE(
        machine.AppendAndWait({{MakeEntry(1, i, "data data")}, MakeState(1, i), {}, true}).ok());
  }
  ASSERT_TRUE(machine.AppendAndWait({{}, {}, SnapshotRecord{Index(150), Term(1), {}}, true}).ok());
  const size_t before = ListSegments(machine.disk(), kDir)->size();
  ASSERT_GT(before, 5u);
  machine.writer().ReleaseTo(Index(150), before);
  machine.Settle();
  EXPECT_EQ(ListSegments(machine.disk(), kDir)->size(), before);
  machine.writer().ReleaseTo(Index(150), 1);
  machine.Settle();
  EXPECT_LT(ListSegments(machine.disk(), kDir)->size(), before);
  StatusOr<Recovered> recovered = machine.Open(Index(200));
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_EQ(recovered->start.index, Index(150));
  EXPECT_EQ(recovered->entries.size(), 50u);
}

// ---- what is refused ----

class Refused : public testing::Test {
 protected:
  Refused() : machine_(1, 2048) {
    EXPECT_TRUE(machine_.Create({{MakeEntry(1, 1, "a")}, MakeState(1, 1), {}, true}).ok());
    for (uint64_t i = 2; i <= 100; ++i) {
      EXPECT_TRUE(
          machine_.AppendAndWait({{MakeEntry(1, i, "some data")}, MakeState(1, i), {}, true}).ok());
    }
    EXPECT_TRUE(machine_.Close().ok());
  }
  void ExpectRefused(Index floor = Index()) {
    const auto before = machine_.Image();
    StatusOr<Recovered> recovered = machine_.Read(ReadMode::kRepair, floor);
    EXPECT_TRUE(absl::IsDataLoss(recovered.status())) << recovered.status();
    EXPECT_EQ(machine_.Image(), before);
  }
  std::string Segment(size_t i) {
    return std::string(kDir) + "/" + ListSegments(machine_.disk(), kDir)->at(i).text();
  }
  Machine machine_;
};

TEST_F(Refused, AnEndBeforeWhatTheDataFileHolds) {
  EXPECT_TRUE(machine_.Read(ReadMode::kRepair, Index(100)).ok());
  ExpectRefused(Index(101));
}

TEST_F(Refused, AMissingSegmentInTheMiddle) {
  ASSERT_TRUE(machine_.disk().Remove(Segment(1)).ok());
  ExpectRefused();
}

TEST_F(Refused, AMissingFirstSegmentWithoutASnapshot) {
  ASSERT_TRUE(machine_.disk().Remove(Segment(0)).ok());
  ExpectRefused();
}

TEST_F(Refused, AMissingLastSegmentWhenTheDataFileKnowsMore) {
  ASSERT_TRUE(machine_.disk().Remove(Segment(machine_.Names().size() - 1)).ok());
  ExpectRefused(Index(100));
}

TEST_F(Refused, AnOlderSegmentThatIsCutShort) {
  const std::string bytes = machine_.Bytes(Segment(0));
  machine_.Replace(Segment(0), bytes.substr(0, bytes.size() / 16 * 8));
  ExpectRefused();
}

TEST_F(Refused, ASegmentOfAnotherMember) {
  Metadata other = kWho;
  other.node_id = 8;
  std::string bytes = machine_.Bytes(Segment(1));
  const size_t at = bytes.find(EncodeMetadata(kWho));
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, EncodeMetadata(kWho).size(), EncodeMetadata(other));
  machine_.Replace(Segment(1), bytes);
  ExpectRefused();
}

TEST_F(Refused, TheMessageNamesFileAndOffset) {
  std::string bytes = machine_.Bytes(Segment(1));
  bytes[600] ^= 1;
  machine_.Replace(Segment(1), bytes);
  const Status status = machine_.Read(ReadMode::kReadOnly).status();
  EXPECT_NE(status.message().find(Segment(1) + " at offset "), std::string::npos) << status;
}

// ---- damage at every place ----

// A log in one segment, and where its last write begins: without a second witness, what is damaged
// inside the last write cannot be told from a write that the power interrupted.
struct SmallLog {
  Machine machine{3, 8192};
  Model model;
  std::string path = SegmentPath(0, 0), bytes;
  size_t last_write = 0, end = 0;

  SmallLog() {
    const Writer::Batch first{{MakeEntry(1, 1, "first")}, MakeState(1, 1), {}, true};
    EXPECT_TRUE(machine.Create(first).ok());
    model.Take(first);
    for (uint64_t i = 2; i <= 12; ++i) {
      last_write = EndOf(machine.Bytes(path));
      const Writer::Batch batch{
          {MakeEntry(1, i, std::string(40 * (i % 7), 'v'))}, MakeState(1, i), {}, true};
      EXPECT_TRUE(machine.AppendAndWait(batch).ok());
      model.Take(batch);
    }
    EXPECT_TRUE(machine.Close().ok());
    bytes = machine.Bytes(path);
    end = EndOf(bytes);
  }
  static size_t EndOf(std::string_view bytes) {
    size_t at = 0;
    for (Frame frame; (frame = ParseFrame(bytes.substr(at))).kind == Frame::Kind::kRecord;) {
      at += frame.bytes;
    }
    return at;
  }
  // Whether reading the damaged log is honest: refused and untouched, or everything is there.
  void ExpectHonest(const std::string& damaged, const std::string& what) {
    machine.Replace(path, damaged);
    StatusOr<Recovered> recovered = machine.Read(ReadMode::kRepair);
    if (!recovered.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(recovered.status())) << what << ": " << recovered.status();
      EXPECT_EQ(machine.Bytes(path), damaged) << what;
    } else {
      EXPECT_EQ(ModelOf(*recovered), model) << what << ": acknowledged records are gone";
    }
  }
};

TEST(Damage, AnEmptySectorBeforeTheLastWriteIsSeen) {
  SmallLog log;
  for (size_t at = 0; at + kSectorBytes <= log.last_write; at += kSectorBytes) {
    std::string damaged = log.bytes;
    damaged.replace(at, kSectorBytes, kSectorBytes, '\0');
    log.ExpectHonest(damaged, "empty sector at " + std::to_string(at));
  }
}

// ---- power failures ----

// A member's life with a power failure at operation `fails_at`; what it was told is kept.
struct Told {
  Model acknowledged;
  std::vector<Model> possible;  // what may be there beyond: any first part of what was under way
};

Told LiveUntilPowerFails(Machine& machine, Life& life, Told told, int batches) {
  for (int i = 0; i < batches; ++i) {
    const Writer::Batch batch = life.Next();
    Model after = told.acknowledged;
    told.possible.clear();
    for (size_t n = 1; n <= batch.entries.size(); ++n) {
      Model part = told.acknowledged;
      part.Take({{batch.entries.begin(), batch.entries.begin() + n}, std::nullopt, {}, true});
      told.possible.push_back(part);
    }
    after.Take(batch);
    told.possible.push_back(after);
    if (!machine.AppendAndWait(batch).ok()) return told;
    told.acknowledged = after;
  }
  told.possible.clear();
  return told;
}

// Crashes at every operation of a life with cuts, then recovers, with the power failing at every
// operation of the recovery too. What was acknowledged is there, and nothing that was never said.
TEST(PowerFailure, AtAnyOperationLosesNothingAcknowledged) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  int crashes = 0;
  for (uint64_t fails_at = 0;; ++fails_at) {
    SCOPED_TRACE(testing::Message() << "power fails at operation " << fails_at);
    Machine machine(seed + fails_at, 3072);
    Life life(seed);
    Told told;
    const Writer::Batch first = life.First();
    machine.disk().set_power_fails_at(machine.disk().operations() + fails_at);
    const bool created = machine.Create(first).ok();
    told.acknowledged.Take(first);
    if (created) told = LiveUntilPowerFails(machine, life, std::move(told), 25);
    if (created && told.possible.empty()) break;  // the whole life passed
    ++crashes;
    machine.Crash(seed * 31 + fails_at);
    if (!Exists(machine.disk(), kDir)) {
      ASSERT_FALSE(created) << "the log is gone";
      continue;
    }
    for (uint64_t again = 0; again < 40; ++again) {  // the recovery's own power failures
      machine.disk().set_power_fails_at(machine.disk().operations() + again);
      if (machine.Open().ok()) break;
      machine.Crash(seed * 37 + again);
    }
    machine.disk().set_power_fails_at(UINT64_MAX);
    StatusOr<Recovered> recovered = machine.Open();
    ASSERT_TRUE(recovered.ok()) << recovered.status();
    const Model found = ModelOf(*recovered);
    const bool known =
        found == told.acknowledged ||
        std::find(told.possible.begin(), told.possible.end(), found) != told.possible.end();
    ASSERT_TRUE(known) << "found " << found.entries.size() << " entries, acknowledged "
                       << told.acknowledged.entries.size();
    // And it goes on.
    const uint64_t next = found.entries.empty() ? 1 : found.entries.rbegin()->first + 1;
    ASSERT_TRUE(
        machine.AppendAndWait({{MakeEntry(life.term() + 1, next, "on")}, {}, {}, true}).ok());
    ASSERT_EQ(machine.Read()->entries.back().index, Index(next));
  }
  EXPECT_GT(crashes, 60);
}

// ---- .snap files ----

TEST(SnapFile, ComesBackAndDamageIsSeen) {
  Machine machine;
  const std::string dir = "/data/member/snap";
  ASSERT_TRUE(machine.disk().MakeDirectory(dir, 0700).ok());
  const raft::Snapshot snapshot{SharedBytes("{\"Root\":{}}"),
                                {{{NodeId(7)}, {}, {}, {}, false}, Index(41), Term(2)}};
  ASSERT_TRUE(WriteSnapFile(machine.disk(), dir, snapshot).ok());
  const std::string path = dir + "/0000000000000002-0000000000000029.snap";
  EXPECT_EQ(machine.disk().List(dir).value(),
            std::vector<std::string>{"0000000000000002-0000000000000029.snap"});
  StatusOr<raft::Snapshot> read = ReadSnapFile(machine.disk(), path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, snapshot);
  const std::string bytes = machine.Bytes(path);
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] ^= 4;
    machine.Replace(path, damaged);
    StatusOr<raft::Snapshot> now = ReadSnapFile(machine.disk(), path);
    EXPECT_TRUE(!now.ok() || *now == snapshot) << "byte " << at;
    machine.Replace(path, bytes.substr(0, at));
    EXPECT_FALSE(ReadSnapFile(machine.disk(), path).ok()) << "cut at " << at;
  }
  EXPECT_TRUE(absl::IsNotFound(ReadSnapFile(machine.disk(), dir + "/none.snap").status()));
}

TEST(SnapFile, IsThereWholeOrNotAtAll) {
  const raft::Snapshot snapshot{SharedBytes(std::string(3000, 's')), {{}, Index(41), Term(2)}};
  for (uint64_t fails_at = 0; fails_at < 20; ++fails_at) {
    Machine machine(fails_at);
    const std::string dir = "/data/member/snap";
    ASSERT_TRUE(machine.disk().MakeDirectory(dir, 0700).ok());
    machine.disk().set_power_fails_at(machine.disk().operations() + fails_at);
    const bool written = WriteSnapFile(machine.disk(), dir, snapshot).ok();
    machine.Crash(fails_at);
    const std::string path = dir + "/0000000000000002-0000000000000029.snap";
    const bool there = machine.disk().Exists(path);
    if (written) {
      ASSERT_TRUE(there);
    }
    if (there) {
      ASSERT_EQ(ReadSnapFile(machine.disk(), path).value(), snapshot);
    }
  }
}

}  // namespace
}  // namespace quoin::wal
