// Executor: one loop that runs tasks one after another. Objects belong to an executor instead of
// having locks.
//
// Thread: as each method says.
#pragma once

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "env/clock.h"

namespace quoin::env {

using Task = absl::AnyInvocable<void()>;

struct TimerId {
  uint64_t value = 0;  // 0 = no timer
  friend bool operator==(TimerId, TimerId) = default;
};

class Executor {
 public:
  // Stops it first.
  virtual ~Executor() = default;

  // Ends the loop: when this returns no task of it runs any more. Tasks and timers that did not run
  // are destroyed unrun, here, as is all that comes later. The object stays, because other loops
  // may still post to it: stop all of them before the first one is destroyed. Thread: any but this
  // executor, one at a time; methods of this executor may be called there afterwards.
  virtual void Stop() = 0;

  // Runs `task` later on this executor, in the order of posting. Thread: any. After Stop the task
  // is destroyed unrun.
  virtual void Post(Task task) = 0;

  // Runs `task` once, `delay` from now. Thread: this executor.
  virtual TimerId RunAfter(Duration delay, Task task) = 0;
  // The task will not run; false when it already ran or is unknown. Thread: this executor.
  virtual bool Cancel(TimerId timer) = 0;

  // Runs `task` once after all that is ready in this turn of the loop has run: for flushing what a
  // turn gathered. Thread: this executor.
  virtual void AtEndOfTurn(Task task) = 0;

  // True while called from a task of this executor.
  virtual bool IsCurrent() const = 0;
  virtual Clock& clock() = 0;
};

}  // namespace quoin::env
