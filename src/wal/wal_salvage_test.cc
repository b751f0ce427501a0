// Logs that Recover refuses because segments are missing, empty or there twice: what CutOff leaves
// is read, goes on, and is what ReadSalvage said; what it replaced is still there.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wal/salvage.h"
#include "wal/segment.h"
#include "wal/testing/machine.h"
#include "wal/wal.h"

namespace quoin::wal {
namespace {

using testing::HasSubstr;

class BrokenLog : public testing::Test {
 protected:
  static constexpr size_t kSegments = 5;

  BrokenLog() : machine_(1, 4096) {
    Take({{MakeEntry(1, 1, "first")}, MakeState(1, 1), {}, true}, /*first=*/true);
    for (uint64_t i = 2; Segments().size() < kSegments; ++i)
      Take({{MakeEntry(1, i, std::string(400, 'v'))}, MakeState(1, i), {}, true});
    Take({{MakeEntry(1, last_.value() + 1, "last")}, MakeState(1, last_.value() + 1), {}, true});
    machine_.Stop();
    paths_ = Segments();
  }

  void Take(const Writer::Batch& batch, bool first = false) {
    EXPECT_TRUE((first ? machine_.Create(batch) : machine_.AppendAndWait(batch)).ok());
    last_ = batch.entries.back().index;
  }

  std::vector<std::string> Segments() {
    std::vector<std::string> out;
    const std::vector<SegmentName> names = ListSegments(machine_.disk(), kDir).value();
    for (const SegmentName& name : names) out.push_back(std::string(kDir) + "/" + name.text());
    return out;
  }
  // The last entry that stands in front of a segment.
  uint64_t LastBefore(size_t segment) {
    const std::string& path = paths_[segment];
    return ParseSegmentName(path.substr(path.find_last_of('/') + 1))->first_index.value() - 1;
  }
  void VoteIn(Term term) {
    ASSERT_TRUE(machine_.Open().ok());
    ASSERT_TRUE(
        machine_.AppendAndWait({{}, raft::HardState{term, NodeId(3), last_}, {}, true}).ok());
    ASSERT_TRUE(machine_.Close().ok());
  }
  void Lose(size_t segment) { ASSERT_TRUE(machine_.disk().Remove(paths_[segment]).ok()); }

  // Nothing reads the log. What is kept ends with the segment in front of `segment`.
  void ExpectCutBefore(size_t segment, const std::string& why) {
    const StatusOr<Recovered> refused = machine_.Read();
    EXPECT_TRUE(absl::IsDataLoss(refused.status())) << refused.status();
    EXPECT_THAT(refused.status().message(), HasSubstr(why));
    const std::map<std::string, std::string> before = machine_.Image();
    const StatusOr<Salvage> salvage = ReadSalvage(machine_.disk(), kDir, Index());
    ASSERT_TRUE(salvage.ok()) << salvage.status();
    EXPECT_EQ(machine_.Image(), before) << "a look changes nothing";
    EXPECT_TRUE(salvage->kept.ok()) << salvage->kept;
    ASSERT_TRUE(salvage->stop.has_value());
    EXPECT_EQ(salvage->stop->path, paths_[segment - 1]);
    EXPECT_EQ(salvage->stop->offset, EndOfRecords(machine_.Bytes(paths_[segment - 1])));
    EXPECT_THAT(salvage->stop->reason, HasSubstr(why));
    EXPECT_EQ(salvage->last_kept, Index(LastBefore(segment)));
    ASSERT_TRUE(CutOff(machine_.disk(), kDir, *salvage, Term(2), machine_.log()).ok());
    machine_.Crash(3);  // it was durable
    ExpectGoesOnBehind(salvage->last_kept);
    for (const auto& [name, content] : before) {
      const std::map<std::string, std::string> after = machine_.Image();
      const bool is_kept = after.contains(name) || after.at(name + ".broken") == content;
      EXPECT_TRUE(is_kept) << name;
    }
  }

  void ExpectGoesOnBehind(Index last) {
    const StatusOr<Recovered> opened = machine_.Open();
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(opened->entries.back().index, last);
    EXPECT_EQ(opened->hard_state.term, Term(2));
    EXPECT_EQ(opened->hard_state.vote, NodeId()) << "it has no vote in it";
    EXPECT_LE(opened->hard_state.commit, last);
    for (uint64_t i = 1; i <= 20; ++i)
      Take({{MakeEntry(2, last.value() + i, std::string(400, 'w'))},
            MakeState(2, last.value()),
            {},
            true});
    EXPECT_TRUE(machine_.Close().ok());
    const StatusOr<Recovered> again = machine_.Read();
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->entries.back().index, last + 20);
  }

