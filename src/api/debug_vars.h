// The page /debug/vars: what the process and its raft core say about themselves, under etcd's
// names.
//
// Thread: any I/O loop.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "api/context.h"

namespace quoin::api {

// `done` runs on `loop`, later: raft's part is asked for on its own loop. There is no garbage
// collector here: of Go's memstats stand those that have a meaning (bytes), the others are left
// out.
void RenderDebugVars(const Context& context, const std::vector<std::string>& arguments,
                     env::Executor& loop, absl::AnyInvocable<void(std::string)> done);

}  // namespace quoin::api
