#include "cli/pause.h"

#include <atomic>
#include <memory>

namespace quoin::cli {

void Pause(env::Executor& loop, env::Duration duration) {
  // Owned by both: the loop may still be in notify_one when the wait is over.
  const auto passed = std::make_shared<std::atomic<bool>>(false);
  loop.Post([&loop, duration, passed] {
    loop.RunAfter(duration, [passed] {
      *passed = true;
      passed->notify_one();
    });
  });
  passed->wait(false);
}

}  // namespace quoin::cli
