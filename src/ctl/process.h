// Processes and signals as the operating system has them: what watch, lock and elect need. Beside
// terminal.h the only system calls of this program.
//
// Thread: the main one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace quoin::ctl {

// How a command ended. Value type.
struct Ended {
  uint8_t code = 0;  // 255: a signal ended it
  std::string text;  // as Go's os/exec says it: "exit status 1", "signal: killed"
};

// Runs a command with these variables beside the environment of this program, whose outputs it
// shares. It has nothing to read: the input may be a script's, or lines for this program.
StatusOr<Ended> RunProcess(std::span<const std::string> command,
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
