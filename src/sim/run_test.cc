// Whole clusters under faults, some seeds of what quoin_sim does with many; and that the checks
// find what they are there for.

#include "sim/run.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "sim/history.h"

namespace quoin::sim {
namespace {

class Seeds : public testing::TestWithParam<uint64_t> {};

// What a seed has is drawn from it: workloads, slow loops, names, faults.
TEST_P(Seeds, KeepsEveryPromise) {
  const RunOptions options{.seed = GetParam(), .members = GetParam() % 5 == 0 ? 5 : 3};
  const RunResult result = RunSeed(options);
  EXPECT_FALSE(result.failure) << "seed " << options.seed << ", " << options.members
                               << " members: " << *result.failure;
}

INSTANTIATE_TEST_SUITE_P(All, Seeds, testing::Range<uint64_t>(1, 101));

TEST(Run, ASeedDecidesEverything) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const RunOptions options{.seed = seed, .members = seed % 5 == 0 ? 5 : 3};
    EXPECT_EQ(RunSeed(options).trace, RunSeed(options).trace) << "seed " << seed;
  }
}

// Each workload by itself does what it is there for.
TEST(Run, WorkloadsReachWhatTheyAreFor) {
  RunResult sum;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const RunResult one =
        RunSeed({.seed = seed, .workloads = "kv,compaction,membership,leases,watches,locks,grpc"});
    ASSERT_FALSE(one.failure) << "seed " << seed << ": " << *one.failure;
    sum.reads += one.reads;
    sum.member_changes += one.member_changes;
    sum.leases += one.leases;
    sum.renewals += one.renewals;
    sum.watch_events += one.watch_events;
    sum.locks += one.locks;
    sum.grpc_answers += one.grpc_answers;
  }
  EXPECT_GT(sum.reads, 0);
  EXPECT_GT(sum.member_changes, 0);
  EXPECT_GT(sum.leases, 0);
  EXPECT_GT(sum.renewals, 0);
  EXPECT_GT(sum.watch_events, 0);
  EXPECT_GT(sum.locks, 0);
  EXPECT_GT(sum.grpc_answers, 0);
}

// In a process of its own: a failed CHECK is a find, too.
bool Fails(const RunOptions& options) {
  const pid_t child = fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stderr);
    _exit(RunSeed(options).failure ? 1 : 0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status != 0;
}

// The others' votes made a leader whose own was not on its disk yet. Power failed, and it led the
// same term once more.
TEST(Run, NobodyLeadsATermTwice) { EXPECT_FALSE(Fails({.seed = 1678})); }

// A mutant, and a seed near which it is found: the search from 1 on takes longer.
struct Hunt {
  Mutant mutant;
  uint64_t from;
};

class Mutants : public testing::TestWithParam<Hunt> {};

TEST_P(Mutants, IsFoundWithin500Seeds) {
  const Mutant mutant = GetParam().mutant;
  const std::string workloads(WorkloadsFor(mutant));
  for (uint64_t seed = GetParam().from; seed < GetParam().from + 500; ++seed) {
    RunOptions options{
        .seed = seed, .mutant = mutant, .restless = IsRestless(mutant), .workloads = workloads};
    if (!Fails(options)) continue;
    options.mutant = Mutant::kNone;
    ASSERT_FALSE(Fails(options)) << "seed " << seed << " fails without the mutant, too";
    RecordProperty("seed", std::to_string(seed));
    return;
  }
  FAIL() << "500 seeds did not show it";
}

constexpr Hunt kHunts[] = {
    {Mutant::kAnswersBeforeSync, 1},        {Mutant::kForgetsItsVote, 16},
    {Mutant::kCommitsByCountingAnyTerm, 1}, {Mutant::kAnswersReadsUnasked, 19},
    {Mutant::kReadsBeforeOwnTerm, 4},       {Mutant::kDoesNotWaitForApplied, 5},
    {Mutant::kEndsLeasesEarly, 1},          {Mutant::kSnapshotBeforeRename, 1},
    {Mutant::kWatchSkipsBatch, 1},          {Mutant::kProposesTwice, 1},
    {Mutant::kNamesOnTheLoop, 1},           {Mutant::kRenewsUnproved, 50},
    {Mutant::kReadsAsLoneVoter, 30},
};

