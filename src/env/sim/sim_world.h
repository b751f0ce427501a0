// SimWorld: virtual time and one queue of events, on one thread. The same seed gives the same run.
//
// There are SimWorld (the clock and the queue), SimEnv (what one simulated machine is handed as
// env::Env), SimExecutor (a loop of it) and, beside them, SimDisk and SimNetwork. A machine's disk
// outlives its SimEnv: that is a crash.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "env/env.h"
#include "env/sim/sim_disk.h"
#include "env/sim/sim_network.h"

namespace quoin::env {

// Thread: one.
class SimWorld final : public Clock {
 public:
  explicit SimWorld(uint64_t seed) : random_(seed) {}

  Duration Now() const override { return now_; }
  Duration WallNow() const override { return std::chrono::hours(24 * 365 * 50) + now_; }
  Prng& random() { return random_; }

  // Runs `task` at `at` (not before now), after all that was scheduled for the same moment earlier.
  uint64_t Schedule(Duration at, Task task);
  bool Unschedule(uint64_t event);
  // Runs one event; false when there is none.
  bool Step();
  // Runs until `done()`, at most `steps_max` events; whether it is done.
  bool RunUntil(const std::function<bool()>& done, size_t steps_max);
  // Lets virtual time pass.
  void RunFor(Duration time);

  // Changes with every event that ran, when, and what was drawn: two runs of one seed must agree.
  uint64_t trace() const { return trace_; }
  size_t events() const { return events_run_; }

 private:
  friend class SimExecutor;
  Prng random_;
  Duration now_{0};
  uint64_t next_event_ = 1;
  std::map<std::pair<Duration, uint64_t>, Task> queue_;
  std::map<uint64_t, Duration> times_;
  const Executor* running_ = nullptr;
  uint64_t trace_ = 14695981039346656037u;
  size_t events_run_ = 0;
};

// A loop: its tasks run one after another, each a little later than it was posted. Thread: one.
class SimExecutor final : public Executor {
 public:
  explicit SimExecutor(SimWorld& world) : world_(world) {}
  ~SimExecutor() override;
  void Post(Task task) override;
  TimerId RunAfter(Duration delay, Task task) override;
  bool Cancel(TimerId timer) override;
  void AtEndOfTurn(Task task) override { end_of_turn_.push_back(std::move(task)); }
  bool IsCurrent() const override { return world_.running_ == this; }
  Clock& clock() override { return world_; }

 private:
  void Run(Task task);

  SimWorld& world_;
  Duration last_post_{0};  // tasks keep the order of posting
  std::vector<Task> end_of_turn_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Thread: one.
class SimEnv final : public Env {
 public:
  SimEnv(SimWorld& world, SimDisk& disk, SimNetwork& network)
      : world_(world), disk_(disk), network_(network) {}
  Clock& clock() override { return world_; }
  FileSystem& files() override { return disk_; }
  Network& network() override { return network_; }
  uint64_t Random() override { return world_.random().Next(); }
  std::unique_ptr<Executor> NewExecutor(std::string_view) override {
    return std::make_unique<SimExecutor>(world_);
  }

 private:
  SimWorld& world_;
  SimDisk& disk_;
  SimNetwork& network_;
};

}  // namespace quoin::env
