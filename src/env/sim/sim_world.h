// SimWorld: virtual time and one queue of events, on one thread. The same seed gives the same run.
//
// There are SimWorld (the clock and the queue), SimExecutor (a loop), SimEnv (what one life of a
// simulated machine is handed as env::Env) and, beside them, SimDisk (a machine's, outlives its
// SimEnv) and SimNetwork (shared by all). Destroy them in the opposite order.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/prng.h"
#include "env/env.h"
#include "env/sim/sim_disk.h"
#include "env/sim/sim_network.h"

namespace quoin::env {

class SimExecutor;

// Thread: one.
class SimWorld final : public Clock {
 public:
  explicit SimWorld(uint64_t seed) : random_(seed) {}
  ~SimWorld() override;

  Duration Now() const override { return now_; }
  Duration WallNow() const override { return std::chrono::hours(24 * 365 * 50) + now_; }
  Prng& random() { return random_; }

  // Runs `task` at `at` (not before now), after all that was scheduled for the same moment earlier.
  uint64_t Schedule(Duration at, Task task);
  // The task is destroyed unrun; false when it ran already.
  bool Unschedule(uint64_t event);
  // Runs one event; false when there is none. An executor's task is one event.
  bool Step();
  // Runs until `done()`, at most `steps_max` events; whether it is done.
  bool RunUntil(const std::function<bool()>& done, size_t steps_max);
  // Lets virtual time pass.
  void RunFor(Duration time);

  // Changes with every event that ran, when, and what was written and sent: two runs of one seed
  // must agree.
  uint64_t trace() const { return trace_; }
  // Mixes something that happened into the trace.
  void Note(uint64_t what) { trace_ = (trace_ ^ what) * 1099511628211u; }
  size_t events() const { return events_run_; }
  // Fails a CHECK when the task that runs belongs to a loop that must not wait for a disk.
  void CheckMayWait(const std::string& for_what) const;
  // The task that has written most to connections, without letting others of its loop run.
  struct Writing {
    size_t bytes = 0;
    std::string host, loop;
  };
  const Writing& most_written() const { return most_written_; }
  void NoteWritten(size_t bytes);
  // The task that runs waits, and its loop with it. The first wait of a loop that must not wait is
  // kept, as `first_wait`.
  struct Waiting {
    Duration time{0};  // 0: nobody has waited
    std::string host, loop, for_what;
  };
  const Waiting& first_wait() const { return first_wait_; }
  void Wait(Duration time, const std::string& for_what);

 private:
  friend class SimExecutor;
  Prng random_;
  Duration now_{0};
  uint64_t next_event_ = 1;
  std::map<std::pair<Duration, uint64_t>, Task> queue_;
  absl::flat_hash_map<uint64_t, Duration> times_;  // looked up only
  SimExecutor* running_ = nullptr;
  uint64_t trace_ = 14695981039346656037u;
  size_t events_run_ = 0;
  size_t task_bytes_ = 0;
  Writing most_written_;
  Waiting first_wait_;
  bool ending_ = false;
};

// How long its tasks keep a loop: nothing else runs there meanwhile, and what they have sent is on
// its way already. Value type.
struct SimPace {
  SimTimes task;  // each
  double stall_chance = 0;
  SimTimes stall;  // one that stalls
};

// A loop as posix has it: it sleeps, wakes a little after something arrived, runs a drawn part of
// what waits (one turn), and then what was left for the end of the turn. Posted tasks keep their
// order. Thread: one.
class SimExecutor final : public Executor {
 public:
  // `host`: the machine on which it runs, for the network. `name`: for SimEnv::SetPace.
  explicit SimExecutor(SimWorld& world, std::string host = "", std::string name = "");
  // Not from one of its own tasks.
  ~SimExecutor() override;
  void Stop() override;
  void Post(Task task) override;
  TimerId RunAfter(Duration delay, Task task) override;
  bool Cancel(TimerId timer) override;
  void AtEndOfTurn(Task task) override;
  bool IsCurrent() const override { return world_.running_ == this; }
  Clock& clock() override { return world_; }

  // Posts at that time: what a disk or a network does.
  void PostAt(Duration at, Task task);
  void set_pace(const SimPace& pace) { pace_ = pace; }
  const std::string& host() const { return host_; }
  // Of the network that this executor dials by; null before its first connection.
  std::unique_ptr<Dialer>& dialer() { return dialer_; }
  const std::string& name() const { return name_; }
  // Expires with the executor.
  std::weak_ptr<SimExecutor*> handle() const { return self_; }
  // Its tasks may not touch the disk, though that takes no virtual time: the real one may take
  // seconds.
  void set_never_waits() { never_waits_ = true; }
  bool never_waits() const { return never_waits_; }
  // Every executor of a simulated world is one of these.
  static SimExecutor& Of(Executor& executor);

 private:
  friend class SimEnv;
  friend class SimWorld;
  struct Ready {
    uint64_t timer;  // 0 = `task` counts; otherwise the timer's, unless it is cancelled before
    Task task;
  };
  struct Timer {
    uint64_t event;  // 0 = due, and waiting in ready_
    Task task;
  };
  void Enqueue(Ready ready);
  void WakeUp(int64_t least_nanoseconds, int64_t most_nanoseconds);
  void Run();
  void EndTurn();
  Duration DrawTaskTime();

  SimWorld& world_;
  const std::string host_, name_;
  const std::shared_ptr<SimExecutor*> self_;
  std::deque<Ready> ready_;
  std::map<uint64_t, Timer> timers_;
  std::map<uint64_t, Timer> arriving_;  // PostAt's
  std::vector<Task> end_of_turn_;
  uint64_t next_timer_ = 1;
  uint64_t next_arrival_ = 1;
  uint64_t wake_event_ = 0;
  size_t turn_left_ = 0;  // tasks of this turn
  SimPace pace_;
  Duration waits_{0};  // of the task that runs
  Duration busy_until_{0};
  bool stopped_ = false;
  bool never_waits_ = false;
  std::unique_ptr<Dialer> dialer_;
  std::function<void(SimExecutor&)> on_gone_;  // SimEnv's
};

// One life of a simulated machine. Executors that it made may outlive it. Thread: one.
class SimEnv final : public Env {
 public:
  // Turns the disk's power on. `host` is the machine's address ("10.0.0.1"), by which links are
  // cut.
  SimEnv(SimWorld& world, SimDisk& disk, SimNetwork& network, std::string host = "");
  ~SimEnv() override;

  // Power failure: no task or timer of its executors runs any more, its connections and listeners
  // are gone, the disk has lost what was not synced and does nothing until the next SimEnv on it.
  // Destroy what ran here, then this, before starting again. Not from a task of this machine.
  void Crash();

  Clock& clock() override { return world_; }
  FileSystem& files() override { return disk_; }
  Network& network() override { return network_; }
  uint64_t Random() override { return world_.random().Next(); }
  // Loops named raft, peer, lease and io… never wait for the disk.
  std::unique_ptr<Executor> NewExecutor(std::string_view name) override;
  // Of every executor with that name, present and future.
  void SetPace(const std::string& name, const SimPace& pace);

 private:
  SimWorld& world_;
  SimDisk& disk_;
  SimNetwork& network_;
  const std::string host_;
  bool crashed_ = false;
  std::vector<SimExecutor*> executors_;   // in the order of their making
  std::map<std::string, SimPace> paces_;  // by name
};

}  // namespace quoin::env
