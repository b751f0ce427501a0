#include "cluster/reconfigure.h"

#include <gtest/gtest.h>

#include "base/errors.h"
#include "cluster/versions.h"

namespace quoin::cluster {
namespace {

std::vector<Member> Voters(std::initializer_list<const char*> names) {
  std::vector<Member> members;
  for (const char* name : names) {
    Member member;
    member.id = members.size() + 1;
    member.name = name;
    members.push_back(member);
  }
  return members;
}

Connections All(uint64_t count) {
  Connections connected;
  for (uint64_t id = 1; id <= count; ++id) {
    connected.now.insert(id);
    connected.steadily.insert(id);
  }
  return connected;
}

TEST(ReconfigureTest, AddingAVoterNeedsAMajorityThatHasStarted) {
  EXPECT_EQ(CheckAdd(Voters({"a"}), All(1), false), OkStatus());
  EXPECT_EQ(CheckAdd(Voters({"a", "b"}), All(2), false), OkStatus());
  EXPECT_EQ(CheckAdd(Voters({"a", ""}), All(2), false), errors::MemberNotEnoughStarted());
  EXPECT_EQ(CheckAdd(Voters({"a", ""}), All(2), true), OkStatus());
  EXPECT_EQ(CheckAdd(Voters({"a", "b", "c"}), All(3), false), OkStatus());
}

TEST(ReconfigureTest, AddingNeedsAMajorityThatAnswers) {
  EXPECT_EQ(CheckAdd(Voters({"a", "b", "c"}), All(2), false), errors::UnhealthyCluster());
  EXPECT_EQ(CheckAdd(Voters({"a", "b", "c"}), All(2), true), errors::UnhealthyCluster());
  EXPECT_EQ(CheckAdd(Voters({"a"}), {}, true), OkStatus()) << "a single voter need not be asked";
}

TEST(ReconfigureTest, RemovingLeavesAMajorityThatAnswers) {
  const std::vector<Member> three = Voters({"a", "b", "c"});
  EXPECT_EQ(CheckRemove(three, All(3), 1, 3), OkStatus());
  EXPECT_EQ(CheckRemove(three, All(2), 1, 3), OkStatus()) << "it is gone already";
  EXPECT_EQ(CheckRemove(three, All(2), 1, 2), errors::UnhealthyCluster());
  EXPECT_EQ(CheckRemove(Voters({"a", "", ""}), All(3), 1, 2), errors::MemberNotEnoughStarted());
  EXPECT_EQ(CheckRemove(Voters({"a"}), All(1), 1, 1), errors::MemberNotEnoughStarted());
  EXPECT_EQ(CheckRemove(three, All(3), 1, 9), OkStatus())
      << "who it is comes out when it is applied";
  std::vector<Member> with_learner = three;
  with_learner[2].learner = true;
  EXPECT_EQ(CheckRemove(with_learner, All(1), 1, 3), OkStatus());
}

TEST(ReconfigureTest, PromotingNeedsAMajorityThatHasStarted) {
  EXPECT_EQ(CheckPromote(Voters({"a"})), OkStatus());
  EXPECT_EQ(CheckPromote(Voters({"a", "", ""})), errors::MemberNotEnoughStarted());
}

TEST(ReconfigureTest, PeerUrls) {
  EXPECT_TRUE(ValidPeerUrls({"http://10.0.0.1:2380", "https://h:1", "unix://x", "http://[::1]:2"}));
  for (const char* bad : {"", "http://h", "http://h:", "http://:1", "http://h:1/path", "h:1",
                          "ftp://h:1", "http://h:x", "unix://"}) {
    EXPECT_FALSE(ValidPeerUrls({bad})) << bad;
  }
  EXPECT_FALSE(ValidPeerUrls({}));
}

TEST(VersionsTest, ParsesWhatServersSay) {
  const char* page = R"({"etcdserver":"3.5.30","etcdcluster":"3.5.0"})";
  EXPECT_EQ(ServerVersionOf(page), "3.5.30");
  EXPECT_EQ(ClusterVersionOf(page), "3.5.0");
  EXPECT_EQ(ClusterVersionOf("[]"), std::nullopt);
}

constexpr Version k35{3, 5, 0}, k36{3, 6, 0}, k37{3, 7, 0};

TEST(VersionsTest, TheClusterIsAsHighAsAllMembersAllow) {
  const VersionRange mixed{{3, 5, 30}, {3, 7, 1}};
  const VersionRange all_37{{3, 7, 1}, {3, 7, 1}};
  EXPECT_EQ(NextClusterVersion(std::nullopt, mixed, {}), k35);
  EXPECT_EQ(NextClusterVersion(std::nullopt, std::nullopt, {}), std::nullopt);
  EXPECT_EQ(NextClusterVersion(kUndecidedVersion, mixed, {}), k35);
  EXPECT_EQ(NextClusterVersion(k35, mixed, {}), std::nullopt);
  EXPECT_EQ(NextClusterVersion(k35, std::nullopt, {}), std::nullopt);
  EXPECT_EQ(NextClusterVersion(k35, VersionRange{{3, 6, 2}, {3, 7, 1}}, {}), k36);
  EXPECT_EQ(NextClusterVersion(k35, all_37, {}), k37);
  EXPECT_EQ(NextClusterVersion(k37, all_37, {}), std::nullopt);
  EXPECT_EQ(NextClusterVersion(k37, VersionRange{{4, 0, 0}, {4, 0, 0}}, {}), std::nullopt);
  // An older server among the members is their operator's doing, not a reason to lower anything.
  EXPECT_EQ(NextClusterVersion(k37, mixed, {}), std::nullopt);
}

TEST(VersionsTest, ADowngradeLowersByOneMinorAndThenHolds) {
  const VersionRange all_37{{3, 7, 1}, {3, 7, 1}};
  EXPECT_EQ(NextClusterVersion(k37, all_37, {true, "3.6.0"}), k36);
  EXPECT_EQ(NextClusterVersion(k36, all_37, {true, "3.6.0"}), std::nullopt);
  EXPECT_EQ(NextClusterVersion(k36, VersionRange{{3, 6, 9}, {3, 7, 1}}, {true, "3.6.0"}),
            std::nullopt);
  EXPECT_EQ(NextClusterVersion(k37, all_37, {true, "3.5.0"}), std::nullopt);
  EXPECT_EQ(NextClusterVersion(k37, std::nullopt, {true, "3.6.0"}), std::nullopt);
  EXPECT_EQ(NextClusterVersion(k36, all_37, {false, ""}), k37);  // it was cancelled
}

TEST(VersionsTest, ADowngradeEndsWhenAllRunItsTarget) {
  EXPECT_TRUE(DowngradeFinished(VersionRange{{3, 6, 1}, {3, 6, 9}}, {true, "3.6.0"}));
  EXPECT_FALSE(DowngradeFinished(VersionRange{{3, 6, 1}, {3, 7, 1}}, {true, "3.6.0"}));
  EXPECT_FALSE(DowngradeFinished(VersionRange{{3, 5, 1}, {3, 6, 1}}, {true, "3.6.0"}));
  EXPECT_FALSE(DowngradeFinished(VersionRange{{3, 6, 1}, {3, 6, 1}}, {false, ""}));
  EXPECT_FALSE(DowngradeFinished(std::nullopt, {true, "3.6.0"}));
}

TEST(VersionsTest, WhoMayJoin) {
  EXPECT_TRUE(MayJoin("3.7.1", "3.5.0", false));
  EXPECT_TRUE(MayJoin("3.7.1", "3.7.0", false));
  EXPECT_FALSE(MayJoin("3.7.1", "3.8.0", false));
  EXPECT_FALSE(MayJoin("3.7.1", "2.3.0", false));
  EXPECT_TRUE(MayJoin("3.7.1", "3.8.0", true));
  EXPECT_FALSE(MayJoin("3.7.1", "3.7.0", true));
}

}  // namespace
}  // namespace quoin::cluster
