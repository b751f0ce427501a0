// A command that waits for some time.
//
// Thread: any but the loop's.
#pragma once

#include "env/clock.h"
#include "env/executor.h"

namespace quoin::cli {

// Waits on the loop's clock.
void Pause(env::Executor& loop, env::Duration duration);

}  // namespace quoin::cli
