// Env: the whole outside world, as handed to a server. Production gets env/posix, tests and the
// simulator env/sim; nobody asks which.
//
// Thread: any.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "env/clock.h"
#include "env/executor.h"
#include "env/file.h"
#include "env/network.h"

namespace quoin::env {

class Env {
 public:
  virtual ~Env() = default;
  virtual Clock& clock() = 0;
  virtual FileSystem& files() = 0;
  virtual Network& network() = 0;
  // Unpredictable in production, seeded in simulation. Thread: any.
  virtual uint64_t Random() = 0;
  // A new loop with its own thread (posix) or its own queue in the simulated world. Destruction
  // stops it: tasks not yet run are destroyed unrun.
  virtual std::unique_ptr<Executor> NewExecutor(std::string_view name) = 0;
};

}  // namespace quoin::env
