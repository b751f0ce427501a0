#include "server/cluster_warnings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quoin::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Lines final : public Logger {
 public:
  void Write(LogLevel level, std::source_location, std::string_view message, const LogField*,
             size_t) override {
    lines.push_back((level == LogLevel::kWarn ? "warn: " : "info: ") + std::string(message));
  }
  bool Enabled(LogLevel) const override { return true; }
  std::vector<std::string> lines;
};

class ClusterWarningsTest : public testing::Test {
 protected:
  ClusterWarningsTest() {
    for (uint64_t id = 1; id <= 4; ++id) {
      cluster_.members.push_back({.id = id});
      cluster_.members.back().learner = id == 4;
    }
  }
  // `looks` half seconds in which these members answer.
  void Look(int looks, const std::vector<uint64_t>& active) {
    std::vector<peer::PeerStatus> peers;
    for (uint64_t id : {2, 3, 4}) {
      peers.push_back({.id = NodeId(id)});
      if (std::ranges::find(active, id) != active.end()) peers.back().active_since.emplace(1);
    }
    for (int i = 0; i < looks; ++i) warnings_.Look(cluster_, peers);
  }
  ClusterInfo cluster_;
  Lines log_;
  ClusterWarnings warnings_{1, 2048, log_};
};

TEST_F(ClusterWarningsTest, ALostQuorumIsToldOnceAndSoIsItsReturn) {
  Look(10, {2, 3});
  Look(3, {});
  EXPECT_THAT(log_.lines, IsEmpty());
  Look(10, {});
  EXPECT_THAT(log_.lines,
              ElementsAre("warn: 1 of 3 members reachable; nothing can be written until 2 are"));
  Look(10, {3});
  EXPECT_EQ(log_.lines.size(), 2u);
  EXPECT_EQ(log_.lines.back(), "info: 2 of 3 members reachable again");
}

TEST_F(ClusterWarningsTest, LearnersDoNotCount) {
  Look(4, {4});
  EXPECT_EQ(log_.lines.size(), 1u);
}

TEST_F(ClusterWarningsTest, AnAlarmOfSpaceIsToldOnceEachTimeItIsRaised) {
  for (int round = 0; round < 2; ++round) {
    cluster_.alarms = {{1, state::AlarmType::kNoSpace}};
    Look(5, {2, 3});
    cluster_.alarms.clear();
    Look(5, {2, 3});
  }
  EXPECT_EQ(log_.lines.size(), 2u);
  EXPECT_THAT(log_.lines[0], testing::HasSubstr("its quota of 2048 bytes"));
}

}  // namespace
}  // namespace quoin::server
