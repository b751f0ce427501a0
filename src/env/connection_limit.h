// ConnectionLimit: how many connections the listeners that share it hold at once. A listener takes
// a place before it accepts, and the connection gives it back as it goes; without a place it
// accepts nothing, and what comes waits in the kernel.
//
//   auto limit = std::make_shared<ConnectionLimit>(loop, 1000);
//   network.Listen(one, {&loop}, {.limit = limit}, ...);
//   network.Listen(other, {&loop, &more}, {.limit = limit}, ...);
//
// Thread: its loop, which is the first one of each listener and exists as long as any connection;
// places may end on any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "env/executor.h"

namespace quoin::env {

class ConnectionLimit : public std::enable_shared_from_this<ConnectionLimit> {
 public:
  // Who has got no place. Thread: the limit's loop.
  class Waiter {
   public:
    virtual ~Waiter() = default;
    // There may be one now.
    virtual void OnPlace() = 0;
  };

  // One connection's place, or none. Value type.
  class Place {
   public:
    Place() = default;
    Place(Place&&) = default;
    Place& operator=(Place&& other) noexcept {
      if (this != &other) {
        End();
        limit_ = std::move(other.limit_);
      }
      return *this;
    }
    ~Place() { End(); }
    explicit operator bool() const { return limit_ != nullptr; }

   private:
    friend class ConnectionLimit;
    explicit Place(std::shared_ptr<ConnectionLimit> limit) : limit_(std::move(limit)) {}
    void End() {
      if (limit_ == nullptr) return;
      Executor& loop = limit_->loop_;
      loop.Post([limit = std::move(limit_)] { limit->GiveBack(); });
    }
    std::shared_ptr<ConnectionLimit> limit_;
  };

  // Held by shared_ptr.
  ConnectionLimit(Executor& loop, uint64_t most) : loop_(loop), most_(most) {}

  const Executor& loop() const { return loop_; }
  // No place: `waiter` is told once when there may be one, unless it is forgotten before.
  Place Take(Waiter& waiter) {
    if (taken_ == most_) {
      Forget(waiter);
      waiting_.push_back(&waiter);
      return Place();
    }
    ++taken_;
    return Place(shared_from_this());
  }
  void Forget(const Waiter& waiter) { std::erase(waiting_, &waiter); }
  uint64_t taken() const { return taken_; }

 private:
  // All are told: the first one may find that nobody waits for it any more.
  void GiveBack() {
    --taken_;
    for (Waiter* waiter : std::exchange(waiting_, {})) waiter->OnPlace();
  }

  Executor& loop_;
  const uint64_t most_;
  uint64_t taken_ = 0;
  std::vector<Waiter*> waiting_;  // listeners: a few
};

}  // namespace quoin::env
