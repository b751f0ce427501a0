// etcdserverpb.Cluster: MemberList.
#pragma once

#include <memory>

#include "api/context.h"

namespace quoin::api {

std::unique_ptr<rpc::CallHandler> NewMemberListCall(const Context& context, rpc::ServerCall& call);

}  // namespace quoin::api
