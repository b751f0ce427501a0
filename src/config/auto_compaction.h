// --auto-compaction-mode and --auto-compaction-retention as one value. Private to config/.
#pragma once

#include <string_view>

#include "base/status.h"
#include "config/config.h"

namespace quoin::config {

// `mode` is "periodic" or "revision". A plain number counts hours or revisions; "30m" and the like
// are durations (in revision mode etcd takes such a duration's nanoseconds as the count, and so
// does this). "0" = off. Negative values are refused.
StatusOr<AutoCompaction> ParseAutoCompaction(std::string_view mode, std::string_view retention);

}  // namespace quoin::config
