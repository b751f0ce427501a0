// Run: one seed's life of a whole cluster. Clients put, delete, compare and read on members of
// which any may lose power, be cut off, stall or stop; then all is healed, and it must go on. What
// is checked: sim/history.h, that no term has two leaders, that revisions of a member never go back
// while it lives, that at the end all members hold the same, hash for hash, that their trees are
// sound, and that after one more power failure of all it is still there.
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
  int members = 3;
  int steps = 60;
  Mutant mutant = Mutant::kNone;
  bool restless = false;  // one election follows the other, as in three of ten seeds anyway
  bool prints = false;    // every step, on standard error
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
  size_t crashes = 0, cuts = 0, snapshots = 0;
};

RunResult RunSeed(const RunOptions& options);

}  // namespace quoin::sim
