// SliceTurns: long reads of one I/O loop go slice by slice, in turn, a few slices at once. So what
// others want of the storage loop, or of the I/O loop, waits for a few slices, however many clients
// read however much.
//
// Thread: its I/O loop, but for the slices themselves; outlives what that loop runs.
#pragma once

#include <cstddef>
#include <deque>

#include "absl/functional/any_invocable.h"
#include "api/sort_line.h"
#include "env/executor.h"

namespace quoin::api {

class SliceTurns {
 public:
  // Runs on the storage loop; what it returns runs on the I/O loop then, and may ask again.
  using Slice = absl::AnyInvocable<env::Task()>;

  SliceTurns(env::Executor& loop, env::Executor& storage)
      : loop_(loop), storage_(storage), sorts_(loop) {}

  // Runs `slice` later, after all that were asked for before.
  void Ask(Slice slice);
  env::Executor& loop() { return loop_; }
  // Who of its sorted ranges holds what it sorts.
  SortLine& sorts() { return sorts_; }

 private:
  void Start();

  env::Executor& loop_;
  env::Executor& storage_;
  std::deque<Slice> waiting_;
  size_t running_ = 0;
  SortLine sorts_;
};

}  // namespace quoin::api
