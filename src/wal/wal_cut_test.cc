// A log that was cut short from outside: within its last record nothing may be missing, and then
// nothing is lost; anywhere else it is refused. And a log that still has its first entry.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wal/mark.h"
#include "wal/record.h"
#include "wal/testing/machine.h"
#include "wal/wal.h"
#include "wal/whole_log.h"

namespace quoin::wal {
namespace {

using testing::HasSubstr;

// The frames of a segment, where they begin, and where the last one ends.
struct Frames {
  explicit Frames(std::string_view segment) {
    while (true) {
      const Frame frame = ParseFrame(segment.substr(end));
      if (frame.kind != Frame::Kind::kRecord) return;
      at.push_back(end);
      types.push_back(frame.record.type);
      end += frame.bytes;
    }
  }
  std::vector<size_t> at;
  std::vector<RecordType> types;
  size_t end = 0;
};

class CutLog : public testing::Test {
 protected:
  CutLog() {
    Take({{MakeEntry(1, 1, "first")}, MakeState(1, 1), {}, true}, /*first=*/true);
    for (uint64_t i = 2; i <= 5; ++i)
      Take({{MakeEntry(1, i, std::string(90, 'v'))}, MakeState(1, i - 1), {}, true});
  }

  void Take(const Writer::Batch& batch, bool first = false) {
    EXPECT_TRUE((first ? machine_.Create(batch) : machine_.AppendAndWait(batch)).ok());
    model_.Take(batch);
  }

  // Reads as a server does, then as the next one does.
  void ExpectWhole(const std::string& bytes) {
    machine_.Replace(path_, bytes);
    const StatusOr<Recovered> looked = machine_.Read();
    ASSERT_TRUE(looked.ok()) << looked.status();
    EXPECT_EQ(ModelOf(*looked), model_);
    EXPECT_EQ(machine_.Bytes(path_), bytes) << "a look changes nothing";
    const StatusOr<Recovered> opened = machine_.Open();
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(ModelOf(*opened), model_);
    EXPECT_TRUE(machine_.Close().ok());
    machine_.Stop();
    machine_.Crash(3);  // it was durable
    const StatusOr<Recovered> again = machine_.Read();
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(ModelOf(*again), model_);
  }

  // The log ends with a state.
  void ExpectWholeWhereverTheStateIsCut() {
    machine_.Stop();
    const std::string bytes = machine_.Bytes(path_);
    const Frames frames(bytes);
    ASSERT_EQ(frames.types.back(), RecordType::kState);
    for (size_t cut = frames.at.back(); cut < frames.end; ++cut) {
      SCOPED_TRACE(cut);
      ExpectWhole(bytes.substr(0, cut));
    }
  }

  void ExpectRefused(const std::string& bytes) {
    machine_.Replace(path_, bytes);
    const std::map<std::string, std::string> before = machine_.Image();
    const StatusOr<Recovered> opened = machine_.Open();
    EXPECT_TRUE(absl::IsDataLoss(opened.status())) << opened.status();
    EXPECT_EQ(machine_.Image(), before) << "a refusal changes nothing";
  }

