// LoopMemory: what the clients of one I/O loop make the server hold, and who must let go of it when
// the process holds too much.
//
// Held are answers that were not taken and requests that wait. Each Holder stands in the order in
// which its client last moved something. Above the budget the one whose client has moved nothing
// for longest gives up, on the loop that holds most. What was queued in this turn stands apart: its
// client could not take any of it yet. When nothing else is left, the newest of these gives up: it
// is the one whose growth is too much. Open calls have a budget of their own, because
// there is no telling which of them is of no use: above it, further ones are not taken on. So has
// what stands until its client wants it no more, like the keys of watchers: it is refused
// beforehand.
//
// Thread: its I/O loop, except as a method says.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/lifeline.h"
#include "base/log.h"
#include "base/memory.h"
#include "env/executor.h"

namespace quoin::rpc {

class LoopMemory;

// Something that holds bytes until a client takes them. Leaves its LoopMemory's list when it goes.
class Holder {
 public:
  Holder() = default;
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  virtual ~Holder() { Unlink(); }
  // Frees its bytes now, or in the next turn when the connection goes with them; its account knows
  // it when this returns, so that nobody else gives up for the same bytes. Must call nobody back
  // before the end of the turn. It is off the list.
  virtual void GiveUp() = 0;

 private:
  friend class LoopMemory;
  void Unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
  }
  Holder* prev_ = nullptr;
  Holder* next_ = nullptr;
};

// The budgets of a server, and the loops that draw on them. Thread: any.
struct ServerMemory {
  explicit ServerMemory(uint64_t bytes_max)
      : budget(bytes_max), calls(bytes_max), standing(bytes_max / 2) {}
  MemoryBudget budget;
  MemoryBudget calls;
  MemoryBudget standing;
  std::vector<LoopMemory*> loops;  // complete before the first connection
};

class LoopMemory {
 public:
  LoopMemory(std::shared_ptr<ServerMemory> server, env::Executor& loop, Logger& log)
      : server_(std::move(server)),
        loop_(loop),
        log_(log),
        account_(server_->budget),
        calls_(server_->calls),
        standing_(server_->standing) {}

  MemoryAccount& account() { return account_; }
  MemoryAccount& calls() { return calls_; }
  MemoryAccount& standing() { return standing_; }
  bool too_many_calls() const { return server_->calls.over(); }
  bool over() const { return server_->budget.over(); }
  // Half of the budget is used: who produces answers shall wait for their client sooner.
  bool tight() const {
    return 2 * server_->budget.used() > static_cast<int64_t>(server_->budget.bytes_max());
  }
  // One connection may hold a quarter of all before its further requests wait.
  uint64_t connection_bytes_max() const { return server_->budget.bytes_max() / 4; }

  // It holds something for the first time. What is scheduled before this call comes before its
  // client counts as one that has not taken it.
  void Begin(Holder& holder);
  // The holder's client has taken or given something.
  void Touch(Holder& holder) { Link(holder, waiting_); }
  // It holds nothing.
  void Remove(Holder& holder) { holder.Unlink(); }
  // Something has grown: makes others, or the same, give up while the budget is over.
  void NoteGrowth() {
    if (over() && !Relieve()) AskOthers();
  }

 private:
  // A list's two ends: first is next_, last is prev_.
  class Ends final : public Holder {
    void GiveUp() override {}
    friend class LoopMemory;

   public:
    Ends() { prev_ = next_ = this; }
    ~Ends() override { prev_ = next_ = nullptr; }
    bool empty() const { return next_ == this; }
  };
  static void Link(Holder& holder, Ends& list);
  void Settle();
  bool Relieve();
  void AskOthers();
  void Report();

  const std::shared_ptr<ServerMemory> server_;
  env::Executor& loop_;
  Logger& log_;
  MemoryAccount account_;
  MemoryAccount calls_;
  MemoryAccount standing_;
  Ends waiting_;
  Ends fresh_;                      // of this turn
  std::atomic<bool> asked_{false};  // by another loop; set there, cleared here
  uint64_t given_up_ = 0;           // not reported yet
  bool report_waits_ = false;
  Lifeline lifeline_;
  const Lifeline::Sign sign_ = lifeline_.sign();  // read by other loops
};

}  // namespace quoin::rpc
