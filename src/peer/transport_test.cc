// Transports on simulated machines: what arrives, and what breaks.

#include "peer/transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peer/testing/machines.h"

namespace quoin::peer {
namespace {

TEST_F(TransportTest, MessagesArriveInOrderOnTheirStreams) {
  Connect(a_, b_);
  for (uint64_t i = 1; i <= 100; ++i) {
    raft::Message append = NewMessage(raft::MessageType::kApp, a_.id(), b_.id(), i - 1);
    append.log_term = Term(i == 1 ? 1 : 2);
    append.entries.push_back(
        {Term(2), Index(i), raft::EntryType::kNormal, SharedBytes("entry " + std::to_string(i))});
    append.commit = Index(i / 2);
    a_.Send(append);
  }
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), b_.id()));
  ASSERT_TRUE(Until([&] { return b_.heard.size() == 101; }));
  uint64_t next = 1;
  for (const raft::Message& message : b_.heard) {
    EXPECT_EQ(message.from, a_.id());
    EXPECT_EQ(message.to, b_.id());
    if (message.type != raft::MessageType::kApp) continue;
    EXPECT_EQ(message.index.value(), next - 1);
    EXPECT_EQ(message.entries.at(0).data.view(), "entry " + std::to_string(next));
    EXPECT_EQ(message.commit.value(), next / 2);
    ++next;
  }
  EXPECT_EQ(next, 101u);
}

TEST_F(TransportTest, IdleStreamsStayOpenAndPeersActive) {
  Connect(a_, b_);
  env::Duration since{0};
  a_.On([&](Transport& t) { since = *t.peers().at(0).active_since; });
  world_.RunFor(seconds(60));
  bool same = false;
  a_.On([&](Transport& t) { same = t.peers().at(0).active_since == since; });
  world_.RunFor(seconds(1));
  EXPECT_TRUE(same);
}

TEST_F(TransportTest, ACutLinkEndsTheStreamsAndHealingOpensThemAgain) {
  Connect(a_, b_);
  network_.Cut(a_.address(), b_.address());
  network_.Cut(b_.address(), a_.address());
  world_.RunFor(seconds(20));
  bool active = true;
  a_.On([&](Transport& t) { active = t.peers().at(0).active_since.has_value(); });
  world_.RunFor(seconds(1));
  EXPECT_FALSE(active);
  network_.HealAll();
  world_.RunFor(seconds(10));
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), b_.id()));
  EXPECT_TRUE(Until([&] { return !b_.heard.empty(); }));
}

TEST_F(TransportTest, WithoutStreamsThePipelineCarries) {
  // b does not know a as a member: it refuses a's streams, remembers where a listens, and answers.
  a_.Add(b_);
  world_.RunFor(seconds(1));
  a_.Send(NewMessage(raft::MessageType::kVote, a_.id(), b_.id()));
  ASSERT_TRUE(Until([&] { return !b_.heard.empty(); }));
  b_.Send(NewMessage(raft::MessageType::kVoteResp, b_.id(), a_.id()));
  EXPECT_TRUE(Until([&] { return !a_.heard.empty(); }));
}

TEST_F(TransportTest, NobodyListens) {
  a_.On([](Transport& t) { t.AddPeer(NodeId(9), {"http://10.0.0.9:2380"}); });
  world_.RunFor(seconds(1));
  a_.Send(NewMessage(raft::MessageType::kVote, a_.id(), NodeId(9)));
  EXPECT_TRUE(Until([&] { return a_.unreachable > 0; }));
  EXPECT_TRUE(a_.gone.contains(NodeId(9)));
}

TEST_F(TransportTest, AProcessThatEndedIsGoneAndOneThatIsCutOffIsNot) {
  Connect(a_, b_);
  Connect(a_, c_);
  network_.Cut(c_.address(), a_.address());
  network_.Cut(a_.address(), c_.address());
  b_.End();
  EXPECT_TRUE(Until([&] { return a_.gone.contains(b_.id()); }));
  world_.RunFor(seconds(30));
  EXPECT_FALSE(a_.gone.contains(c_.id()));
}

// A stream that it keeps open says that it lives, whatever one of its addresses answers.
TEST_F(TransportTest, AMemberThatIsHeardIsNotGone) {
  b_.Add(a_);
  a_.On([this](Transport& t) { t.AddPeer(b_.id(), {"http://10.0.0.9:2380"}); });
  world_.RunFor(seconds(10));
  a_.gone.clear();  // what was said before b's streams stood
  world_.RunFor(seconds(10));
  EXPECT_TRUE(a_.gone.empty());
}

TEST_F(TransportTest, TheNextAddressIsTried) {
  b_.Add(a_);
  a_.On([this](Transport& t) { t.AddPeer(b_.id(), {"http://10.0.0.9:2380", b_.url()}); });
  world_.RunFor(seconds(10));
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), b_.id()));
  EXPECT_TRUE(Until([&] { return !b_.heard.empty(); }));
}