  Machine machine_;
  Model model_;
  const std::string path_ = SegmentPath(0, 0);
};

TEST_F(CutLog, AStateThatWasCutIsKnownWhereverItWasCut) {
  Take({{MakeEntry(2, 6, "x"), MakeEntry(2, 7, std::string(700, 'y'))}, MakeState(2, 5), {}, true});
  ExpectWholeWhereverTheStateIsCut();
}

TEST_F(CutLog, TheLastStateOfACleanStopIsKnown) {
  Take({{}, MakeState(1, 5), {}, false});
  EXPECT_TRUE(machine_.Close().ok());
  ExpectWholeWhereverTheStateIsCut();
}

TEST_F(CutLog, AVoteThatWasCutIsGivenAgain) {
  raft::HardState vote = MakeState(3, 4);
  vote.vote = NodeId(kWho.node_id);
  Take({{}, vote, {}, true});
  machine_.Stop();
  const std::string bytes = machine_.Bytes(path_);
  const Frames frames(bytes);
  ASSERT_EQ(frames.types.back(), RecordType::kState);
  ExpectWhole(bytes.substr(0, frames.end - 1));
  ExpectWhole(bytes.substr(0, frames.at.back()));
}

TEST_F(CutLog, AnEntryThatWasCutIsMissed) {
  Take({{MakeEntry(2, 6, "x"), MakeEntry(2, 7, std::string(700, 'y'))}, MakeState(2, 5), {}, true});
  machine_.Stop();
  const std::string bytes = machine_.Bytes(path_);
  const Frames frames(bytes);
  const size_t count = frames.at.size();
  ASSERT_EQ(frames.types[count - 4], RecordType::kCrc) << "the write's mark";
  for (size_t cut = frames.at[count - 4] + 1; cut < frames.at[count - 1]; ++cut) {
    SCOPED_TRACE(cut);
    ExpectRefused(bytes.substr(0, cut));
  }
}

TEST_F(CutLog, TheCutMarkOfAnEmptyWriteIsNothing) {
  // What a repair leaves: the mark of an empty write at the end.
  machine_.Stop();
  std::string bytes = machine_.Bytes(path_);
  const Frames frames(bytes);
  bytes.resize(frames.end);
  std::string mark;
  uint32_t crc = 0;
  {
    const Frame last = ParseFrame(std::string_view(bytes).substr(frames.at.back()));
    crc = last.record.crc;
  }
  AppendMark(FrameWriter(crc), 0, bytes.size(), "", mark);
  for (size_t length = mark.size() - 1; length >= 32; --length) {
    SCOPED_TRACE(length);
    ExpectWhole(bytes + mark.substr(0, length));
  }
  ExpectRefused(bytes + mark.substr(0, 12));
}

TEST_F(CutLog, AWholeLogBeginsWithItsFirstEntry) {
  Take({{}, std::nullopt, SnapshotRecord{Index(4), Term(1), raft::ConfState{{NodeId(7)}}}, true});
  Take({{MakeEntry(1, 6, "x")}, MakeState(1, 5), {}, true});
  machine_.Stop();
  const StatusOr<Recovered> usual = machine_.Read();
  ASSERT_TRUE(usual.ok()) << usual.status();
  EXPECT_EQ(usual->start.index, Index(4));
  const StatusOr<Recovered> whole =
      RecoverWhole(machine_.disk(), kDir, ReadMode::kReadOnly, machine_.log());
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->start.index, Index(0));
  ASSERT_EQ(whole->entries.size(), 6u);
  EXPECT_EQ(whole->entries.front().index, Index(1));
  EXPECT_EQ(whole->hard_state.commit, Index(5));
}

TEST(WholeLog, WhatAnotherSnapshotHoldsIsNotInIt) {
  // A restored directory: the members, and the snapshot behind them.
  Machine restored;
  raft::Entry member = MakeEntry(1, 1, "member");
  member.type = raft::EntryType::kConfChange;
  ASSERT_TRUE(restored
                  .Create({{member},
                           MakeState(1, 1),
                           SnapshotRecord{Index(1), Term(1), raft::ConfState{{NodeId(7)}}},
                           true})
                  .ok());
  ASSERT_TRUE(restored.AppendAndWait({{MakeEntry(2, 2, "x")}, MakeState(2, 2), {}, true}).ok());
  restored.Stop();
  Status status = RecoverWhole(restored.disk(), kDir, ReadMode::kReadOnly, restored.log()).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("restored snapshot"));
  // A leader's snapshot stands for entries that never came.
  Machine installed;
  ASSERT_TRUE(installed.Create({{MakeEntry(1, 1, "x")}, MakeState(1, 1), {}, true}).ok());
  ASSERT_TRUE(installed
                  .AppendAndWait({{MakeEntry(2, 10, "y")},
                                  MakeState(2, 9),
                                  SnapshotRecord{Index(9), Term(2), raft::ConfState{{NodeId(7)}}},
                                  true})
                  .ok());
  installed.Stop();
  status = RecoverWhole(installed.disk(), kDir, ReadMode::kReadOnly, installed.log()).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
}

}  // namespace
}  // namespace quoin::wal
