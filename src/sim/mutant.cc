#include "sim/mutant.h"

#include <array>
#include <utility>

#include "raft/testing/core_access.h"

namespace quoin::server::testing {

class RaftLoopAccess {
 public:
  static raft::Raft& raft(RaftLoop& loop) { return loop.raft_; }
};

}  // namespace quoin::server::testing

namespace quoin::sim {
namespace {

constexpr std::array<std::pair<Mutant, std::string_view>, 4> kNames = {{
    {Mutant::kNone, "none"},
    {Mutant::kAnswersBeforeSync, "answers-before-sync"},
    {Mutant::kForgetsItsVote, "forgets-its-vote"},
    {Mutant::kCommitsByCountingAnyTerm, "commits-by-counting-any-term"},
}};

}  // namespace

std::string_view NameOf(Mutant mutant) {
  for (const auto& [each, name] : kNames)
    if (each == mutant) return name;
  return "";
}

std::optional<Mutant> MutantNamed(std::string_view name) {
  for (const auto& [mutant, each] : kNames)
    if (each == name) return mutant;
  return std::nullopt;
}

void CommitByCountingAnyTerm(server::RaftLoop& loop) {
  raft::testing::CoreAccess::CommitByCountingAnyTerm(server::testing::RaftLoopAccess::raft(loop));
}

}  // namespace quoin::sim
