#include "sim/mutant.h"

#include <algorithm>
#include <iterator>

#include "raft/testing/core_access.h"
#include "server/raft_loop.h"
#include "sim/machine.h"

namespace quoin::server::testing {

class RaftLoopAccess {
 public:
  static raft::Raft& raft(RaftLoop& loop) { return loop.raft_; }
  static NodeInfo& info(RaftLoop& loop) { return loop.info_; }
};

}  // namespace quoin::server::testing

namespace quoin::sim {
namespace {

using raft::testing::CoreAccess;

struct Row {
  Mutant mutant;
  std::string_view name;
  std::string_view workloads;
  bool restless;
};
constexpr Row kRows[] = {
    {Mutant::kNone, "none", "", false},
    {Mutant::kAnswersBeforeSync, "answers-before-sync", "kv,compaction", true},
    {Mutant::kForgetsItsVote, "forgets-its-vote", "kv,compaction", true},
    {Mutant::kCommitsByCountingAnyTerm, "commits-by-counting-any-term", "kv,compaction", true},
    {Mutant::kAnswersReadsUnasked, "answers-reads-unasked", "kv", false},
    {Mutant::kReadsBeforeOwnTerm, "reads-before-own-term", "kv", true},
    {Mutant::kDoesNotWaitForApplied, "does-not-wait-for-applied", "kv,slow-loops", false},
    {Mutant::kEndsLeasesEarly, "ends-leases-early", "kv,leases", false},
    {Mutant::kSnapshotBeforeRename, "snapshot-before-rename", "kv,compaction", false},
    {Mutant::kWatchSkipsBatch, "watch-skips-batch", "kv,watches", false},
    {Mutant::kProposesTwice, "proposes-twice", "kv", false},
    {Mutant::kNamesOnTheLoop, "names-on-the-loop", "kv,names", false},
    {Mutant::kRenewsUnproved, "renews-unproved", "leases", false},
    {Mutant::kReadsAsLoneVoter, "reads-as-lone-voter", "kv,membership,slow-loops", false},
};

// By what it has applied.
bool IsLoneVoter(Machine& machine) {
  const auto cluster = machine.node().frontend(0).cluster();
  return cluster != nullptr && 1 == std::count_if(cluster->members.begin(), cluster->members.end(),
                                                  [](const auto& each) { return !each.learner; });
}

const Row& RowOf(Mutant mutant) {
  for (const Row& row : kRows)
    if (row.mutant == mutant) return row;
  return kRows[0];
}

}  // namespace

std::string_view NameOf(Mutant mutant) { return RowOf(mutant).name; }
std::string_view WorkloadsFor(Mutant mutant) { return RowOf(mutant).workloads; }

bool IsRestless(Mutant mutant) { return RowOf(mutant).restless; }

std::optional<Mutant> MutantNamed(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.mutant;
  return std::nullopt;
}

std::vector<Mutant> AllMutants() {
  std::vector<Mutant> all;
  for (const Row& row : kRows)
    if (row.mutant != Mutant::kNone) all.push_back(row.mutant);
  return all;
}

void PrepareDisk(Mutant mutant, Machine& machine) {
  if (mutant == Mutant::kAnswersBeforeSync) machine.disk().set_lying_syncs("/wal/");
  if (mutant == Mutant::kSnapshotBeforeRename) machine.disk().set_lying_directory_syncs("/snap");
}

void PrepareNetwork(Mutant mutant, env::SimNetwork& network) {
  if (mutant == Mutant::kNamesOnTheLoop) network.set_names_on_the_loop();
}

void Misbehave(Mutant mutant, Machine& machine) {
  using Access = server::testing::RaftLoopAccess;
  raft::Raft& raft = Access::raft(machine.node().raft_loop());
  server::NodeInfo& info = Access::info(machine.node().raft_loop());
  switch (mutant) {
    case Mutant::kCommitsByCountingAnyTerm:
      return CoreAccess::CommitByCountingAnyTerm(raft);
    case Mutant::kAnswersReadsUnasked:
      return CoreAccess::AnswerReadsUnasked(raft);
    case Mutant::kReadsBeforeOwnTerm:
      return CoreAccess::StartReadsBeforeOwnTerm(raft);
    case Mutant::kDoesNotWaitForApplied:
      return CoreAccess::AnswerReadsAtApplied(raft);
    case Mutant::kWatchSkipsBatch:
      return machine.HideBatches();
    case Mutant::kRenewsUnproved:
      if (info.is_leader.load()) info.lead_proved_at.store(machine.io().clock().Now().count());
      return;
    case Mutant::kReadsAsLoneVoter:
      if (!info.is_leader.load() || !IsLoneVoter(machine)) return;
      info.sole_member_leads.store(true);
      info.commit_index.store(info.applied_index.load());
      return;
    default:
      return;
  }
}

}  // namespace quoin::sim
