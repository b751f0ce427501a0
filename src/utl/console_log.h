// Log lines for people, as etcdutl writes them: time, level, message and fields, with tabs between.
#pragma once

#include <iosfwd>
#include <memory>

#include "base/log.h"
#include "env/clock.h"

namespace quoin::utl {

// Writes to `out`, which outlives it. Thread: one at a time.
std::unique_ptr<Logger> NewConsoleLog(env::Clock& clock, std::ostream& out);

}  // namespace quoin::utl
