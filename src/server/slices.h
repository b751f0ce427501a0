// Work of any length in slices: each is a task of its own, so that others get their turn between
// two of them.
//
// Thread: any; the slices run on the executor that is named.
#pragma once

#include <utility>

#include "absl/functional/any_invocable.h"
#include "env/executor.h"

namespace quoin::server {

// Runs `slice` again and again until it returns true. It holds what it needs, and tells its caller
// itself; a stopped executor destroys it.
inline void RunInSlices(env::Executor& on, absl::AnyInvocable<bool()> slice) {
  on.Post([&on, slice = std::move(slice)]() mutable {
    if (!slice()) RunInSlices(on, std::move(slice));
  });
}

}  // namespace quoin::server
