// Processes and signals as the operating system has them: what watch, lock and elect need. Beside
// terminal.h the only system calls of this program.
//
// Thread: the main one.
#pragma once

#include <memory>
#include <span>
#include <stop_token>
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

// SIGINT and SIGTERM as a request to stop, as long as the object lives: the first one stops
// token(), the second one ends the program at once. One object at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  std::stop_token token() const;
  // Waits for a signal; false: `other` was stopped first.
  bool Wait(const std::stop_token& other) const;

 private:
  class Waiter;
  std::unique_ptr<Waiter> waiter_;
};

}  // namespace quoin::ctl
