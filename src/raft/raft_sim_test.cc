// Ring 1 of the simulation: the core alone under random schedules, and mistakes made on purpose.
#include <gtest/gtest.h>

#include "raft/testing/simulation.h"

namespace quoin::raft::testing {
namespace {

TEST(RaftSimulationTest, RandomSchedulesKeepEveryPromise) {
  constexpr uint64_t kSeeds = 300;
  size_t snapshots = 0;
  size_t crashes = 0;
  size_t reads = 0;
  uint64_t committed = 0;
  uint64_t stranded = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const SimulationResult result = Simulation({.seed = seed, .steps = 5000}).Run();
    ASSERT_FALSE(result.failure.has_value())
        << "seed " << seed << " step " << result.failed_step << ": " << *result.failure;
    snapshots += result.snapshots;
    crashes += result.crashes;
    reads += result.reads;
    committed += result.committed.value();
    stranded += result.stranded ? 1 : 0;
  }
  // The schedules do reach what they are for.
  EXPECT_GT(snapshots, kSeeds / 4);
  EXPECT_GT(crashes, kSeeds);
  EXPECT_GT(reads, kSeeds);
  EXPECT_GT(committed, kSeeds * 20);
  EXPECT_LE(stranded, kSeeds / 100);
}

TEST(RaftSimulationTest, ASeedDecidesEverything) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const uint64_t first = Simulation({.seed = seed}).Run().trace_hash;
    EXPECT_EQ(first, Simulation({.seed = seed}).Run().trace_hash) << "seed " << seed;
    EXPECT_NE(first, Simulation({.seed = seed + 1000}).Run().trace_hash) << "seed " << seed;
  }
}

class MutantTest : public ::testing::TestWithParam<std::pair<const char*, Mutant>> {};

TEST_P(MutantTest, IsFoundWithin500Seeds) {
  // This one matters after a removal and an election behind it.
  const int steps = GetParam().second == Mutant::kCountsRemovedVotes ? 5000 : 1200;
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    const SimulationResult result =
        Simulation({.seed = seed, .steps = steps, .mutant = GetParam().second}).Run();
    if (!result.failure) continue;
    std::printf("[ MUTANT   ] seed %llu step %d: %s\n", static_cast<unsigned long long>(seed),
                result.failed_step, result.failure->c_str());
    return;
  }
  FAIL() << "nobody noticed";
}

INSTANTIATE_TEST_SUITE_P(
    All, MutantTest,
    ::testing::Values(std::pair{"CommitsByCountingAnyTerm", Mutant::kCommitsByCountingAnyTerm},
                      std::pair{"ForgetsItsVote", Mutant::kForgetsItsVote},
                      std::pair{"ForgetsItsTerm", Mutant::kForgetsItsTerm},
                      std::pair{"AnswersBeforeDurable", Mutant::kAnswersBeforeDurable},
                      std::pair{"AppliesUnstableEntries", Mutant::kAppliesUnstableEntries},
                      std::pair{"ReadsBeforeOwnTerm", Mutant::kReadsBeforeOwnTerm},
                      std::pair{"CommitsByOneHalf", Mutant::kCommitsByOneHalf},
                      std::pair{"CountsRemovedVotes", Mutant::kCountsRemovedVotes},
                      std::pair{"AdoptsAtAppend", Mutant::kAdoptsAtAppend}),
    [](const auto& info) { return std::string(info.param.first); });

}  // namespace
}  // namespace quoin::raft::testing
