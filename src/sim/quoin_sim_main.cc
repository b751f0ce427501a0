// quoin_sim [--seeds N] [--from S] [--members M] [--steps K] [--mutant NAME] [--restless] [--twice]
// [--with WORKLOAD,…] [--trace] [--verbose]: lives of whole clusters on simulated machines. Ends
// with the first seed that breaks a promise, and says how to see it again.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "sim/run.h"

namespace {

using quoin::sim::Mutant;
using quoin::sim::MutantNamed;
using quoin::sim::NameOf;
using quoin::sim::RunOptions;
using quoin::sim::RunResult;
using quoin::sim::RunSeed;

volatile std::sig_atomic_t current_seed_low = 0;

// A failed CHECK ends the process; say which seed it was.
void OnAbort(int) {
  std::fprintf(stderr, "aborted in seed %ld (of the low 31 bits)\n",
               static_cast<long>(current_seed_low));
}

struct Arguments {
  RunOptions run;
  uint64_t from = 1;
  uint64_t seeds = 100;
  bool twice = false;
  bool trace = false;
};

bool Parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const bool has_value = i + 1 < argc;
    if (std::strcmp(argv[i], "--twice") == 0) {
      arguments.twice = true;
    } else if (std::strcmp(argv[i], "--trace") == 0) {
      arguments.trace = true;
    } else if (std::strcmp(argv[i], "--restless") == 0) {
      arguments.run.restless = true;
    } else if (std::strcmp(argv[i], "--verbose") == 0) {
      arguments.run.prints = true;
    } else if (has_value && std::strcmp(argv[i], "--seeds") == 0) {
      arguments.seeds = std::strtoull(argv[++i], nullptr, 10);
    } else if (has_value && std::strcmp(argv[i], "--from") == 0) {
      arguments.from = std::strtoull(argv[++i], nullptr, 10);
    } else if (has_value && std::strcmp(argv[i], "--members") == 0) {
      arguments.run.members = std::atoi(argv[++i]);
    } else if (has_value && std::strcmp(argv[i], "--steps") == 0) {
      arguments.run.steps = std::atoi(argv[++i]);
    } else if (has_value && std::strcmp(argv[i], "--with") == 0) {
      arguments.run.workloads = argv[++i];
    } else if (has_value && std::strcmp(argv[i], "--mutant") == 0) {
      const std::optional<Mutant> mutant = MutantNamed(argv[++i]);
      if (!mutant) return false;
      arguments.run.mutant = *mutant;
      arguments.run.restless = arguments.run.restless || quoin::sim::IsRestless(*mutant);
      arguments.run.workloads = quoin::sim::WorkloadsFor(*mutant);
    } else {
      return false;
    }
  }
  return arguments.run.members > 0;
}

void PrintRepeat(const RunOptions& options) {
  const std::string with = options.workloads.empty() ? "" : " --with " + options.workloads;
  std::printf(
      "again: quoin_sim --from %llu --seeds 1 --members %d --steps %d --mutant %s%s%s --verbose\n",
      static_cast<unsigned long long>(options.seed), options.members, options.steps,
      std::string(NameOf(options.mutant)).c_str(), options.restless ? " --restless" : "",
      with.c_str());
}

void Add(const RunResult& one, RunResult& sum) {
  sum.virtual_time += one.virtual_time;
  sum.events += one.events;
  sum.answered += one.answered;
  sum.reads += one.reads;
  sum.revisions += one.revisions;
  sum.crashes += one.crashes;
  sum.stops += one.stops;
  sum.member_changes += one.member_changes;
  sum.leases += one.leases;
  sum.renewals += one.renewals;
  sum.watch_events += one.watch_events;
  sum.locks += one.locks;
  sum.stranded += one.stranded;
  sum.grpc_answers += one.grpc_answers;
  sum.cuts += one.cuts;
  sum.snapshots += one.snapshots;
}

void PrintSum(uint64_t seeds, const RunResult& sum, double real_seconds) {
  const double virtual_seconds = std::chrono::duration<double>(sum.virtual_time).count();
  std::printf(
      "%llu seeds ok: %zu answers (%zu reads), %lld revisions, %zu crashes, %zu stops, %zu cut "
      "off, %zu snapshots installed\n",
      static_cast<unsigned long long>(seeds), sum.answered, sum.reads,
      static_cast<long long>(sum.revisions), sum.crashes, sum.stops, sum.cuts, sum.snapshots);
  std::printf(
      "%zu changes of members, %zu leases, %zu renewals, %zu events of watchers, %zu locks, "
      "%zu answers of other calls, %zu stranded\n",
      sum.member_changes, sum.leases, sum.renewals, sum.watch_events, sum.locks, sum.grpc_answers,
      sum.stranded);
  std::printf("%.0f s of virtual time in %.1f s: %.0f times as fast, %.0f seeds a minute\n",
              virtual_seconds, real_seconds, virtual_seconds / real_seconds,
              60.0 * static_cast<double>(seeds) / real_seconds);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, arguments)) {
    std::fprintf(stderr,
                 "usage: quoin_sim [--seeds N] [--from S] [--members M] [--steps K] "
                 "[--mutant NAME] [--restless] [--with WORKLOAD,...] [--twice] [--trace] "
                 "[--verbose]\n");
    return 2;
  }
  std::signal(SIGABRT, OnAbort);
  const auto start = std::chrono::steady_clock::now();
  RunResult sum;
  RunOptions options = arguments.run;
  for (uint64_t i = 0; i < arguments.seeds; ++i) {
    options.seed = arguments.from + i;
    current_seed_low = static_cast<std::sig_atomic_t>(options.seed & 0x7fffffff);
    const RunResult result = RunSeed(options);
    if (result.failure) {
      std::printf("seed %llu: %s\n", static_cast<unsigned long long>(options.seed),
                  result.failure->c_str());
      PrintRepeat(options);
      return 1;
    }
    if (arguments.trace) {
      std::printf("seed %llu trace %016llx\n", static_cast<unsigned long long>(options.seed),
                  static_cast<unsigned long long>(result.trace));
    }
    if (arguments.twice && RunSeed(options).trace != result.trace) {
      std::printf("seed %llu: two runs differ\n", static_cast<unsigned long long>(options.seed));
      PrintRepeat(options);
      return 1;
    }
    Add(result, sum);
  }
  const std::chrono::duration<double> real = std::chrono::steady_clock::now() - start;
  PrintSum(arguments.seeds, sum, real.count());
  return 0;
}
