// The rules that the values of a Draft must keep, and what follows from them. Private to config/.
#pragma once

#include <string_view>

#include "config/draft.h"
#include "env/blocking.h"

namespace quoin::config {

// etcd says this one twice.
inline constexpr std::string_view kAdvertiseUrlsMissing =
    "--advertise-client-urls is required when --listen-client-urls is set explicitly";

// The log's own settings, which etcd checks first. Fills config.logging except its outputs.
// Aborted: the level is unknown, which ends etcd with exit code 2.
Status ValidateLogging(Draft& draft);

// etcd's rules in etcd's order with etcd's texts; then what this release does not have. Leaves
// warnings.
Status Validate(Draft& draft);

// Fills in what depends on other values: the data directory, the initial cluster of a member that
// only gave its name, this machine's address for wildcard listeners, and defaults behind zeros.
// REQUIRES: Validate was OK.
void Resolve(Draft& draft, env::BlockingFileSystem& files);

// What etcd finds wrong only while it starts: retention and auth token.
Status ValidateLate(Draft& draft);

}  // namespace quoin::config
