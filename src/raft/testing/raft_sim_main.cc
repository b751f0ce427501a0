// raft_sim [--seeds N] [--from S] [--steps K] [--twice]: runs random schedules and checks Raft's
// promises after each step. Ends with the first seed that breaks one.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "raft/testing/simulation.h"

namespace {

volatile std::sig_atomic_t current_seed_low = 0;

// A failed CHECK of the core ends the process; say which seed it was.
void OnAbort(int) {
  std::fprintf(stderr, "aborted in seed %ld (of the low 31 bits)\n",
               static_cast<long>(current_seed_low));
}

}  // namespace

int main(int argc, char** argv) {
  using quoin::raft::testing::Simulation;
  using quoin::raft::testing::SimulationOptions;
  using quoin::raft::testing::SimulationResult;
  uint64_t from = 1;
  uint64_t seeds = 1000;
  bool twice = false;
  SimulationOptions options;
  for (int i = 1; i < argc; ++i) {
    const bool has_value = i + 1 < argc;
    if (std::strcmp(argv[i], "--twice") == 0) {
      twice = true;
    } else if (has_value && std::strcmp(argv[i], "--seeds") == 0) {
      seeds = std::strtoull(argv[++i], nullptr, 10);
    } else if (has_value && std::strcmp(argv[i], "--from") == 0) {
      from = std::strtoull(argv[++i], nullptr, 10);
    } else if (has_value && std::strcmp(argv[i], "--steps") == 0) {
      options.steps = std::atoi(argv[++i]);
    } else {
      std::fprintf(stderr, "usage: raft_sim [--seeds N] [--from S] [--steps K] [--twice]\n");
      return 2;
    }
  }
  std::signal(SIGABRT, OnAbort);
  size_t committed = 0;
  size_t snapshots = 0;
  size_t crashes = 0;
  size_t reads = 0;
  size_t stranded = 0;
  for (uint64_t seed = from; seed < from + seeds; ++seed) {
    options.seed = seed;
    current_seed_low = static_cast<std::sig_atomic_t>(seed & 0x7fffffff);
    const SimulationResult result = Simulation(options).Run();
    if (result.failure) {
      std::printf("seed %llu step %d: %s\n", static_cast<unsigned long long>(seed),
                  result.failed_step, result.failure->c_str());
      return 1;
    }
    if (twice && Simulation(options).Run().trace_hash != result.trace_hash) {
      std::printf("seed %llu: two runs differ\n", static_cast<unsigned long long>(seed));
      return 1;
    }
    committed += result.committed.value();
    snapshots += result.snapshots;
    crashes += result.crashes;
    reads += result.reads;
    stranded += result.stranded ? 1 : 0;
  }
  std::printf(
      "%llu seeds ok: %zu entries committed, %zu snapshots, %zu crashes, %zu reads, %zu stranded\n",
      static_cast<unsigned long long>(seeds), committed, snapshots, crashes, reads, stranded);
  return 0;
}