TEST_F(TransportTest, AReaderThatIsStuckCostsABoundedQueueAndNobodyElse) {
  Connect(a_, b_);
  Connect(a_, c_);
  network_.Cut(a_.address(), b_.address());
  raft::Message big = NewMessage(raft::MessageType::kApp, a_.id(), b_.id(), 1);
  big.entries.push_back(
      {Term(2), Index(2), raft::EntryType::kNormal, SharedBytes(std::string(100'000, 'x'))});
  for (int i = 0; i < 100; ++i) a_.Send(big);
  EXPECT_TRUE(Until([&] { return a_.unreachable > 50; }));
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), c_.id()));
  EXPECT_TRUE(Until([&] { return !c_.heard.empty(); }));
}

TEST_F(TransportTest, AMemberThatWasRemovedHearsIt) {
  Machine gone(world_, network_, kRemoved, "10.0.0.4");
  gone.Add(a_);
  EXPECT_TRUE(Until([&] { return gone.removed; }));
}

TEST_F(TransportTest, AForgedSenderEndsTheStream) {
  Connect(a_, b_);
  a_.Send(NewMessage(raft::MessageType::kVote, NodeId(3), b_.id()));
  a_.Send(NewMessage(raft::MessageType::kVote, a_.id(), b_.id()));
  world_.RunFor(seconds(5));
  for (const raft::Message& message : b_.heard) EXPECT_EQ(message.from, a_.id());
  b_.heard.clear();
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), b_.id()));
  EXPECT_TRUE(Until([&] { return !b_.heard.empty(); }));
}

TEST_F(TransportTest, ARequestThatAMemberPassesOnKeepsItsAuthor) {
  Connect(a_, b_);
  for (raft::MessageType type : {raft::MessageType::kProp, raft::MessageType::kReadIndex})
    a_.Send(NewMessage(type, c_.id(), b_.id()));
  ASSERT_TRUE(Until([&] { return b_.heard.size() == 2; }));
  for (const raft::Message& message : b_.heard) EXPECT_EQ(message.from, c_.id());
  EXPECT_TRUE(b_.log.warnings.empty());
}

TEST_F(TransportTest, AForgedSenderIsRefusedOnThePipelineToo) {
  a_.Add(b_);  // b does not know a as a member: no streams
  world_.RunFor(seconds(1));
  a_.Send(NewMessage(raft::MessageType::kVote, c_.id(), b_.id()));
  EXPECT_TRUE(Until([&] { return a_.unreachable > 0; }));
  EXPECT_TRUE(b_.heard.empty());
  EXPECT_THAT(b_.log.warnings, testing::Contains("failed to process Raft message"));
}

TEST_F(TransportTest, WhoeverIsStillHeardOfKeepsItsPlaceAmongRemotes) {
  Machine other(world_, network_, NodeId(50), "10.0.0.4");
  other.Add(a_);
  world_.RunFor(seconds(1));
  // Strangers take all places that there are, and say no more.
  for (uint64_t i = 0; i < 63; ++i)
    a_.On([i](Transport& t) { t.AddRemote(NodeId(1000 + i), {"http://10.0.0.9:2380"}); });
  for (int minute = 0; minute < 3; ++minute) {
    world_.RunFor(seconds(60));
    a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), other.id()));
  }
  // Another one needs a place.
  Machine late(world_, network_, NodeId(51), "10.0.0.5");
  late.Listen();
  a_.On([&late](Transport& t) { t.AddRemote(late.id(), {late.url()}); });
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), late.id()));
  EXPECT_TRUE(Until([&] { return !late.heard.empty(); }));
}

TEST_F(TransportTest, ARemoteThatMovesIsReachedWhereItListens) {
  a_.On([this](Transport& t) { t.AddRemote(b_.id(), {"http://10.0.0.9:2380"}); });
  b_.Add(a_);  // tells a where it listens
  world_.RunFor(seconds(1));
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), b_.id()));
  EXPECT_TRUE(Until([&] { return !b_.heard.empty(); }));
}

TEST_F(TransportTest, EndsInTheTurnInWhichAPeerIsRemoved) {
  Connect(a_, b_);
  a_.On([this](Transport& t) { t.RemovePeer(b_.id()); });
  a_.End();
  world_.RunFor(seconds(10));
  EXPECT_TRUE(a_.heard.empty());
}

TEST_F(TransportTest, ACrashedPeerComesBack) {
  Connect(a_, b_);
  for (int round = 0; round < 3; ++round) {
    network_.Reset(a_.address(), b_.address());
    world_.RunFor(seconds(5));
    b_.heard.clear();
    a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), b_.id()));
    EXPECT_TRUE(Until([&] { return !b_.heard.empty(); })) << round;
  }
}

TEST_F(TransportTest, TheLiveAddressOfTwoIsReached) {
  Machine gone(world_, network_, kRemoved, "10.0.0.4");
  network_.Cut("10.0.0.4", "10.0.0.9");
  gone.On([this](Transport& t) { t.AddPeer(a_.id(), {"http://10.0.0.9:2380", a_.url()}); });
  world_.RunFor(seconds(120));
  EXPECT_TRUE(gone.removed);
}

TEST_F(TransportTest, ALostStreamIsReported) {
  Connect(a_, b_);
  ASSERT_EQ(a_.unreachable, 0);
  network_.Reset(a_.address(), b_.address());
  world_.RunFor(seconds(5));
  EXPECT_GT(a_.unreachable, 0);
}

}  // namespace
}  // namespace quoin::peer
