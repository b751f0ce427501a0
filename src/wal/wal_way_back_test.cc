// The way back: a write of ours is torn, etcd repairs the log and goes on within the extent of the
// mark, and the directory comes back. What etcd acknowledged is there, what is sound is not
// refused, what rotted is.

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

std::string Noise(size_t bytes, uint32_t seed = 5) {
  std::mt19937 random(seed);
  std::string out(bytes, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

// A log of ours in one segment, whose last write may be torn.
class WayBack : public testing::Test {
 protected:
  WayBack() {
    const Writer::Batch first{{MakeEntry(1, 1, "first")}, MakeState(1, 1), {}, true};
    EXPECT_TRUE(machine_.Create(first).ok());
    before_.Take(first);
    for (uint64_t i = 2; i <= 5; ++i) {
      const Writer::Batch batch{
          {MakeEntry(1, i, std::string(90, 'v'))}, MakeState(1, i - 1), {}, true};
      EXPECT_TRUE(machine_.AppendAndWait(batch).ok());
      before_.Take(batch);
    }
  }

  // The last write: entries 6 and up, of these values.
  void WriteLast(const std::vector<std::string>& values) {
    last_ = {};
    for (const std::string& value : values)
      last_.entries.push_back(MakeEntry(2, 6 + last_.entries.size(), value));
    last_.hard_state = MakeState(2, 5);
    begin_ = EndOfRecords(machine_.Bytes(path_));
    EXPECT_TRUE(machine_.AppendAndWait(last_).ok());
    machine_.Stop();
    bytes_ = machine_.Bytes(path_);
    end_ = EndOfRecords(bytes_);
    mark_ = ReadMark(ParseFrame(std::string_view(bytes_).substr(begin_)), 0, begin_).value();
  }

  // Every set of missing sectors of the last write.
  std::vector<std::string> Tears() const {
    const size_t first = begin_ / kSectorBytes, sectors = (end_ - 1) / kSectorBytes - first + 1;
    EXPECT_LE(sectors, 8u);
    std::vector<std::string> out;
    for (size_t missing = 1; missing < size_t{1} << sectors; ++missing) {
      std::string torn = bytes_;
      for (size_t i = 0; i < sectors; ++i) {
        if ((missing >> i & 1) == 0) continue;
        const size_t from = std::max(begin_, (first + i) * kSectorBytes);
        const size_t to = std::min(end_, (first + i + 1) * kSectorBytes);
        torn.replace(from, to - from, to - from, '\0');
      }
      out.push_back(std::move(torn));
    }
    return out;
  }
  // The write stops inside of every record: at each word.
  std::vector<std::string> Stops() const {
    std::vector<std::string> out;
    for (size_t at = begin_; at < end_; at += 8)
      out.push_back(bytes_.substr(0, at) + std::string(bytes_.size() - at, '\0'));
    return out;
  }

  // What the log holds once etcd has read it.
  Model Kept(const EtcdLog& etcd) {
    Model out = before_;
    FrameWriter chain(mark_frame().record.crc);
    if (etcd.crc == chain.crc()) return out;
    for (size_t n = 1; n <= last_.entries.size(); ++n) {
      std::string data, frames;
      raft::EncodeEntry(last_.entries[n - 1], data);
      chain.Append(RecordType::kEntry, data, frames);
      if (chain.crc() == etcd.crc) return before_.WithFrontOf(last_, n);
    }
    out.Take(last_);
    return out;
  }
  Frame mark_frame() const { return ParseFrame(std::string_view(bytes_).substr(begin_)); }

  // A start of ours finds `expected`, again after a restart, and after more writes.
  void ExpectGoesOn(const EtcdLog& etcd, Model expected, const std::string& what) {
    machine_.Replace(path_, etcd.bytes);
    (void)machine_.disk().Remove(path_ + ".broken");
    if (!etcd.broken.empty()) machine_.Replace(path_ + ".broken", etcd.broken);
    StatusOr<Recovered> found = machine_.Open();
    ASSERT_TRUE(found.ok()) << what << ": " << found.status();
    ASSERT_EQ(ModelOf(*found), expected) << what;
    const uint64_t next = expected.entries.rbegin()->first + 1;
    const Writer::Batch more{{MakeEntry(9, next, Noise(300))}, MakeState(9, 5), {}, true};
    ASSERT_TRUE(machine_.AppendAndWait(more).ok()) << what;
    machine_.Stop();
    expected.Take(more);
    found = machine_.Read(ReadMode::kRepair);
    ASSERT_TRUE(found.ok()) << what << ": " << found.status();
    ASSERT_EQ(ModelOf(*found), expected) << what;
    ASSERT_FALSE(found->repaired) << what;
  }

  // Sound, or refused with nothing changed.
  void ExpectHonest(const std::string& damaged, const Model& expected, const std::string& what) {
    machine_.Replace(path_, damaged);
    const StatusOr<Recovered> found = machine_.Read(ReadMode::kRepair);
    if (found.ok()) {
      ASSERT_EQ(ModelOf(*found), expected) << what;
    } else {
      ASSERT_TRUE(absl::IsDataLoss(found.status())) << what;
      ASSERT_EQ(machine_.Bytes(path_), damaged) << what;
    }
  }

  Machine machine_{3, 16384};
  Model before_;
  Writer::Batch last_;
  const std::string path_ = SegmentPath(0, 0);
  std::string bytes_;
  size_t begin_ = 0, end_ = 0;  // of the last write, with its mark
  Mark mark_;
};

// What etcd does after its start: its writes in order.
using Writes = std::vector<Writer::Batch>;

std::vector<Writes> WhatEtcdWrites(uint64_t next, size_t fits) {
  const auto put = [&](uint64_t i, size_t bytes, bool state) {
    Writer::Batch batch{
        {MakeEntry(3, next + i, Noise(bytes, 7))}, std::nullopt, std::nullopt, true};
    if (state) batch.hard_state = MakeState(3, 5);
    return batch;
  };
  const Writer::Batch vote{{}, MakeState(3, 5), std::nullopt, true};
  return {{},
          {vote},
          {put(0, 0, false)},
          {put(0, 20, true)},
          {put(0, fits, true)},
          {vote, put(0, 400, false), put(1, 30, true)},
          {put(0, 1000, false), put(1, 1000, false), put(2, 9000, true)}};
}

TEST_F(WayBack, WhatEtcdAcknowledgedStaysWhateverWasTorn) {
  WriteLast({Noise(500), "small", std::string(700, '\0'), Noise(900, 6)});
  std::vector<std::string> torn = Tears();
  for (std::string& stop : Stops()) torn.push_back(std::move(stop));
  size_t tried = 0;
  for (const std::string& file : torn) {
    const std::optional<EtcdLog> opened = EtcdLog::Open(file);
    if (!opened) continue;
    const Model kept = Kept(*opened);
    const uint64_t next = kept.entries.rbegin()->first + 1;
    // One that ends where our write would have ended.
    const size_t room = end_ > opened->end + 80 ? end_ - opened->end - 70 : 0;
    for (size_t fits = room; fits <= room + (room > 0 ? 40 : 0); fits += 8) {
      for (const Writes& writes : WhatEtcdWrites(next, fits)) {
        EtcdLog etcd = *opened;
        Model expected = kept;
        for (const Writer::Batch& batch : writes) {
          etcd.Append(batch);
          expected =
              batch.hard_state ? expected : expected.WithFrontOf(batch, batch.entries.size());
          expected.Take(batch);
        }
        ++tried;
        ASSERT_NO_FATAL_FAILURE(
            ExpectGoesOn(etcd, expected,
                         "case " + std::to_string(&file - torn.data()) + ", etcd's writes " +
                             std::to_string(writes.size()) + ", end " + std::to_string(etcd.end)));
      }
    }
  }
  EXPECT_GT(tried, 2000u);
}

// The power fails while etcd writes within the mark's extent: what it acknowledged before stays.
TEST_F(WayBack, AWriteOfEtcdsMayBeTornToo) {
  WriteLast({Noise(500), "small", Noise(900, 6), Noise(600, 8)});
  for (const std::string& file : Tears()) {
    const std::optional<EtcdLog> opened = EtcdLog::Open(file);
    if (!opened) continue;
    EtcdLog etcd = *opened;
    Model expected = Kept(etcd);
    const uint64_t next = expected.entries.rbegin()->first + 1;
    const Writer::Batch acknowledged{{MakeEntry(3, next, "kept")}, MakeState(3, 5), {}, true};
    etcd.Append(acknowledged);
    expected.Take(acknowledged);
    const size_t from = etcd.end;
    etcd.Append({{MakeEntry(3, next + 1, Noise(1300, 9))}, MakeState(3, next), {}, true});
    for (size_t at = (from / kSectorBytes + 1) * kSectorBytes; at < etcd.end - 100;
         at += kSectorBytes) {
      EtcdLog again = etcd;
      const size_t to = std::min(etcd.end, at + kSectorBytes);
      again.bytes.replace(at, to - at, to - at, '\0');
      ASSERT_NO_FATAL_FAILURE(ExpectGoesOn(again, expected, "at " + std::to_string(at)));
    }
  }
}

TEST_F(WayBack, WhatRotsAfterwardsIsSeen) {
  WriteLast({Noise(500), "small", Noise(900, 6), Noise(600, 8)});
  std::string file = bytes_;  // the last two sectors did not get there
  const size_t cut = (end_ / kSectorBytes - 1) * kSectorBytes;
  file.replace(cut, end_ - cut, end_ - cut, '\0');
  EtcdLog etcd = EtcdLog::Open(file).value();
  Model expected = Kept(etcd);
  const uint64_t next = expected.entries.rbegin()->first + 1;
  std::vector<size_t> begins;
  for (uint64_t i = 0; i < 5; ++i) {
    const Writer::Batch put{{MakeEntry(3, next + i, Noise(60))}, MakeState(3, 5 + i), {}, true};
    begins.push_back(etcd.end);
    etcd.Append(put);
    expected.Take(put);
  }
  ASSERT_LT(etcd.end, end_);
  // Without marks nothing proves the last two writes.
  for (size_t at = begin_; at < begins[3]; ++at) {
    std::string damaged = etcd.bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    ASSERT_NO_FATAL_FAILURE(ExpectHonest(damaged, expected, "byte " + std::to_string(at)));
  }
  for (size_t at = begin_; at + kSectorBytes <= begins[3]; at += 8) {
    std::string damaged = etcd.bytes;
    damaged.replace(at, kSectorBytes, kSectorBytes, '\0');
    ASSERT_NO_FATAL_FAILURE(ExpectHonest(damaged, expected, "empty from " + std::to_string(at)));
  }
}

// Our own start puts the front that it keeps under a mark of its own: damage in it is seen.
TEST_F(WayBack, TheKeptFrontIsUnderAMarkAgain) {
  WriteLast({Noise(500), "small", Noise(900, 6), Noise(600, 8)});
  std::string torn = bytes_;
  torn.replace(end_ / kSectorBytes * kSectorBytes, kSectorBytes, kSectorBytes, '\0');
  machine_.Replace(path_, torn);
  StatusOr<Recovered> found = machine_.Read(ReadMode::kRepair);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->repaired);
  const Model kept = ModelOf(*found);
  ASSERT_GT(kept.entries.size(), before_.entries.size());
  const std::string repaired = machine_.Bytes(path_);
  ASSERT_EQ(found->end.offset, EndOfRecords(repaired));
  const size_t last_mark = found->end.offset - 64;
  for (size_t at = 0; at + kSectorBytes < last_mark; at += 8) {
    std::string damaged = repaired;
    damaged.replace(at, 8, 8, '\0');
    ASSERT_NO_FATAL_FAILURE(ExpectHonest(damaged, kept, "empty word at " + std::to_string(at)));
    damaged.replace(at, kSectorBytes, kSectorBytes, '\0');
    ASSERT_NO_FATAL_FAILURE(ExpectHonest(damaged, kept, "empty from " + std::to_string(at)));
  }
}

// A received snapshot and what follows on it, without the state that says that it counts.
TEST_F(WayBack, EntriesBehindASnapshotThatDoesNotCountAreNotKept) {
  const raft::ConfState alone{{NodeId(7)}, {}, {}, {}, false};
  for (const auto& [index, term] : {std::pair<uint64_t, uint64_t>{20, 2}, {4, 2}}) {
    Machine machine(3, 16384);
    ASSERT_TRUE(machine
                    .Create({{MakeEntry(1, 1, "a"), MakeEntry(1, 2, "b"), MakeEntry(1, 3, "c"),
                              MakeEntry(1, 4, "d")},
                             MakeState(1, 1),
                             {},
                             true})
                    .ok());
    const Model before = ModelOf(*machine.Read());
    const size_t from = EndOfRecords(machine.Bytes(path_));
    ASSERT_TRUE(machine
                    .AppendAndWait({{MakeEntry(2, index + 1, Noise(1500))},
                                    MakeState(2, index),
                                    SnapshotRecord{Index(index), Term(term), alone},
                                    true})
                    .ok());
    machine.Stop();
    const std::string bytes = machine.Bytes(path_);
    const size_t end = EndOfRecords(bytes);
    for (size_t at = (from / kSectorBytes + 1) * kSectorBytes; at < end; at += kSectorBytes) {
      std::string torn = bytes.substr(0, at) + std::string(bytes.size() - at, '\0');
      machine.Replace(path_, torn);
      const StatusOr<Recovered> found = machine.Open();
      ASSERT_TRUE(found.ok()) << found.status();
      ASSERT_EQ(ModelOf(*found), before);
      const Writer::Batch more{{MakeEntry(2, 5, "on")}, MakeState(2, 2), {}, true};
      ASSERT_TRUE(machine.AppendAndWait(more).ok());
      machine.Stop();
      const StatusOr<Recovered> again = machine.Read();
      ASSERT_TRUE(again.ok()) << again.status();
      EXPECT_EQ(again->entries.back().index, Index(5));
    }
  }
}

}  // namespace
}  // namespace quoin::wal
