// PosixExecutor: a thread, an epoll set, a queue of tasks, timers.
//
// One turn: wait → socket events → posted tasks → due timers → end-of-turn tasks → writes that
// connections gathered.
#pragma once

#include <sys/epoll.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "env/dialer.h"
#include "env/executor.h"
#include "env/posix/posix_clock.h"

namespace quoin::env {

// A file descriptor in an executor's epoll set. Thread: the executor.
class Pollable {
 public:
  virtual ~Pollable() = default;
  virtual void OnEvents(uint32_t events) = 0;
};

// Something that gathers output during a turn. Thread: the executor.
class Flushable {
 public:
  virtual ~Flushable() = default;
  virtual void Flush() = 0;
};

class PosixExecutor;

// Posts to an executor that may have ended. Thread: any.
class PosixMailbox {
 public:
  explicit PosixMailbox(PosixExecutor& executor) : executor_(&executor) {}
  // The task is destroyed unrun, here, when the executor has ended.
  void Post(Task task);
  // The executor ends.
  void Close();

 private:
  std::mutex mutex_;
  PosixExecutor* executor_;  // guarded by mutex_; null: ended
};

class PosixExecutor final : public Executor {
 public:
  explicit PosixExecutor(std::string_view name);
  ~PosixExecutor() override;

  void Stop() override;
  void Post(Task task) override;
  TimerId RunAfter(Duration delay, Task task) override;
  bool Cancel(TimerId timer) override;
  void AtEndOfTurn(Task task) override;
  bool IsCurrent() const override { return std::this_thread::get_id() == thread_.get_id(); }
  Clock& clock() override { return clock_; }

  // --- for connections and listeners; thread: this executor, or any after Stop ---
  void Watch(int fd, uint32_t events, Pollable* pollable);
  void ChangeWatch(int fd, uint32_t events, Pollable* pollable);
  void Unwatch(int fd, Pollable* pollable);
  void ScheduleFlush(Flushable* flushable);
  void CancelFlush(Flushable* flushable);
  const std::shared_ptr<PosixMailbox>& mailbox() const { return mailbox_; }
  // Of the network that this executor dials by; null before its first connection.
  std::unique_ptr<Dialer>& dialer() { return dialer_; }
  // Shared by all connections of this loop; holds one read at a time.
  std::vector<char>& read_buffer() { return read_buffer_; }

 private:
  void Loop();
  int WaitMilliseconds();
  void Dispatch(int count);
  void RunPosted();
  void RunDueTimers();
  void EndTurn();
  void Wake();

  PosixClock clock_;
  const int epoll_;
  const int wake_;

  std::mutex mutex_;  // guards the next three
  std::vector<Task> posted_;
  bool sleeping_ = false;
  bool stop_ = false;

  // The loop's own:
  std::vector<Task> running_;
  std::map<std::pair<Duration, uint64_t>, Task> timers_;
  absl::flat_hash_map<uint64_t, Duration> timer_times_;  // looked up only
  uint64_t next_timer_ = 1;
  std::vector<Task> end_of_turn_;
  std::vector<Flushable*> flush_;
  std::vector<epoll_event> events_;
  int event_count_ = 0;
  int event_at_ = 0;
  std::vector<char> read_buffer_;
  const std::shared_ptr<PosixMailbox> mailbox_ = std::make_shared<PosixMailbox>(*this);
  std::unique_ptr<Dialer> dialer_;

  std::thread thread_;  // last: starts when everything stands
};

}  // namespace quoin::env
