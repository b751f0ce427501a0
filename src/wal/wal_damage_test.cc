// Damage and torn writes on a simulated disk. What was durable and is not there any more is
// refused, never cut off; a write that the power interrupted is cut off, never refused.

#include <gtest/gtest.h>

#include <random>

#include "raft_types/codec.h"
#include "wal/mark.h"
#include "wal/record.h"
#include "wal/testing/etcd_log.h"
#include "wal/testing/machine.h"
#include "wal/wal.h"

namespace quoin::wal {
namespace {

// A log in one segment: what it holds, what it held before its last write, and where that begins.
struct SmallLog {
  Machine machine{3, 16384};
  Model before, model;
  std::string path = SegmentPath(0, 0), bytes;
  Writer::Batch last;  // the last write
  size_t last_write = 0, end = 0;

  explicit SmallLog(const Writer::Batch& last_batch) : last(last_batch) {
    const Writer::Batch first{{MakeEntry(1, 1, "first")}, MakeState(1, 1), {}, true};
    EXPECT_TRUE(machine.Create(first).ok());
    model.Take(first);
    for (uint64_t i = 2; i <= 12; ++i) {
      Append({{MakeEntry(1, i, std::string(40 * (i % 7), 'v'))}, MakeState(1, i / 2), {}, true});
    }
    before = model;
    last_write = EndOfRecords(machine.Bytes(path));
    Append(last);
    machine.Stop();
    bytes = machine.Bytes(path);
    end = EndOfRecords(bytes);
  }
  void Append(const Writer::Batch& batch) {
    EXPECT_TRUE(machine.AppendAndWait(batch).ok());
    model.Take(batch);
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
  // The entries of `last` that a log holds whose last write got there in part; absent: it is
  // neither that nor the whole.
  std::optional<size_t> FrontOf(const Model& found) const {
    if (found == model) return last.entries.size();
    for (size_t n = 0; n <= last.entries.size(); ++n) {
      if (found == before.WithFrontOf(last, n)) return n;
    }
    return std::nullopt;
  }
  // The last write got there in part: a start goes on with all that came before and with the front
  // of it that is whole.
  void ExpectCut(const std::string& torn, const std::string& what) {
    machine.Replace(path, torn);
    StatusOr<Recovered> recovered = machine.Read(ReadMode::kRepair);
    ASSERT_TRUE(recovered.ok()) << what << ": " << recovered.status();
    const std::optional<EtcdLog> read = EtcdLog::Open(torn);
    ASSERT_TRUE(FrontOf(ModelOf(*recovered))) << what;
    // What etcd would have kept of it.
    if (read) {
      EXPECT_EQ(recovered->end.crc, read->crc) << what;
    }
    StatusOr<Recovered> again = machine.Read();
    ASSERT_TRUE(again.ok()) << what << ": " << again.status();
    EXPECT_FALSE(again->repaired) << what;
    EXPECT_EQ(ModelOf(*again), ModelOf(*recovered)) << what;
  }
  // Every set of the last write's sectors that may be missing.
  void ExpectEveryTearIsCut() {
    const size_t first = last_write / kSectorBytes, sectors = (end - 1) / kSectorBytes - first + 1;
    ASSERT_LE(sectors, 12u);
    for (size_t missing = 1; missing < size_t{1} << sectors; ++missing) {
      std::string torn = bytes;
      for (size_t i = 0; i < sectors; ++i) {
        if ((missing >> i & 1) == 0) continue;
        const size_t from = std::max(last_write, (first + i) * kSectorBytes);
        const size_t to = std::min(end, (first + i + 1) * kSectorBytes);
        torn.replace(from, to - from, to - from, '\0');
      }
      ExpectCut(torn, "missing sectors " + std::to_string(missing));
    }
  }
};

Writer::Batch Big(std::string value) {
  return {{MakeEntry(2, 10, std::move(value)), MakeEntry(2, 11, "end")}, MakeState(2, 7), {}, true};
}

std::string Noise(size_t bytes) {
  std::mt19937 random(5);
  std::string out(bytes, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

// ---- damage ----

TEST(Damage, AnEmptySectorBeforeTheLastWriteIsSeen) {
  SmallLog log(Big(Noise(700)));
  for (size_t at = 0; at + kSectorBytes <= log.last_write; at += kSectorBytes) {
    std::string damaged = log.bytes;
    damaged.replace(at, kSectorBytes, kSectorBytes, '\0');
    log.ExpectHonest(damaged, "empty sector at " + std::to_string(at));
  }
}

TEST(Damage, AnyChangedByteIsSeenInTheLastWriteToo) {
  SmallLog log(Big(std::string(1600, '\0') + Noise(300)));
  for (size_t at = 0; at < log.end; ++at) {
    for (const int change : {1, 0x80, 0xff}) {
      std::string damaged = log.bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      log.ExpectHonest(damaged, "byte " + std::to_string(at) + " ^ " + std::to_string(change));
    }
  }
}

TEST(Damage, AnEmptyWordIsSeen) {
  SmallLog log(Big(Noise(700)));
  for (size_t at = 0; at < log.end; at += 8) {
    std::string damaged = log.bytes;
    damaged.replace(at, 8, 8, '\0');
    log.ExpectHonest(damaged, "empty word at " + std::to_string(at));
  }
}

TEST(Damage, AFileThatEndsWithinTheLastWriteIsRefused) {
  SmallLog log(Big(Noise(700)));
  for (size_t at = log.last_write + 8; at < log.end; at += 8)
    log.ExpectHonest(log.bytes.substr(0, at), "cut at " + std::to_string(at));
}

// The chain covers the data of records and not their types. Where no mark vouches for a record, its
// fields do.
TEST(Damage, ARecordOfAnotherTypeIsSeenWithoutMarks) {
  SmallLog log(Big("value"));
  const StatusOr<Recovered> read = log.machine.Read();
  ASSERT_TRUE(read.ok()) << read.status();
  EtcdLog etcd{log.bytes, "", read->end.offset, read->end.crc};
  const Writer::Batch more{{MakeEntry(2, 12, "more")}, MakeState(2, 12), {}, true};
  etcd.Append(more);
  log.model.Take(more);
  for (size_t at = log.end; at < etcd.end;
       at += ParseFrame(std::string_view(etcd.bytes).substr(at)).bytes) {
    for (char type = 1; type <= 5; ++type) {
      std::string damaged = etcd.bytes;
      damaged[at + 9] = type;
      log.ExpectHonest(damaged, "type " + std::to_string(type) + " at " + std::to_string(at));
    }
  }
}

// After a clean stop nothing that matters is in the last write.
TEST(Damage, AfterACleanStopNoEmptySectorTakesAnything) {
  SmallLog log(Big(Noise(700)));
  log.machine.Replace(log.path, log.bytes);
  ASSERT_TRUE(log.machine.Open().ok());
  log.Append({{MakeEntry(2, 12, "last")}, MakeState(2, 8), {}, true});
  ASSERT_TRUE(log.machine.Close().ok());
  const std::string bytes = log.machine.Bytes(log.path);
  const size_t end = EndOfRecords(bytes);
  for (size_t at = 0; at + kSectorBytes <= end; at += kSectorBytes) {
    std::string damaged = bytes;
    damaged.replace(at, kSectorBytes, kSectorBytes, '\0');
    log.ExpectHonest(damaged, "empty sector at " + std::to_string(at));
  }
}

// etcd went on where we stopped, without marks: what it wrote is not taken for a torn write.
TEST(Damage, RecordsThatAnotherProgramAppendedAreNotGivenUp) {
  SmallLog log(Big(Noise(700)));
  StatusOr<Recovered> read = log.machine.Read();
  ASSERT_TRUE(read.ok()) << read.status();
  FrameWriter frames(read->end.crc);
  std::string more;
  for (uint64_t i = 12; i < 15; ++i) {
    std::string data;
    raft::EncodeEntry(MakeEntry(2, i, Noise(900)), data);
    frames.Append(RecordType::kEntry, data, more);
    data.clear();
    raft::EncodeHardState(MakeState(2, i), data);
    frames.Append(RecordType::kState, data, more);
    log.model.Take({{MakeEntry(2, i, Noise(900))}, MakeState(2, i), {}, true});
  }
  std::string bytes = log.bytes;
  bytes.replace(log.end, more.size(), more);
  log.machine.Replace(log.path, bytes);
  EXPECT_EQ(ModelOf(*log.machine.Read()), log.model);
  for (size_t at = log.end; at < log.end + 900; at += 8) {
    std::string damaged = bytes;
    const size_t stop = (at / kSectorBytes + 1) * kSectorBytes;
    damaged.replace(at, stop - at, stop - at, '\0');
    log.ExpectHonest(damaged, "empty from " + std::to_string(at));
  }
}

TEST(Damage, AStateThatGoesBackIsRefused) {
  SmallLog log(Big("value"));  // term 2, commit 7
  const StatusOr<Recovered> read = log.machine.Read();
  ASSERT_TRUE(read.ok()) << read.status();
  for (const auto& [state, good] : {std::pair(MakeState(2, 7), true),
                                    {MakeState(2, 8), true},
                                    {MakeState(3, 7), true},
                                    {MakeState(2, 6), false},
                                    {MakeState(1, 7), false},
                                    {MakeState(3, 6), false}}) {
    FrameWriter frames(read->end.crc);
    std::string data, record;
    raft::EncodeHardState(state, data);
    frames.Append(RecordType::kState, data, record);
    std::string bytes = log.bytes;
    bytes.replace(log.end, record.size(), record);
    log.machine.Replace(log.path, bytes);
    const StatusOr<Recovered> now = log.machine.Read();
    EXPECT_EQ(now.ok(), good) << "term " << state.term << " commit " << state.commit;
    EXPECT_EQ(absl::IsDataLoss(now.status()), !good) << now.status();
  }
}

// ---- torn writes ----

TEST(Torn, TheWholeFrontOfAWriteStaysWhateverOfItIsMissing) {
  SmallLog log(Big(Noise(3000)));
  log.ExpectEveryTearIsCut();
}

TEST(Torn, ValuesOfZerosDoNotHideIt) {
  SmallLog log(Big(std::string(1000, '\0') + Noise(600) + std::string(1500, '\0')));
  log.ExpectEveryTearIsCut();
}

// A value that holds a log: this log's own first records, marks and all, and one of somebody else.
TEST(Torn, AValueThatLooksLikeRecordsDoesNotRefuseTheStart) {
  SmallLog source(Big(Noise(40)));
  const std::string records = source.bytes.substr(0, source.end);
  for (size_t shift = 0; shift < 8; ++shift) {
    SmallLog log(Big(std::string(shift, 's') + records.substr(0, 3200)));
    log.ExpectEveryTearIsCut();
  }
}

TEST(Torn, TheMarkItselfMayBeMissing) {
  // Sizes that move the mark over the border of two sectors.
  for (size_t size = 0; size < 600; size += 8) {
    SmallLog log({{MakeEntry(1, 13, Noise(size))}, std::nullopt, {}, true});
    log.machine.Replace(log.path, log.bytes);
    ASSERT_TRUE(log.machine.Open().ok());
    log.before = log.model;
    log.last_write = log.end;
    log.last = {{MakeEntry(1, 14, Noise(900))}, std::nullopt, {}, true};
    log.Append(log.last);
    log.machine.Stop();
    log.bytes = log.machine.Bytes(log.path);
    log.end = EndOfRecords(log.bytes);
    log.ExpectEveryTearIsCut();
  }
}

// ---- marks ----

TEST(Marks, SayWhereTheWriteEndsAndHoldForOnePlaceOnly) {
  for (size_t size = 0; size < 20000; size += 264) {
    for (const uint64_t offset : {0, 8, 448, 504, 512, 10240}) {
      FrameWriter chain(static_cast<uint32_t>(size * 7919));
      std::string records = Noise(size), write;
      AppendMark(chain, 5, offset, records, write);
      const std::optional<Mark> mark = ReadMark(ParseFrame(write), 5, offset);
      ASSERT_TRUE(mark) << size << " at " << offset;
      EXPECT_EQ(mark->records_at, offset + write.size());
      EXPECT_EQ(mark->end, offset + write.size() + size);
      std::string segment = std::string(offset, 'o') + write + records;
      EXPECT_TRUE(mark->IsWhole(segment));
      EXPECT_FALSE(mark->MissesSector(segment, mark->records_at));
      EXPECT_FALSE(ReadMark(ParseFrame(write), 6, offset));
      EXPECT_FALSE(ReadMark(ParseFrame(write), 5, offset + 8));
      for (size_t at = 0; at < write.size(); ++at) {
        std::string changed = write;
        changed[at] = static_cast<char>(changed[at] ^ 4);
        const std::optional<Mark> other = ReadMark(ParseFrame(changed), 5, offset);
        EXPECT_TRUE(!other || other->end == mark->end) << "byte " << at;
      }
    }
  }
}

}  // namespace
}  // namespace quoin::wal
