// The log as a whole, on a simulated disk: what was written comes back, what cannot be whole is
// refused. Power failures and damage: wal_crash_test.cc, wal_damage_test.cc.

#include "wal/wal.h"

#include <gtest/gtest.h>

#include <random>

#include "wal/record.h"
#include "wal/segment.h"
#include "wal/testing/machine.h"

namespace quoin::wal {
namespace {

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

// ---- received snapshots ----

const raft::ConfState kAlone{{NodeId(7)}, {}, {}, {}, false};

Writer::Batch SnapshotAt(uint64_t index, uint64_t term, std::vector<raft::Entry> entries,
                         uint64_t commit) {
  return {std::move(entries), MakeState(term, commit),
          SnapshotRecord{Index(index), Term(term), kAlone}, true};
}

class Received : public testing::Test {
 protected:
  Received() {  // entries 1 to 10 of term 1, of which 1 is committed
    Writer::Batch first{{}, MakeState(1, 1), {}, true};
    for (uint64_t i = 1; i <= 10; ++i) first.entries.push_back(MakeEntry(1, i, "old"));
    EXPECT_TRUE(machine_.Create(first).ok());
  }
  // Index and term of what a reader gets, the start first.
  std::string Found() {
    const StatusOr<Recovered> read = machine_.Read();
    if (!read.ok()) return std::string(read.status().message());
    std::string out = std::to_string(read->start.index.value()) + "/" +
                      std::to_string(read->start.term.value()) + ":";
    for (const raft::Entry& entry : read->entries) {
      out += " " + std::to_string(entry.index.value()) + "/" + std::to_string(entry.term.value());
    }
    return out;
  }
  Machine machine_;
};

TEST_F(Received, OneThatContradictsTheLogReplacesAllOfIt) {
  ASSERT_TRUE(machine_.AppendAndWait(SnapshotAt(5, 2, {}, 5)).ok());
  EXPECT_EQ(Found(), "5/2:");
}

TEST_F(Received, OneThatAgreesLeavesWhatFollows) {
  ASSERT_TRUE(machine_.AppendAndWait(SnapshotAt(5, 1, {}, 5)).ok());
  EXPECT_EQ(Found(), "5/1: 6/1 7/1 8/1 9/1 10/1");
}

TEST_F(Received, OneThatDoesNotCountYetReplacesNothing) {
  ASSERT_TRUE(machine_.AppendAndWait(SnapshotAt(5, 2, {}, 4)).ok());
  EXPECT_EQ(Found(), "0/0: 1/1 2/1 3/1 4/1 5/1 6/1 7/1 8/1 9/1 10/1");
  ASSERT_TRUE(machine_.AppendAndWait({{}, MakeState(2, 5), {}, true}).ok());
  EXPECT_EQ(Found(), "5/2:");
}

TEST_F(Received, WhatCameAfterItStays) {
  ASSERT_TRUE(machine_.AppendAndWait(SnapshotAt(5, 2, {}, 5)).ok());
  ASSERT_TRUE(
      machine_.AppendAndWait({{MakeEntry(2, 6, "new"), MakeEntry(2, 7, "new")}, {}, {}, true})
          .ok());
  EXPECT_EQ(Found(), "5/2: 6/2 7/2");
}

TEST_F(Received, EntriesOfTheSameBatchFollowOnIt) {
  ASSERT_TRUE(machine_.AppendAndWait(SnapshotAt(20, 2, {MakeEntry(2, 21, "new")}, 20)).ok());
  EXPECT_EQ(Found(), "20/2: 21/2");
}

TEST_F(Received, EntriesOfTheSameBatchFollowOnOneThatContradicts) {
  ASSERT_TRUE(machine_.AppendAndWait(SnapshotAt(5, 2, {MakeEntry(2, 6, "new")}, 5)).ok());
  EXPECT_EQ(Found(), "5/2: 6/2");
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
