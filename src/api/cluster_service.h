// etcdserverpb.Cluster: who is a member, and changes of it.
#pragma once

#include <memory>

#include "api/context.h"

namespace quoin::api {

std::unique_ptr<rpc::CallHandler> NewMemberListCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewMemberAddCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewMemberRemoveCall(const Context& context,
                                                      rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewMemberUpdateCall(const Context& context,
                                                      rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewMemberPromoteCall(const Context& context,
                                                       rpc::ServerCall& call);

}  // namespace quoin::api
