// meta/confState: raft's configuration as the JSON that etcd stores.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "raft_types/types.h"

namespace quoin::state {

std::string ConfStateJson(const raft::ConfState& state);
StatusOr<raft::ConfState> ParseConfStateJson(std::string_view json);

}  // namespace quoin::state
