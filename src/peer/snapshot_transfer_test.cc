// Snapshots between simulated machines: whole, or not at all.

#include <gtest/gtest.h>

#include "peer/testing/machines.h"

namespace quoin::peer {
namespace {

class SnapshotTest : public TransportTest {
 protected:
  SnapshotTest() { Connect(a_, b_); }
  raft::Message Snap(uint64_t index) {
    raft::Message message = NewMessage(raft::MessageType::kSnap, a_.id(), b_.id());
    message.snapshot.metadata.index = Index(index);
    message.snapshot.metadata.term = Term(2);
    message.snapshot.data = SharedBytes("{}");
    return message;
  }
  static std::string File(size_t bytes) {
    std::string file;
    for (uint64_t i = 0; file.size() < bytes; ++i) file += std::to_string(i) + ";";
    return file;
  }
};

TEST_F(SnapshotTest, TheFileArrivesBeforeItsMessage) {
  const std::string file = File(5 << 20);
  a_.SendSnapshot(Snap(77), file);
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_TRUE(a_.snapshots_sent[0]);
  ASSERT_EQ(b_.heard.size(), 1u);
  EXPECT_EQ(b_.heard[0].snapshot.metadata.index.value(), 77u);
  EXPECT_TRUE(b_.store.finished[77] == file);
  EXPECT_LT(b_.store.largest_write, size_t{3} << 20);
  world_.RunFor(seconds(1));
  EXPECT_EQ(b_.store.unfinished, 0);
}

TEST_F(SnapshotTest, AnEmptyFileArrivesToo) {
  a_.SendSnapshot(Snap(5), "");
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_TRUE(a_.snapshots_sent[0]);
  EXPECT_EQ(b_.store.finished.count(5), 1u);
}

TEST_F(SnapshotTest, WhatCannotBeReadIsNotDelivered) {
  a_.SendSnapshot(Snap(77), File(3 << 20), 1 << 20);
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_FALSE(a_.snapshots_sent[0]);
  world_.RunFor(seconds(5));
  EXPECT_TRUE(b_.heard.empty());
  EXPECT_TRUE(b_.store.finished.empty());
  EXPECT_EQ(b_.store.unfinished, 0);
}

TEST_F(SnapshotTest, ADiskThatIsFullIsToldToTheSender) {
  b_.store.fails = true;
  a_.SendSnapshot(Snap(77), File(3 << 20));
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_FALSE(a_.snapshots_sent[0]);
  EXPECT_TRUE(b_.heard.empty());
  world_.RunFor(seconds(1));
  EXPECT_EQ(b_.store.unfinished, 0);
}

TEST_F(SnapshotTest, ADiskThatHangsIsGivenUp) {
  b_.store.stalls = true;
  a_.SendSnapshot(Snap(77), File(30 << 20));
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_FALSE(a_.snapshots_sent[0]);
}

TEST_F(SnapshotTest, AReceiverThatSyncsForLongIsWaitedFor) {
  b_.store.finish_takes = seconds(100);
  a_.SendSnapshot(Snap(77), File(1 << 20));
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_TRUE(a_.snapshots_sent[0]);
  EXPECT_EQ(b_.heard.size(), 1u);
}

TEST_F(SnapshotTest, AReceiverThatNeverAnswersIsGivenUp) {
  b_.store.finish_takes = seconds(100'000);
  a_.SendSnapshot(Snap(77), File(1 << 20));
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_FALSE(a_.snapshots_sent[0]);
  world_.RunFor(seconds(10));
  EXPECT_EQ(b_.store.unfinished, 0);
  EXPECT_TRUE(b_.heard.empty());
}

TEST_F(SnapshotTest, OnesOfSeveralSendersComeAtTheSameTime) {
  Connect(c_, b_);
  a_.SendSnapshot(Snap(77), File(3 << 20));
  raft::Message other = Snap(78);
  other.from = c_.id();
  c_.SendSnapshot(other, File(3 << 20));
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty() && !c_.snapshots_sent.empty(); }));
  EXPECT_TRUE(a_.snapshots_sent[0]);
  EXPECT_TRUE(c_.snapshots_sent[0]);
  EXPECT_EQ(b_.store.finished.size(), 2u);
}

TEST_F(SnapshotTest, AForgedSenderIsRefusedBeforeItsFileIsStored) {
  raft::Message forged = Snap(77);
  forged.from = c_.id();
  a_.SendSnapshot(forged, File(3 << 20));
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_FALSE(a_.snapshots_sent[0]);
  EXPECT_TRUE(b_.heard.empty());
  EXPECT_EQ(b_.store.largest_write, 0u);
}

TEST_F(SnapshotTest, EndsInTheTurnInWhichATransferBreaksOff) {
  for (int pause = 0; pause < 20; ++pause) {
    Machine machine(world_, network_, NodeId(60), "10.0.0.6");
    machine.Listen();
    Connect(a_, machine);
    raft::Message message = Snap(77);
    message.to = machine.id();
    a_.SendSnapshot(message, File(2 << 20));
    world_.RunFor(milliseconds(pause));
    network_.Reset(a_.address(), machine.address());
    machine.End();
    world_.RunFor(seconds(1));
    EXPECT_EQ(machine.store.unfinished, 0);
    a_.On([&machine](Transport& t) { t.RemovePeer(machine.id()); });
    world_.RunFor(seconds(1));
  }
}

TEST_F(SnapshotTest, ABrokenConnectionAtAnyMoment) {
  for (int pause = 0; pause < 40; ++pause) {
    a_.snapshots_sent.clear();
    b_.heard.clear();
    b_.store.finished.clear();
    a_.SendSnapshot(Snap(77), File(2 << 20));
    world_.RunFor(milliseconds(pause));
    network_.Reset(a_.address(), b_.address());
    ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); })) << pause;
    world_.RunFor(seconds(2));
    EXPECT_EQ(b_.store.unfinished, 0) << pause;
    // What the sender takes for delivered is.
    if (a_.snapshots_sent[0]) {
      EXPECT_EQ(b_.store.finished.count(77), 1u);
    }
    EXPECT_EQ(b_.heard.size(), b_.store.finished.size()) << pause;
  }
}

}  // namespace
}  // namespace quoin::peer
