#include "env/sim/sim_world.h"

#include <algorithm>

#include "base/check.h"

namespace quoin::env {

// What events own may still schedule as it goes.
SimWorld::~SimWorld() {
  ending_ = true;
  while (!queue_.empty()) queue_.extract(queue_.begin());
}

uint64_t SimWorld::Schedule(Duration at, Task task) {
  if (ending_) return 0;
  const uint64_t id = next_event_++;
  at = std::max(at, now_);
  queue_.emplace(std::pair(at, id), std::move(task));
  times_.emplace(id, at);
  return id;
}

bool SimWorld::Unschedule(uint64_t event) {
  auto at = times_.find(event);
  if (at == times_.end()) return false;
  auto node = queue_.extract({at->second, event});  // its destructor may schedule and unschedule
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
  Note(static_cast<uint64_t>(at.count()));
  Note(id);
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

void SimWorld::NoteWritten(size_t bytes) {
  task_bytes_ += bytes;
  if (running_ == nullptr || task_bytes_ <= most_written_.bytes) return;
  most_written_ = {task_bytes_, running_->host(), running_->name()};
}

void SimWorld::Wait(Duration time, const std::string& for_what) {
  if (running_ == nullptr || time <= Duration(0)) return;
  running_->waits_ += time;
  if (running_->never_waits() && first_wait_.time == Duration(0))
    first_wait_ = {time, running_->host(), running_->name(), for_what};
}

void SimWorld::CheckMayWait(const std::string& for_what) const {
  CHECK(running_ == nullptr || !running_->never_waits())
      << "a loop that must never wait would wait for the disk: " << for_what;
}

SimEnv::SimEnv(SimWorld& world, SimDisk& disk, SimNetwork& network, std::string host)
    : world_(world), disk_(disk), network_(network), host_(std::move(host)) {
  disk_.SetPower(true);
}

SimEnv::~SimEnv() {
  for (SimExecutor* executor : executors_) executor->on_gone_ = nullptr;
}

void SimEnv::SetPace(const std::string& name, const SimPace& pace) {
  paces_[name] = pace;
  for (SimExecutor* executor : executors_) {
    if (executor->name() == name) executor->set_pace(pace);
  }
}

std::unique_ptr<Executor> SimEnv::NewExecutor(std::string_view name) {
  CHECK(!crashed_);
  auto executor = std::make_unique<SimExecutor>(world_, host_, std::string(name));
  if (auto pace = paces_.find(executor->name()); pace != paces_.end())
    executor->set_pace(pace->second);
  if (name == "raft" || name == "peer" || name == "lease" || name.starts_with("io"))
    executor->set_never_waits();
  executors_.push_back(executor.get());
  executor->on_gone_ = [this](SimExecutor& gone) { std::erase(executors_, &gone); };
  return executor;
}

void SimEnv::Crash() {
  CHECK(!crashed_);
  crashed_ = true;
  network_.CrashHost(host_);
  // What tasks own may destroy executors as it goes.
  auto running = [](const SimExecutor* executor) { return !executor->stopped_; };
  for (auto at = executors_.begin(); at != executors_.end();
       at = std::find_if(executors_.begin(), executors_.end(), running)) {
    CHECK(!(*at)->IsCurrent());
    (*at)->Stop();
  }
  disk_.Crash(world_.random());
  disk_.SetPower(false);
}

}  // namespace quoin::env
