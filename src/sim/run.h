// Run: one seed's life of a whole cluster. Clients use it in several ways at once (sim/workload.h)
// by way of members of which any may lose power, stop, be cut off, stall or be slow; then all is
// healed, and it must go on. Checked besides what the workloads check: that no term has two
// leaders, that revisions of a member never go back while it lives, that at the end all members
// hold the same, hash for hash, that their trees are sound, and that after one more power failure
// of all it is still there.
//
//   RunResult result = RunSeed({.seed = 7});
//   if (result.failure) ...
//
// Thread: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "env/clock.h"
#include "sim/mutant.h"

namespace quoin::sim {

// Value type.
struct RunOptions {
  uint64_t seed = 1;
  int members = 3;  // of the cluster as it is made; with changes of the membership: at most
  int steps = 60;
  Mutant mutant = Mutant::kNone;
  bool restless = false;  // one election follows the other, as in three of ten seeds anyway
  bool prints = false;    // every step, on standard error
  // Names of workloads, with commas between; empty: drawn from the seed.
  std::string workloads;
};

// Value type.
struct RunResult {
  std::optional<std::string> failure;
  uint64_t trace = 0;  // two runs of one seed agree
  env::Duration virtual_time{0};
  size_t events = 0;
  size_t answered = 0;  // calls of clients, among them reads
  size_t reads = 0;
  int64_t revisions = 0;
  size_t crashes = 0, stops = 0, cuts = 0, snapshots = 0;
  size_t member_changes = 0, leases = 0, renewals = 0, watch_events = 0, locks = 0;
  size_t grpc_answers = 0;
  // Could not go on, for the one reason that is accepted: who was removed knew of it, lost or gave
  // up its data, and those that stay had not heard that it is committed. Any Raft does so.
  size_t stranded = 0;
};

RunResult RunSeed(const RunOptions& options);

}  // namespace quoin::sim