INSTANTIATE_TEST_SUITE_P(All, Mutants, testing::ValuesIn(kHunts), [](const auto& each) {
  std::string name(NameOf(each.param.mutant));
  std::erase(name, '-');
  return name;
});

TEST(Mutants, AllAreHunted) { EXPECT_EQ(AllMutants().size(), std::size(kHunts)); }

// A history of two puts that went well, to be spoilt.
class HistoryTest : public testing::Test {
 protected:
  HistoryTest() {
    Put("a", 2);
    Put("b", 3);
  }
  size_t Put(const std::string& value, int64_t revision) {
    const size_t number = history_.Begin({.key = "k", .value = value});
    history_.Answer(number, revision, true);
    EXPECT_EQ(history_.Learn(revision, {{"k", {value, revision}}}), std::nullopt);
    return number;
  }
  std::string Wrong() const { return history_.Verify().value_or("nothing"); }
  History history_;
};

TEST_F(HistoryTest, AcceptsWhatIsRight) {
  const size_t read = history_.Begin({.kind = Call::Kind::kRead});
  history_.Answer(read, 3, false, {{"k", {"b", 3}}});
  const size_t failed = history_.Begin({.kind = Call::Kind::kPutIf, .key = "k", .value = "c"});
  history_.Answer(failed, 3, false, {{"k", {"b", 3}}});
  history_.Begin({.kind = Call::Kind::kDelete, .key = "k"});
  EXPECT_EQ(history_.Learn(4, {}), std::nullopt);
  EXPECT_EQ(Wrong(), "nothing");
}

TEST_F(HistoryTest, FindsAReadThatIsTooOld) {
  const size_t read = history_.Begin({.kind = Call::Kind::kRead});
  history_.Answer(read, 2, false, {{"k", {"a", 2}}});
  EXPECT_TRUE(Wrong().starts_with("older than what was heard before")) << Wrong();
}

TEST_F(HistoryTest, LetsAStaleReadBeOldButNotWrong) {
  const size_t old = history_.Begin({.kind = Call::Kind::kStale});
  history_.Answer(old, 2, false, {{"k", {"a", 2}}});
  EXPECT_EQ(Wrong(), "nothing");
  const size_t wrong = history_.Begin({.kind = Call::Kind::kStale});
  history_.Answer(wrong, 2, false, {{"k", {"b", 3}}});
  EXPECT_TRUE(Wrong().starts_with("a stale read of no moment")) << Wrong();
}

TEST_F(HistoryTest, FindsWhatWasLost) {
  const size_t put = history_.Begin({.key = "k", .value = "c"});
  history_.Answer(put, 4, true);
  EXPECT_TRUE(Wrong().starts_with("acknowledged and lost")) << Wrong();
  EXPECT_EQ(history_.Learn(4, {{"k", {"b", 3}}, {"l", {"c", 4}}}), std::nullopt);
  EXPECT_TRUE(Wrong().starts_with("acknowledged and not done")) << Wrong();
}

TEST_F(HistoryTest, FindsWhatHappenedTwiceOrWithoutBeingAsked) {
  EXPECT_EQ(history_.Learn(4, {{"k", {"b", 4}}}), std::nullopt);
  EXPECT_TRUE(Wrong().starts_with("done twice")) << Wrong();
  History other;
  EXPECT_EQ(other.Learn(2, {{"k", {"x", 2}}}), std::nullopt);
  EXPECT_EQ(other.Verify(), "nobody wrote x at revision 2");
}

TEST_F(HistoryTest, FindsAComparisonThatWasTrueAndFailed) {
  const size_t call =
      history_.Begin({.kind = Call::Kind::kPutIf, .key = "k", .value = "c", .compare = 3});
  history_.Answer(call, 3, false, {{"k", {"b", 3}}});
  EXPECT_TRUE(Wrong().starts_with("a comparison was true and failed")) << Wrong();
}

TEST_F(HistoryTest, FindsMembersThatDiffer) {
  EXPECT_EQ(history_.Learn(2, {{"k", {"z", 2}}}), "two members differ at revision 2");
}

}  // namespace
}  // namespace quoin::sim