  Machine machine_;
  std::vector<std::string> paths_;
  Index last_;
};

TEST_F(BrokenLog, AMiddleSegmentIsMissing) {
  Lose(2);
  ExpectCutBefore(2, "segment 2 is missing");
}

TEST_F(BrokenLog, TwoGaps) {
  Lose(1);
  Lose(3);
  ExpectCutBefore(1, "segment 1 is missing");
}

TEST_F(BrokenLog, WhatIsLostIsKnownFromWhatStandsBehindTheGap) {
  Lose(2);
  const StatusOr<Salvage> salvage = ReadSalvage(machine_.disk(), kDir, Index());
  ASSERT_TRUE(salvage.ok()) << salvage.status();
  EXPECT_EQ(salvage->later_segments, (std::vector<std::string>{paths_[3], paths_[4]}));
  EXPECT_EQ(salvage->lost_first, Index(LastBefore(3) + 1));
  EXPECT_EQ(salvage->lost_last, last_);
  EXPECT_EQ(salvage->lost_to, last_);
  EXPECT_EQ(salvage->lost_state->commit, last_);
}

// A vote that is cut off was given.
TEST_F(BrokenLog, TheTermsOfWhatIsLostAreKnown) {
  VoteIn(Term(9));
  Lose(2);
  const StatusOr<Salvage> salvage = ReadSalvage(machine_.disk(), kDir, Index());
  ASSERT_TRUE(salvage.ok()) << salvage.status();
  EXPECT_EQ(salvage->kept_state.term, Term(1));
  EXPECT_EQ(salvage->lost_state->term, Term(9));
}

// Each of its steps fails once: the next run goes on from what is there.
TEST_F(BrokenLog, AnInterruptedCutForgetsNoTerm) {
  VoteIn(Term(9));
  Lose(2);
  uint64_t tries = 0;
  for (bool mended = false; !mended;) {
    const StatusOr<Salvage> salvage = ReadSalvage(machine_.disk(), kDir, Index());
    ASSERT_TRUE(salvage.ok() && salvage->stop) << salvage.status();
    Term known = salvage->kept_state.term;
    if (salvage->lost_state) known = std::max(known, salvage->lost_state->term);
    EXPECT_GE(known, Term(9)) << "after " << tries << " tries";
    machine_.disk().FailSync(++tries, absl::ResourceExhaustedError("no space"));
    mended = CutOff(machine_.disk(), kDir, *salvage, Term(known.value() + 1), machine_.log()).ok();
    machine_.Crash(tries);
    const StatusOr<Recovered> read = machine_.Read();
    if (!read.ok()) {
      EXPECT_FALSE(mended) << read.status();
      EXPECT_TRUE(absl::IsDataLoss(read.status())) << read.status();
      continue;
    }
    EXPECT_GE(read->hard_state.term, Term(10));
    EXPECT_EQ(read->hard_state.vote, NodeId());
    break;
  }
  EXPECT_GE(tries, 3u);
}

TEST_F(BrokenLog, ANameTellsWhatIsLostWhenNoRecordDoes) {
  Lose(2);
  Lose(3);
  machine_.Replace(paths_[4], "");
  const StatusOr<Salvage> salvage = ReadSalvage(machine_.disk(), kDir, Index());
  ASSERT_TRUE(salvage.ok()) << salvage.status();
  EXPECT_EQ(salvage->lost_entries, 0u);
  EXPECT_EQ(salvage->lost_to, Index(LastBefore(4)));
}

TEST_F(BrokenLog, AMiddleSegmentIsEmpty) {
  machine_.Replace(paths_[2], "");
  ExpectCutBefore(2, "is empty");
}

TEST_F(BrokenLog, TheLastSegmentIsEmpty) {
  machine_.Replace(paths_[4], std::string(4096, '\0'));
  ExpectCutBefore(4, "is empty");
}

TEST_F(BrokenLog, AMiddleSegmentHasNoHead) {
  std::string bytes = machine_.Bytes(paths_[2]);
  bytes[9] = '\x7f';
  machine_.Replace(paths_[2], bytes);
  ExpectCutBefore(2, paths_[2]);
}

TEST_F(BrokenLog, TwoSegmentsHaveOneNumber) {
  machine_.Replace(SegmentPath(2, LastBefore(3)), machine_.Bytes(paths_[2]));
  ExpectCutBefore(3, "two segments have the number 2");
}

TEST_F(BrokenLog, TheFirstSegmentIsMissing) {
  Lose(0);
  const std::map<std::string, std::string> before = machine_.Image();
  EXPECT_TRUE(absl::IsDataLoss(machine_.Read().status()));
  const StatusOr<Salvage> salvage = ReadSalvage(machine_.disk(), kDir, Index());
  ASSERT_TRUE(salvage.ok()) << salvage.status();
  EXPECT_FALSE(salvage->stop.has_value()) << "all that is there can be read";
  EXPECT_TRUE(absl::IsDataLoss(salvage->kept)) << "and is no log";
  EXPECT_EQ(salvage->entries.front().index, Index(LastBefore(1) + 1));
  EXPECT_EQ(salvage->entries.back().index, last_);
}

TEST_F(BrokenLog, TheFirstSegmentIsMissingAndAMiddleOne) {
  Lose(0);
  Lose(2);
  const StatusOr<Salvage> salvage = ReadSalvage(machine_.disk(), kDir, Index());
  ASSERT_TRUE(salvage.ok()) << salvage.status();
  EXPECT_TRUE(salvage->stop.has_value());
  EXPECT_TRUE(absl::IsDataLoss(salvage->kept)) << "a cut there would mend nothing";
}

// Nothing in the log says so: the data file does, when it holds more.
TEST_F(BrokenLog, TheLastSegmentIsMissing) {
  Lose(4);
  EXPECT_TRUE(machine_.Read().ok());
  EXPECT_TRUE(absl::IsDataLoss(machine_.Read(ReadMode::kReadOnly, last_).status()));
  const StatusOr<Salvage> salvage = ReadSalvage(machine_.disk(), kDir, last_);
  ASSERT_TRUE(salvage.ok()) << salvage.status();
  EXPECT_FALSE(salvage->stop.has_value());
  EXPECT_TRUE(absl::IsDataLoss(salvage->kept));
}

}  // namespace
}  // namespace quoin::wal
