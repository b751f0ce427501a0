// The version of a cluster of whole members: raised, lowered, and the end of a downgrade.

#include <gtest/gtest.h>

#include "proto/membership.pb.h"
#include "sim/testing/cluster.h"

namespace quoin::sim {
namespace {

using testing::Cluster;

state::ApplyResult SetDowngrade(Cluster& cluster, Machine& machine, const std::string& target) {
  membershippb::DowngradeInfoSetRequest request;
  request.set_enabled(!target.empty());
  request.set_ver(target);
  return cluster.Propose(machine, state::Operation::kDowngradeInfoSet, request.SerializeAsString());
}

// All that are up say so.
bool AllAt(Cluster& cluster, const std::string& version) {
  return cluster.Until([&] {
    for (int i = 0; i < cluster.size(); ++i) {
      if (!cluster[i].up()) continue;
      const auto& info = cluster[i].node().frontend(0).cluster();
      if (info == nullptr || info->cluster_version != version || info->storage_version != version)
        return false;
    }
    return true;
  });
}

TEST(SimulatedVersions, ADowngradeLowersTheClusterAndACancellationRaisesIt) {
  Cluster cluster(11, 3);
  cluster.StartAll();
  ASSERT_TRUE(AllAt(cluster, "3.7.0"));
  ASSERT_TRUE(cluster.Put(*cluster.Leader(), "k", "v").status.ok());
  const int snapshots = cluster[0].log().count("saved snapshot");
  ASSERT_TRUE(SetDowngrade(cluster, cluster[1], "3.6.0").status.ok());
  ASSERT_TRUE(AllAt(cluster, "3.6.0"));
  // A server of 3.6 would start from here.
  EXPECT_TRUE(cluster.Until([&] { return cluster[0].log().count("saved snapshot") > snapshots; }));

  cluster.Leader()->Crash();
  cluster.StartAll();
  ASSERT_TRUE(AllAt(cluster, "3.6.0"));
  EXPECT_TRUE(cluster[0].node().frontend(0).cluster()->downgrade.enabled) << "ended by itself";

  ASSERT_TRUE(SetDowngrade(cluster, cluster[2], "").status.ok());
  EXPECT_TRUE(AllAt(cluster, "3.7.0"));
}

TEST(SimulatedVersions, TheClusterIsNotRaisedOverAMemberThatIsNotHeard) {
  Cluster cluster(12, 3);
  cluster.StartAll();
  ASSERT_TRUE(SetDowngrade(cluster, cluster[0], "3.6.0").status.ok());
  ASSERT_TRUE(AllAt(cluster, "3.6.0"));
  Machine* leader = cluster.Leader();
  Machine* silent = cluster.Follower();
  silent->Crash();
  ASSERT_TRUE(SetDowngrade(cluster, *leader, "").status.ok());
  cluster.world().RunFor(std::chrono::seconds(60));
  EXPECT_TRUE(AllAt(cluster, "3.6.0"));
  cluster.StartAll();
  EXPECT_TRUE(AllAt(cluster, "3.7.0"));
}

TEST(SimulatedVersions, ADowngradeEndsWhenAllMembersRunItsTarget) {
  Cluster cluster(13, 3);
  cluster.StartAll();
  ASSERT_TRUE(AllAt(cluster, "3.7.0"));
  // As the last of three servers that were replaced would find it.
  ASSERT_TRUE(SetDowngrade(cluster, cluster[0], "3.7.0").status.ok());
  ASSERT_TRUE(cluster[0].node().frontend(0).cluster()->downgrade.enabled);
  EXPECT_TRUE(
      cluster.Until([&] { return !cluster[0].node().frontend(0).cluster()->downgrade.enabled; }));
  EXPECT_TRUE(AllAt(cluster, "3.7.0"));
  int said = 0;
  for (int i = 0; i < 3; ++i) said += cluster[i].log().count("the cluster has been downgraded");
  EXPECT_EQ(said, 1);
}

}  // namespace
}  // namespace quoin::sim
