// etcdserverpb.Watch: one stream carries any number of watchers.
//
// Thread: the call's I/O loop.
#pragma once

#include <memory>

#include "api/context.h"

namespace quoin::api {

std::unique_ptr<rpc::CallHandler> NewWatchCall(const Context& context, rpc::ServerCall& call);

}  // namespace quoin::api
