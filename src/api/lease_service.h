// etcdserverpb.Lease.
//
// Thread: per call, its I/O loop.
#pragma once

#include <memory>

#include "api/context.h"

namespace quoin::api {

std::unique_ptr<rpc::CallHandler> NewLeaseGrantCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewLeaseRevokeCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewLeaseKeepAliveCall(const Context& context,
                                                        rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewLeaseTimeToLiveCall(const Context& context,
                                                         rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewLeaseLeasesCall(const Context& context, rpc::ServerCall& call);

}  // namespace quoin::api
