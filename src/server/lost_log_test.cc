#include "server/lost_log.h"

#include <gtest/gtest.h>

namespace quoin::server {
namespace {

constexpr int kNeeded = 10;

class LostLogTest : public testing::Test {
 protected:
  // `times` heartbeats of a leader; whether the last of them proved it.
  bool Hear(int times, uint64_t leader = 1, uint64_t term = 5, uint64_t last = 28) {
    bool proved = false;
    for (int i = 0; i < times; ++i)
      proved = log_.Note(NodeId(leader), Term(term), Index(229), Index(last));
    return proved;
  }
  LostLog log_{kNeeded};
};

TEST_F(LostLogTest, AnElectionTimeoutOfHeartbeatsProvesItOnce) {
  EXPECT_FALSE(Hear(kNeeded - 1));
  EXPECT_TRUE(Hear(1));
  EXPECT_FALSE(Hear(100));
}

TEST_F(LostLogTest, ASingleLieProvesNothing) {
  for (uint64_t liar = 1; liar < 100; ++liar) EXPECT_FALSE(Hear(kNeeded - 1, liar % 2));
}

TEST_F(LostLogTest, AnotherLeaderOrTermBeginsAnew) {
  EXPECT_FALSE(Hear(kNeeded - 1));
  EXPECT_FALSE(Hear(kNeeded - 1, 1, 6));
  EXPECT_FALSE(Hear(kNeeded - 1, 2, 6));
  EXPECT_TRUE(Hear(1, 2, 6));
}

TEST_F(LostLogTest, ALogThatGrowsIsBeingMended) {
  for (uint64_t last = 28; last < 228; ++last) EXPECT_FALSE(Hear(kNeeded - 1, 1, 5, last));
}

TEST_F(LostLogTest, HeartbeatsWithinTheLogAreRefusedForOtherReasons) {
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(log_.Note(NodeId(1), Term(5), Index(229), Index(229)));
}

TEST(LostLogText, IsEtcds) {
  EXPECT_EQ(LostLogText(Index(229), Index(28)),
            "tocommit(229) is out of range [lastIndex(28)]. Was the raft log corrupted, truncated, "
            "or lost?");
}

}  // namespace
}  // namespace quoin::server
