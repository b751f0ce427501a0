// v3electionpb.Election: Campaign, Proclaim, Leader, Observe, Resign.  Thread: per call, its I/O
// loop.
#pragma once

#include <memory>

#include "api/context.h"

namespace quoin::api {

std::unique_ptr<rpc::CallHandler> NewCampaignCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewProclaimCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewLeaderCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewObserveCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewResignCall(const Context& context, rpc::ServerCall& call);

}  // namespace quoin::api
