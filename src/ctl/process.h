// Processes and signals as the operating system has them: what watch, lock and elect need. Beside
// terminal.h the only system calls of this program.
//
// Thread: the main one.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace quoin::ctl {

// Runs a command with this program's streams and these variables beside its own environment;
// returns its exit code (128 + signal when one ended it).
StatusOr<int> RunProcess(std::span<const std::string> command,
                         const std::vector<std::pair<std::string, std::string>>& variables);

// Threads that are made while one of these lives never take SIGINT and SIGTERM.
class WithoutStopSignals {
 public:
  WithoutStopSignals();
  ~WithoutStopSignals();
};

// SIGINT and SIGTERM, which otherwise end the program, as something to wait for. From the first
// object on they wait until somebody asks.
class StopSignals {
 public:
  StopSignals();
  // Waits for one of them.
  void Wait();
  // Whether one has come within `milliseconds`.
  bool WaitFor(int milliseconds);
};

}  // namespace quoin::ctl
