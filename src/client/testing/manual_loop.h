// ManualLoop: an executor whose time stands until the test moves it.
//
// Thread: the test's.
#pragma once

#include <deque>
#include <map>
#include <utility>

#include "env/clock.h"
#include "env/executor.h"

namespace quoin::client::testing_support {

// Thread: the test's.
class ManualLoop : public env::Executor, public env::Clock {
 public:
  void Stop() override {
    tasks_.clear();
    timers_.clear();
  }
  void Post(env::Task task) override { tasks_.push_back(std::move(task)); }
  env::TimerId RunAfter(env::Duration delay, env::Task task) override {
    timers_.emplace(std::pair(now_ + delay, ++last_timer_), std::move(task));
    return {last_timer_};
  }
  bool Cancel(env::TimerId timer) override {
    return std::erase_if(timers_, [&](const auto& t) { return t.first.second == timer.value; }) > 0;
  }
  void AtEndOfTurn(env::Task task) override { Post(std::move(task)); }
  bool IsCurrent() const override { return true; }
  env::Clock& clock() override { return *this; }
  env::Duration Now() const override { return now_; }
  env::Duration WallNow() const override { return now_; }

  // Runs everything that is due up to `delay` from now.
  void Advance(env::Duration delay) {
    const env::Duration until = now_ + delay;
    while (true) {
      if (!tasks_.empty()) {
        env::Task task = std::move(tasks_.front());
        tasks_.pop_front();
        task();
      } else if (!timers_.empty() && timers_.begin()->first.first <= until) {
        now_ = timers_.begin()->first.first;
        auto timer = timers_.extract(timers_.begin());
        timer.mapped()();
      } else {
        now_ = until;
        return;
      }
    }
  }
  size_t timers() const { return timers_.size(); }

 private:
  std::deque<env::Task> tasks_;
  std::map<std::pair<env::Duration, uint64_t>, env::Task> timers_;
  uint64_t last_timer_ = 0;
  env::Duration now_ = std::chrono::hours(1);
};

}  // namespace quoin::client::testing_support
