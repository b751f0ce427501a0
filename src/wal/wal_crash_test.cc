// Power failures, programs that end and disks that fail, on a simulated disk: what was acknowledged
// is there afterwards, whatever step it happened at.

#include <gtest/gtest.h>

#include <random>

#include "wal/mark.h"
#include "wal/testing/machine.h"
#include "wal/wal.h"

namespace quoin::wal {
namespace {

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
    for (size_t n = 1; n <= batch.entries.size(); ++n)
      told.possible.push_back(told.acknowledged.WithFrontOf(batch, n));
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

// ---- what a start read counts as durable ----

// The last write's sync fails, or never happens: the kernel shows what the disk does not have. What
// the next start reads, a follower acknowledges; so no power failure may take it afterwards.
TEST(Restart, WhatItReadStaysThroughAPowerFailure) {
  const uint64_t first_seed = std::random_device()();
  for (uint64_t seed = first_seed; seed < first_seed + 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Machine machine(seed);
    ASSERT_TRUE(machine.Create({{MakeEntry(1, 1, "a")}, MakeState(1, 1), {}, true}).ok());
    const Writer::Batch last{
        {MakeEntry(2, 2, std::string(1500, 'b')), MakeEntry(2, 3, "c")}, MakeState(2, 1), {}, true};
    if (seed % 2 == 0) {
      machine.disk().FailSync(1, absl::InternalError("I/O error"));
      ASSERT_FALSE(machine.AppendAndWait(last).ok());
    } else {
      machine.disk().set_lying_syncs("wal");  // killed between write and sync
      ASSERT_TRUE(machine.AppendAndWait(last).ok());
      machine.disk().set_lying_syncs("");
    }
    StatusOr<Recovered> read = machine.Open();
    ASSERT_TRUE(read.ok()) << read.status();
    ASSERT_EQ(read->entries.size(), 3u);
    machine.Crash(seed);
    StatusOr<Recovered> again = machine.Open();
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(ModelOf(*again), ModelOf(*read));
  }
}

// The same at every operation of a life with cuts: it fails, the program ends, the next one reads.
TEST(Restart, AfterAnyFailedOperationWhatItReadStays) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  int failures = 0;
  for (uint64_t fails_at = 0;; ++fails_at) {
    SCOPED_TRACE(testing::Message() << "operation " << fails_at << " fails");
    Machine machine(seed + fails_at, 3072);
    Life life(seed);
    Told told;
    const Writer::Batch first = life.First();
    machine.disk().set_fails_at(machine.disk().operations() + fails_at,
                                absl::InternalError("I/O error"));
    const bool created = machine.Create(first).ok();
    if (created) {
      told.acknowledged.Take(first);
      told = LiveUntilPowerFails(machine, life, std::move(told), 25);
      if (told.possible.empty()) break;  // the whole life passed
    }
    ++failures;
    machine.Stop();
    if (!Exists(machine.disk(), kDir)) continue;
    StatusOr<Recovered> read = machine.Open();
    ASSERT_TRUE(read.ok()) << read.status();
    machine.Crash(seed * 31 + fails_at);
    StatusOr<Recovered> again = machine.Open();
    ASSERT_TRUE(again.ok()) << again.status();
    ASSERT_EQ(ModelOf(*again), ModelOf(*read));
  }
  EXPECT_GT(failures, 60);
}

// ---- repairs ----

// A log whose last write lacks a sector, as the disk has it.
std::string TearLastWrite(Machine& machine) {
  const std::string path = SegmentPath(0, 0);
  StatusOr<Recovered> recovered = machine.Open();
  EXPECT_TRUE(recovered.ok()) << recovered.status();
  const Index next = recovered->entries.back().index + 1;
  const size_t from = recovered->end.offset;
  EXPECT_TRUE(
      machine
          .AppendAndWait(
              {{MakeEntry(1, next.value(), std::string(2000, 'n'))}, std::nullopt, {}, true})
          .ok());
  machine.Stop();
  std::string bytes = machine.Bytes(path);
  const size_t sector = (from / kSectorBytes + 2) * kSectorBytes;
  bytes.replace(sector, kSectorBytes, kSectorBytes, '\0');
  machine.Replace(path, bytes);
  EXPECT_TRUE(machine.disk().SyncDirectory(kDir).ok());
  return bytes;
}

std::vector<std::string> Copies(Machine& machine) {
  std::vector<std::string> out;
  for (const std::string& name : machine.Names()) {
    if (name.find(".broken") != std::string::npos) out.push_back(std::string(kDir) + "/" + name);
  }
  return out;
}

TEST(Repair, KeepsADurableCopyBeforeAnythingIsCut) {
  for (uint64_t fails_at = 0;; ++fails_at) {
    SCOPED_TRACE(testing::Message() << "power fails at operation " << fails_at);
    Machine machine(fails_at);
    ASSERT_TRUE(machine.Create({{MakeEntry(1, 1, "a")}, MakeState(1, 1), {}, true}).ok());
    const std::string torn = TearLastWrite(machine);
    machine.disk().set_power_fails_at(machine.disk().operations() + fails_at);
    const bool done = machine.Open().ok();
    machine.Crash(fails_at);
    if (machine.Bytes(SegmentPath(0, 0)) != torn) {
      ASSERT_EQ(Copies(machine).size(), 1u);
      ASSERT_EQ(machine.Bytes(Copies(machine)[0]), torn);
    }
    ASSERT_TRUE(machine.Open().ok());
    ASSERT_EQ(Copies(machine).size(), 1u);
    ASSERT_EQ(machine.Bytes(Copies(machine)[0]), torn);
    if (done) break;
    ASSERT_LT(fails_at, 40u);
  }
}

TEST(Repair, TheSecondOneLeavesTheFirstCopyAlone) {
  Machine machine;
  ASSERT_TRUE(machine.Create({{MakeEntry(1, 1, "a")}, MakeState(1, 1), {}, true}).ok());
  const std::string first = TearLastWrite(machine);
  ASSERT_TRUE(machine.Open()->repaired);
  ASSERT_TRUE(machine.AppendAndWait({{MakeEntry(1, 2, "good")}, MakeState(1, 2), {}, true}).ok());
  const std::string second = TearLastWrite(machine);
  ASSERT_TRUE(machine.Open()->repaired);
  ASSERT_EQ(Copies(machine).size(), 2u);
  EXPECT_EQ(machine.Bytes(Copies(machine)[0]), first);
  EXPECT_EQ(machine.Bytes(Copies(machine)[1]), second);
}

TEST(Repair, TheSegmentIsAllocatedAgain) {
  Machine machine(1, 1 << 20);
  ASSERT_TRUE(machine.Create({{MakeEntry(1, 1, "a")}, MakeState(1, 1), {}, true}).ok());
  TearLastWrite(machine);
  ASSERT_TRUE(machine.Open()->repaired);
  EXPECT_GE(machine.disk().space_bytes(), 2u << 20);  // the copy, and the segment
  EXPECT_EQ(machine.disk().Stat(SegmentPath(0, 0))->size, 1u << 20);
}

}  // namespace
}  // namespace quoin::wal
