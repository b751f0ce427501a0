// From what the operator wrote to what one member is told.
#pragma once

#include "base/status.h"
#include "config/config.h"
#include "server/config.h"

namespace quoin::main {

// Errors are etcd's texts for an initial cluster that does not fit this member.
StatusOr<server::NodeConfig> ToNodeConfig(const config::Config& config);

}  // namespace quoin::main
