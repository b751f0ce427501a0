// SortLine: of the sorted ranges of one I/O loop, one at a time holds what it sorts. The others
// stand in line, first come, first served. One that does nothing for a while, because its client
// takes nothing, lets go of what it holds when another wants its turn, and stands in line again.
//
// Thread: its I/O loop.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>

#include "env/executor.h"

namespace quoin::api {

class SortLine {
 public:
  explicit SortLine(env::Executor& loop) : loop_(loop) {}
  ~SortLine() {
    loop_.Cancel(grace_);
    loop_.Cancel(tell_);
  }
  SortLine(const SortLine&) = delete;
  SortLine& operator=(const SortLine&) = delete;

  // Who may hold something. Whatever it holds, it holds within its turn.
  class Keeper {
   public:
    virtual ~Keeper() = default;
    // It rests, and its turn is over: it lets go of what it holds.
    virtual void LetGo() = 0;
    // It stands in line. Told so when it begins to, and then more often than a compaction gives up
    // readers.
    virtual void OnStillInLine() = 0;
  };

  // Runs `then` in the turn of `keeper`: now if it has it, or if nobody else is in front.
  void Take(std::shared_ptr<Keeper> keeper, env::Task then);
  // It does nothing until it takes its turn again, and may lose what it holds.
  void Rest(const Keeper& keeper);
  // It holds nothing, and waits for nothing.
  void Leave(const Keeper& keeper);

  // What its holder may hold.
  size_t bytes_max() const { return bytes_max_; }
  // Before anybody stands in line.
  void set_bytes_max(size_t bytes_max) { bytes_max_ = bytes_max; }

 private:
  bool HasTurn(const Keeper& keeper) const { return holder_.lock().get() == &keeper; }
  void WatchRest();
  void PassOn();
  void TellWaiting();

  struct Waiting {
    std::shared_ptr<Keeper> keeper;
    env::Task then;
  };
  env::Executor& loop_;
  size_t bytes_max_ = 16 << 20;
  std::deque<Waiting> waiting_;
  std::weak_ptr<Keeper> holder_;  // gone: it holds nothing any more
  bool resting_ = false;
  env::TimerId grace_;  // of the one that rests while others wait
  env::TimerId tell_;   // runs while anybody waits
};

}  // namespace quoin::api
