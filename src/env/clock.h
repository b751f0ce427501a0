// Clock: the only source of time.
#pragma once

#include <chrono>

namespace quoin::env {

using Duration = std::chrono::nanoseconds;

// Thread: any.
class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic, arbitrary start. Everything that measures or waits uses this one.
  virtual Duration Now() const = 0;
  // Since the Unix epoch. Only for what people or other systems read: log lines, ids, certificates.
  virtual Duration WallNow() const = 0;
};

}  // namespace quoin::env
