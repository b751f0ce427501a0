// Mutants: what is broken on purpose, to see that the checks find it. Each comes through a seam of
// a test: a simulated disk, a log written between two lives, the door into a core. No server can
// be told to behave so.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "server/raft_loop.h"

namespace quoin::sim {

enum class Mutant : uint8_t {
  kNone,
  kAnswersBeforeSync,         // the log's syncs make nothing durable
  kForgetsItsVote,            // at a power failure
  kCommitsByCountingAnyTerm,  // also entries of earlier terms (figure 8)
};

std::string_view NameOf(Mutant mutant);
std::optional<Mutant> MutantNamed(std::string_view name);

// The mistake of kCommitsByCountingAnyTerm, made now by a member if it leads. Thread: the world's,
// between two events.
void CommitByCountingAnyTerm(server::RaftLoop& loop);

}  // namespace quoin::sim
