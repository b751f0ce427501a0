// What the core itself costs: proposals of a leader, with a disk and followers that are always done
// at once.
#include <benchmark/benchmark.h>

#include <vector>

#include "raft/raft.h"

namespace quoin::raft {
namespace {

RecoveredState Voters(uint64_t count) {
  RecoveredState recovered;
  for (uint64_t i = 1; i <= count; ++i) recovered.snapshot.conf_state.voters.push_back(NodeId(i));
  return recovered;
}

// Everything that is ready: persisted, acknowledged by all followers, applied.
void Settle(Raft& raft) {
  while (raft.HasReady()) {
    Ready ready = raft.TakeReady();
    if (ready.persist_id.value() != 0) raft.Persisted(ready.persist_id);
    if (!ready.committed.empty()) raft.Applied(ready.committed.back().index);
    for (const Message& message : ready.messages) {
      if (message.type == MessageType::kVote) {
        raft.Step({.type = MessageType::kVoteResp, .from = message.to, .term = message.term});
      } else if (message.type == MessageType::kApp) {
        raft.Step({.type = MessageType::kAppResp,
                   .from = message.to,
                   .term = message.term,
                   .index = message.index + message.entries.size()});
      }
    }
  }
}

void LeaderProposes(benchmark::State& state) {
  const auto voters = static_cast<uint64_t>(state.range(0));
  const auto batch = static_cast<size_t>(state.range(1));
  Config config;
  config.id = NodeId(1);
  config.pre_vote = false;
  Raft raft(config, Voters(voters), 1);
  raft.Campaign();
  Settle(raft);
  const SharedBytes request(std::string(256, 'x'));
  for (auto _ : state) {
    benchmark::DoNotOptimize(raft.Propose(std::vector<SharedBytes>(batch, request)));
    Settle(raft);
    const RaftStatus status = raft.Status();
    if (status.applied.value() % 4096 < batch) {
      raft.Compact(status.applied - batch, {status.conf_state, status.applied, status.term}, {});
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * batch));
}
BENCHMARK(LeaderProposes)->ArgsProduct({{1, 3, 5}, {1, 16, 256}});

void FollowerAppends(benchmark::State& state) {
  const auto batch = static_cast<size_t>(state.range(0));
  Config config;
  config.id = NodeId(2);
  Raft raft(config, Voters(3), 1);
  const SharedBytes request(std::string(256, 'x'));
  Index last;
  for (auto _ : state) {
    Message append{.type = MessageType::kApp,
                   .from = NodeId(1),
                   .term = Term(1),
                   .log_term = Term(last.value() == 0 ? 0 : 1),
                   .index = last,
                   .commit = last};
    for (size_t i = 0; i < batch; ++i) append.entries.push_back({Term(1), ++last, {}, request});
    raft.Step(std::move(append));
    Settle(raft);
    if (last.value() % 4096 < batch && last.value() > batch) {
      const RaftStatus status = raft.Status();
      raft.Compact(status.applied - 1, {status.conf_state, status.applied, status.term}, {});
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * batch));
}
BENCHMARK(FollowerAppends)->Arg(1)->Arg(16)->Arg(256);

void ReadIndexRound(benchmark::State& state) {
  const auto batch = static_cast<size_t>(state.range(0));
  Config config;
  config.id = NodeId(1);
  config.pre_vote = false;
  Raft raft(config, Voters(3), 1);
  raft.Campaign();
  Settle(raft);
  for (auto _ : state) {
    for (size_t i = 0; i < batch; ++i) benchmark::DoNotOptimize(raft.ReadIndex("12345678"));
    Ready ready = raft.TakeReady();
    for (const Message& message : ready.messages) {
      raft.Step({.type = MessageType::kHeartbeatResp,
                 .from = message.to,
                 .term = message.term,
                 .context = message.context});
    }
    benchmark::DoNotOptimize(raft.TakeReady());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * batch));
}
BENCHMARK(ReadIndexRound)->Arg(1)->Arg(64);

}  // namespace
}  // namespace quoin::raft
