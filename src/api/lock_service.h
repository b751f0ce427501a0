// v3lockpb.Lock: Lock, Unlock.  Thread: per call, its I/O loop.
#pragma once

#include <memory>

#include "api/context.h"

namespace quoin::api {

std::unique_ptr<rpc::CallHandler> NewLockCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewUnlockCall(const Context& context, rpc::ServerCall& call);

}  // namespace quoin::api
