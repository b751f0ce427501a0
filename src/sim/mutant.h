// Mutants: what is broken on purpose, to see that the checks find it. Each comes through a seam of
// a test: a simulated disk, a log written between two lives, the door into a core, what a member
// hears of its own batches. No server can be told to behave so.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace quoin::env {
class SimNetwork;
}

namespace quoin::sim {

class Machine;

enum class Mutant : uint8_t {
  kNone,
  kAnswersBeforeSync,         // the log's syncs make nothing durable
  kForgetsItsVote,            // at a power failure
  kCommitsByCountingAnyTerm,  // also entries of earlier terms (figure 8)
  kAnswersReadsUnasked,       // a leader does not ask whether it still leads
  kReadsBeforeOwnTerm,        // … before an entry of its own term is committed
  kDoesNotWaitForApplied,     // a read is answered from what is applied
  kEndsLeasesEarly,           // the end of a lease is told before its time
  kSnapshotBeforeRename,      // a snapshot counts as saved before its name is durable
  kWatchSkipsBatch,           // some batches tell watchers nothing
  kProposesTwice,             // what a client asks for once
  kNamesOnTheLoop,            // whoever dials waits for the name, and all of its loop with it
  kRenewsUnproved,            // a leader renews leases whether or not a quorum has answered
  kReadsAsLoneVoter,          // who is that by what it has applied answers from that
};

std::string_view NameOf(Mutant mutant);
std::optional<Mutant> MutantNamed(std::string_view name);
std::vector<Mutant> AllMutants();  // but kNone
// What a run must have for it to matter, as RunOptions::workloads.
std::string_view WorkloadsFor(Mutant mutant);
// Whether it shows where one election follows the other.
bool IsRestless(Mutant mutant);

// The mistake, made now by a machine that is up. Thread: the world's, between two events.
void Misbehave(Mutant mutant, Machine& machine);
// What it is about its disk, or the network, before its first start.
void PrepareDisk(Mutant mutant, Machine& machine);
void PrepareNetwork(Mutant mutant, env::SimNetwork& network);

}  // namespace quoin::sim
