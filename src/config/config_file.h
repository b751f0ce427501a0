// The config file: YAML (and so JSON), with the flags' names as keys. Private to config/.
#pragma once

#include <string>

#include "config/draft.h"
#include "env/blocking.h"

namespace quoin::config {

inline constexpr size_t kConfigFileBytesMax = 1 << 20;

// Reads the whole file. Errors are Go's: `open /x: no such file or directory`.
StatusOr<std::string> ReadConfigFile(env::BlockingFileSystem& files, const std::string& path);

// Fills `draft` from `text`. Durations are integers in nanoseconds; lists of URLs, cors and
// host-whitelist are strings with commas, other lists are lists; unknown keys are skipped.
// InvalidArgument: the file is refused with etcd's message. Aborted: a URL list is bad, the message
// is the line that etcd prints on stderr without logging.
Status ApplyConfigFile(const std::string& text, Draft& draft);

}  // namespace quoin::config
