// PosixClock: the kernel's clocks.
#pragma once

#include "env/clock.h"

namespace quoin::env {

// The kernel's clocks. Thread: any.
class PosixClock final : public Clock {
 public:
  Duration Now() const override;
  Duration WallNow() const override;
};

}  // namespace quoin::env
