#include "env/sim/sim_world.h"

#include <algorithm>

#include "base/check.h"

namespace quoin::env {

uint64_t SimWorld::Schedule(Duration at, Task task) {
  const uint64_t id = next_event_++;
  at = std::max(at, now_);
  queue_.emplace(std::pair(at, id), std::move(task));
  times_.emplace(id, at);
  return id;
}

bool SimWorld::Unschedule(uint64_t event) {
  auto at = times_.find(event);
  if (at == times_.end()) return false;
  queue_.erase({at->second, event});
  times_.erase(at);
  return true;
}

bool SimWorld::Step() {
  if (queue_.empty()) return false;
  auto next = queue_.extract(queue_.begin());
  const auto [at, id] = next.key();
  times_.erase(id);
  now_ = at;
  ++events_run_;
  for (uint64_t part : {static_cast<uint64_t>(at.count()), id})
    trace_ = (trace_ ^ part) * 1099511628211u;
  next.mapped()();
  return true;
}

bool SimWorld::RunUntil(const std::function<bool()>& done, size_t steps_max) {
  for (size_t i = 0; i < steps_max && !done(); ++i) {
    if (!Step()) break;
  }
  return done();
}

void SimWorld::RunFor(Duration time) {
  const Duration end = now_ + time;
  while (!queue_.empty() && queue_.begin()->first.first <= end) Step();
  now_ = end;
}

SimExecutor::~SimExecutor() { *alive_ = false; }

void SimExecutor::Post(Task task) {
  const auto delay = std::chrono::nanoseconds(world_.random().Between(200, 20'000));
  last_post_ = std::max(last_post_, world_.Now() + delay);
  world_.Schedule(last_post_, [this, alive = alive_, task = std::move(task)]() mutable {
    if (*alive) Run(std::move(task));
  });
}

TimerId SimExecutor::RunAfter(Duration delay, Task task) {
  return TimerId{world_.Schedule(world_.Now() + delay,
                                 [this, alive = alive_, task = std::move(task)]() mutable {
                                   if (*alive) Run(std::move(task));
                                 })};
}

bool SimExecutor::Cancel(TimerId timer) { return world_.Unschedule(timer.value); }

// A turn is one task here; what it leaves for the end of the turn follows at once.
void SimExecutor::Run(Task task) {
  std::shared_ptr<bool> alive = alive_;
  world_.running_ = this;
  task();
  while (*alive && !end_of_turn_.empty()) {
    for (Task& last : std::exchange(end_of_turn_, {})) {
      if (*alive) last();
    }
  }
  world_.running_ = nullptr;
}

}  // namespace quoin::env
