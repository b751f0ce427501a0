#include "env/posix/posix_executor.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace quoin::env {
namespace {

constexpr int kEventsPerWait = 256;
constexpr size_t kReadBufferBytes = 256 * 1024;

Duration Read(clockid_t id) {
  timespec t;
  CHECK_EQ(clock_gettime(id, &t), 0);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

}  // namespace

Duration PosixClock::Now() const { return Read(CLOCK_MONOTONIC); }
Duration PosixClock::WallNow() const { return Read(CLOCK_REALTIME); }

void PosixMailbox::Post(Task task) {
  std::lock_guard lock(mutex_);
  if (executor_ != nullptr) executor_->Post(std::move(task));
}

void PosixMailbox::Close() {
  std::lock_guard lock(mutex_);
  executor_ = nullptr;
}

PosixExecutor::PosixExecutor(std::string_view name)
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      events_(kEventsPerWait),
      read_buffer_(kReadBufferBytes) {
  CHECK(epoll_ >= 0 && wake_ >= 0) << std::strerror(errno);
  Watch(wake_, EPOLLIN, nullptr);
  std::string short_name = "quoin-" + std::string(name);
  short_name.resize(std::min<size_t>(short_name.size(), 15));
  thread_ = std::thread([this, short_name] {
    pthread_setname_np(pthread_self(), short_name.c_str());
    Loop();
  });
}

PosixExecutor::~PosixExecutor() {
  Stop();
  close(epoll_);
  close(wake_);
}

void PosixExecutor::Stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  Wake();
  thread_.join();
  mailbox_->Close();
  dialer_.reset();
  // What tasks own may still want this executor as it goes.
  std::vector<Task> posted;
  {
    std::lock_guard lock(mutex_);
    posted.swap(posted_);
  }
  posted.clear();
  std::exchange(running_, {}).clear();
  timer_times_.clear();
  std::exchange(timers_, {}).clear();
  std::exchange(end_of_turn_, {}).clear();
}

void PosixExecutor::Post(Task task) {
  bool wake;
  {
    std::lock_guard lock(mutex_);
    if (stop_) return;
    posted_.push_back(std::move(task));
    wake = sleeping_;
    sleeping_ = false;
  }
  if (wake) Wake();
}

void PosixExecutor::Wake() {
  const uint64_t one = 1;
  // A full counter means that a wake-up is pending already.
  (void)!write(wake_, &one, sizeof one);
}

TimerId PosixExecutor::RunAfter(Duration delay, Task task) {
  if (!thread_.joinable()) return {};
  const uint64_t id = next_timer_++;
  const Duration at = clock_.Now() + std::max(delay, Duration(0));
  timers_.emplace(std::pair(at, id), std::move(task));
  timer_times_.emplace(id, at);
  return TimerId{id};
}

bool PosixExecutor::Cancel(TimerId timer) {
  auto at = timer_times_.find(timer.value);
  if (at == timer_times_.end()) return false;
  timers_.erase({at->second, timer.value});
  timer_times_.erase(at);
  return true;
}

void PosixExecutor::AtEndOfTurn(Task task) {
  if (thread_.joinable()) end_of_turn_.push_back(std::move(task));
}

void PosixExecutor::Watch(int fd, uint32_t events, Pollable* pollable) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = pollable;
  CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), 0);
}

void PosixExecutor::ChangeWatch(int fd, uint32_t events, Pollable* pollable) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = pollable;
  CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event), 0);
}

void PosixExecutor::Unwatch(int fd, Pollable* pollable) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  for (int i = event_at_; i < event_count_;
       ++i) {  // events of this turn that it will not see any more
    if (events_[i].data.ptr == pollable) events_[i].events = 0;
  }
}

void PosixExecutor::ScheduleFlush(Flushable* flushable) { flush_.push_back(flushable); }

void PosixExecutor::CancelFlush(Flushable* flushable) {
  std::replace(flush_.begin(), flush_.end(), flushable, static_cast<Flushable*>(nullptr));
}

int PosixExecutor::WaitMilliseconds() {
  int timeout = -1;
  if (!timers_.empty()) {
    const Duration left = timers_.begin()->first.first - clock_.Now();
    // Rounded up: a turn that comes too early would only spin.
    const int64_t ms = (left.count() + 999999) / 1000000;
    timeout = static_cast<int>(std::clamp<int64_t>(ms, 0, 60000));
  }
  if (timeout == 0) return 0;
  std::lock_guard lock(mutex_);
  if (!posted_.empty() || stop_) return 0;
  sleeping_ = true;
  return timeout;
}

void PosixExecutor::Loop() {
  while (true) {
    const int count = epoll_wait(epoll_, events_.data(), kEventsPerWait, WaitMilliseconds());
    {
      std::lock_guard lock(mutex_);
      sleeping_ = false;
      if (stop_) return;
      running_.swap(posted_);
    }
    Dispatch(std::max(count, 0));
    RunPosted();
    RunDueTimers();
    EndTurn();
  }
}

void PosixExecutor::Dispatch(int count) {
  event_count_ = count;
  for (event_at_ = 0; event_at_ < event_count_;) {
    epoll_event event = events_[event_at_++];
    if (event.events == 0) continue;
    if (event.data.ptr == nullptr) {
      uint64_t drained;
      (void)!read(wake_, &drained, sizeof drained);
    } else {
      static_cast<Pollable*>(event.data.ptr)->OnEvents(event.events);
    }
  }
  event_count_ = event_at_ = 0;
}

void PosixExecutor::RunPosted() {
  for (Task& task : running_) std::exchange(task, nullptr)();
  running_.clear();
}

void PosixExecutor::RunDueTimers() {
  if (timers_.empty()) return;
  const Duration now = clock_.Now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    timer_times_.erase(node.key().second);
    node.mapped()();
  }
}

void PosixExecutor::EndTurn() {
  while (!end_of_turn_.empty() || !flush_.empty()) {
    std::vector<Task> tasks;
    tasks.swap(end_of_turn_);
    for (Task& task : tasks) task();
    if (!end_of_turn_.empty()) continue;
    for (size_t i = 0; i < flush_.size(); ++i) {
      if (Flushable* flushable = std::exchange(flush_[i], nullptr)) flushable->Flush();
    }
    flush_.clear();
  }
}

}  // namespace quoin::env
