// grpc.health.v1.Health: Check, List, Watch. The one service that is known is "" (the server as a
// whole).
#pragma once

#include <memory>

#include "api/context.h"

namespace quoin::api {

std::unique_ptr<rpc::CallHandler> NewHealthCheckCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewHealthListCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewHealthWatchCall(const Context& context, rpc::ServerCall& call);

}  // namespace quoin::api
