// Cluster: several machines in one world, for tests: verbs that let simulated time pass until what
// they say is so.
//
// Thread: the one of the world (the test's).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "env/sim/sim_world.h"
#include "sim/machine.h"

namespace quoin::sim::testing {

// Thread: the test's. A verb that does not come about fails the test and returns.
class Cluster {
 public:
  // The members of a new cluster of `count`; none is started.
  Cluster(uint64_t seed, int count);
  ~Cluster();

  void StartAll();
  Machine& AddMachine();
  bool Until(const std::function<bool()>& done);

  // The machine that leads, and is followed by all that are up.
  Machine* Leader();
  Machine* Follower();

  state::ApplyResult Propose(Machine& machine, state::Operation operation,
                             const std::string& payload);
  state::ApplyResult Put(Machine& machine, const std::string& key, const std::string& value);
  void PutMany(Machine& machine, int count, const std::string& prefix);
  Status WaitReadable(Machine& machine);
  Status ChangeMembers(Machine& machine, raft::ConfChange change);
  // All that are up have applied the same, and hold the same: this.
  std::map<std::string, std::string> Converge();
  // What the apply loops have posted to the I/O loops so far has run there.
  void LetFrontendsHear();

  Machine& operator[](size_t i) { return *machines_[i]; }
  int size() const { return static_cast<int>(machines_.size()); }
  env::SimWorld& world() { return world_; }
  env::SimNetwork& network() { return network_; }

 private:
  env::SimWorld world_;
  env::SimNetwork network_;
  std::vector<std::unique_ptr<Machine>> machines_;
};

}  // namespace quoin::sim::testing
