// etcdserverpb.Maintenance/Downgrade.
//
// Thread: per call, its I/O loop.
#pragma once

#include <memory>

#include "api/context.h"

namespace quoin::api {

std::unique_ptr<rpc::CallHandler> NewDowngradeCall(const Context& context, rpc::ServerCall& call);

}  // namespace quoin::api
