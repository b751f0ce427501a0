#include "sim/testing/cluster.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "proto/rpc.pb.h"

namespace quoin::sim::testing {
namespace {

constexpr size_t kStepsMax = 6'000'000;

}  // namespace

Cluster::Cluster(uint64_t seed, int count) : world_(seed), network_(world_) {
  for (int i = 0; i < count; ++i)
    machines_.push_back(std::make_unique<Machine>(world_, network_, i));
  for (auto& machine : machines_) {
    for (auto& other : machines_)
      machine->config().initial_cluster[other->config().name] = {other->peer_url()};
  }
}

Cluster::~Cluster() {
  for (auto& machine : machines_) machine->Crash();
}

void Cluster::StartAll() {
  for (auto& machine : machines_) {
    if (machine->up()) continue;
    ASSERT_EQ(machine->Start(), OkStatus());
  }
  ASSERT_TRUE(Until([&] {
    return std::all_of(machines_.begin(), machines_.end(), [](auto& m) { return m->ready(); });
  })) << "not all became ready";
}

Machine& Cluster::AddMachine() {
  machines_.push_back(std::make_unique<Machine>(world_, network_, size()));
  return *machines_.back();
}

bool Cluster::Until(const std::function<bool()>& done) { return world_.RunUntil(done, kStepsMax); }

Machine* Cluster::Leader() {
  Machine* found = nullptr;
  auto agreed = [&] {
    found = nullptr;
    uint64_t leader = 0;
    for (auto& machine : machines_) {
      if (machine->leads()) found = machine.get();
    }
    if (found == nullptr) return false;
    leader = found->id();
    return std::all_of(machines_.begin(), machines_.end(), [&](auto& machine) {
      return !machine->up() || machine->node().info().leader.load() == leader;
    });
  };
  EXPECT_TRUE(Until(agreed)) << "no leader";
  return found;
}

Machine* Cluster::Follower() {
  Machine* leader = Leader();
  for (auto& machine : machines_) {
    if (machine->up() && machine.get() != leader) return machine.get();
  }
  return nullptr;
}

state::ApplyResult Cluster::Propose(Machine& machine, state::Operation operation,
                                    const std::string& payload) {
  std::optional<state::ApplyResult> answer;
  machine.Propose(operation, payload, [&](const state::ApplyResult& result) { answer = result; });
  EXPECT_TRUE(Until([&] { return answer.has_value(); }));
  return answer.value_or(state::ApplyResult{absl::DeadlineExceededError("no answer")});
}

state::ApplyResult Cluster::Put(Machine& machine, const std::string& key,
                                const std::string& value) {
  etcdserverpb::PutRequest put;
  put.set_key(key);
  put.set_value(value);
  return Propose(machine, state::Operation::kPut, put.SerializeAsString());
}

void Cluster::PutMany(Machine& machine, int count, const std::string& prefix) {
  int answered = 0;
  for (int i = 0; i < count; ++i) {
    machine.Put(prefix + std::to_string(i), std::string(200, 'x'),
                [&](const state::ApplyResult& result) { answered += result.status.ok(); });
  }
  EXPECT_TRUE(Until([&] { return answered == count; })) << answered << " of " << count;
}

Status Cluster::WaitReadable(Machine& machine) {
  std::optional<Status> answer;
  machine.WaitReadable([&](Status status) { answer = status; });
  EXPECT_TRUE(Until([&] { return answer.has_value(); }));
  return answer.value_or(absl::DeadlineExceededError("no answer"));
}

Status Cluster::ChangeMembers(Machine& machine, raft::ConfChange change) {
  std::optional<Status> answer;
  machine.io().Post([&] {
    StatusOr<server::Frontend::Wait> wait = machine.node().frontend(0).ProposeConfChange(
        change, [&](const state::ApplyResult& result) { answer = result.status; });
    if (!wait.ok()) answer = wait.status();
    if (wait.ok()) std::move(*wait).Detach();
  });
  EXPECT_TRUE(Until([&] { return answer.has_value(); }));
  return answer.value_or(absl::DeadlineExceededError("no answer"));
}

std::map<std::string, std::string> Cluster::Converge() {
  EXPECT_TRUE(Until([&] {
    std::set<uint64_t> applied;
    for (auto& machine : machines_) {
      if (machine->up()) applied.insert(machine->applied());
    }
    return applied.size() == 1;
  })) << "the members do not reach the same index";
  LetFrontendsHear();
  std::optional<std::map<std::string, std::string>> content;
  for (auto& machine : machines_) {
    if (!machine->up()) continue;
    if (!content) content = machine->Content();
    EXPECT_EQ(machine->Content(), *content) << machine->config().name << " differs";
  }
  return *content;
}

void Cluster::LetFrontendsHear() {
  size_t posted = 0, ran = 0;
  for (auto& machine : machines_) {
    if (!machine->up()) continue;
    ++posted;
    machine->io().Post([&] { ++ran; });
  }
  EXPECT_TRUE(Until([&] { return ran == posted; }));
}

}  // namespace quoin::sim::testing
