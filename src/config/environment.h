// The environment: ETCD_ and the flag's name in capitals, for flags that the command line left
// alone. Private to config/.
#pragma once

#include "config/draft.h"

namespace quoin::config {

// "ETCD_INITIAL_CLUSTER" for "initial-cluster".
std::string VariableName(std::string_view flag);

// Value of `name`; empty when it is not set.
std::string_view Lookup(const Environment& environment, std::string_view name);

// Reads the environment into `draft`, after the command line. FailedPrecondition: a flag is set in
// both places, the message is the variable's name. InvalidArgument: a value does not parse, the
// message is etcd's. Names with the prefix that match no flag leave a warning.
Status ApplyEnvironment(const Environment& environment, Draft& draft);

}  // namespace quoin::config
