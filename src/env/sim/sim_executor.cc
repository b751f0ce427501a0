#include <algorithm>
#include <utility>

#include "base/check.h"
#include "env/sim/sim_world.h"

namespace quoin::env {

SimExecutor::SimExecutor(SimWorld& world, std::string host, std::string name)
    : world_(world),
      host_(std::move(host)),
      name_(std::move(name)),
      self_(std::make_shared<SimExecutor*>(this)) {}

SimExecutor::~SimExecutor() {
  CHECK(!IsCurrent()) << "a loop cannot wait for its own end";
  Stop();
  if (on_gone_) on_gone_(*this);
}

SimExecutor& SimExecutor::Of(Executor& executor) {
  auto* sim = dynamic_cast<SimExecutor*>(&executor);
  CHECK(sim != nullptr) << "an executor of another world";
  return *sim;
}

void SimExecutor::Stop() {
  stopped_ = true;
  if (wake_event_ != 0) world_.Unschedule(std::exchange(wake_event_, 0));
  for (const auto& [id, arrival] : arriving_) world_.Unschedule(arrival.event);
  for (const auto& [id, timer] : timers_) {
    if (timer.event != 0) world_.Unschedule(timer.event);
  }
  // What tasks own may still call this executor as it goes.
  auto dialer = std::exchange(dialer_, nullptr);
  auto ready = std::exchange(ready_, {});
  auto arriving = std::exchange(arriving_, {});
  auto timers = std::exchange(timers_, {});
  auto end_of_turn = std::exchange(end_of_turn_, {});
}

void SimExecutor::Post(Task task) {
  if (!stopped_) Enqueue({0, std::move(task)});
}

void SimExecutor::PostAt(Duration at, Task task) {
  if (stopped_) return;
  const uint64_t id = next_arrival_++;
  const uint64_t event = world_.Schedule(at, [this, id] {
    auto arrived = arriving_.extract(id);
    Enqueue({0, std::move(arrived.mapped().task)});
  });
  arriving_.emplace(id, Timer{event, std::move(task)});
}

TimerId SimExecutor::RunAfter(Duration delay, Task task) {
  if (stopped_) return {};
  const uint64_t id = next_timer_++;
  const Duration at = world_.Now() + std::max(delay, Duration(0));
  const uint64_t event = world_.Schedule(at, [this, id] {
    timers_.at(id).event = 0;
    Enqueue({id, nullptr});
  });
  timers_.emplace(id, Timer{event, std::move(task)});
  return TimerId{id};
}

bool SimExecutor::Cancel(TimerId timer) {
  auto node = timers_.extract(timer.value);
  if (node.empty()) return false;
  if (node.mapped().event != 0) world_.Unschedule(node.mapped().event);
  return true;
}

void SimExecutor::AtEndOfTurn(Task task) {
  if (stopped_) return;
  end_of_turn_.push_back(std::move(task));
  if (!IsCurrent()) Post([] {});  // there is no turn yet that could end
}

void SimExecutor::Enqueue(Ready ready) {
  ready_.push_back(std::move(ready));
  if (wake_event_ == 0 && !IsCurrent()) WakeUp(200, 20'000);
}

void SimExecutor::WakeUp(int64_t least_nanoseconds, int64_t most_nanoseconds) {
  const auto delay = Duration(world_.random().Between(least_nanoseconds, most_nanoseconds));
  wake_event_ = world_.Schedule(std::max(world_.Now(), busy_until_) + delay, [this] {
    wake_event_ = 0;
    Run();
  });
}

// One task. The others of the turn follow as events of their own, so that a crash can come between
// them.
void SimExecutor::Run() {
  if (turn_left_ == 0) {
    turn_left_ = ready_.size();
    if (world_.random().Chance(0.5)) turn_left_ = 1 + world_.random().Below(turn_left_);
  }
  Ready next = std::move(ready_.front());
  ready_.pop_front();
  --turn_left_;
  Task task = std::move(next.task);
  if (next.timer != 0) {
    if (auto timer = timers_.extract(next.timer); !timer.empty())
      task = std::move(timer.mapped().task);
  }
  const SimExecutor* outer = std::exchange(world_.running_, this);
  CHECK(outer == nullptr) << "tasks do not run the world";
  world_.task_bytes_ = 0;
  if (task != nullptr) std::exchange(task, nullptr)();
  if (turn_left_ == 0) EndTurn();
  world_.running_ = nullptr;
  busy_until_ = world_.Now() + std::exchange(waits_, Duration(0)) + DrawTaskTime();
  if (stopped_ || ready_.empty()) return;
  if (turn_left_ > 0)
    WakeUp(50, 2'000);
  else
    WakeUp(200, 20'000);
}

// Draws nothing for a loop whose tasks take no time.
Duration SimExecutor::DrawTaskTime() {
  Prng& random = world_.random();
  Duration time{0};
  if (pace_.task.most > Duration(0))
    time += Duration(random.Between(pace_.task.least.count(), pace_.task.most.count()));
  if (pace_.stall_chance > 0 && random.Chance(pace_.stall_chance))
    time += Duration(random.Between(pace_.stall.least.count(), pace_.stall.most.count()));
  return time;
}

void SimExecutor::EndTurn() {
  while (!end_of_turn_.empty()) {
    std::vector<Task> tasks = std::exchange(end_of_turn_, {});
    for (Task& task : tasks) {
      if (!stopped_) std::exchange(task, nullptr)();
    }
  }
}

}  // namespace quoin::env
