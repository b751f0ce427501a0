// etcdserverpb.KV: Range, RangeStream, Put, DeleteRange, Txn, Compact.
#pragma once

#include <memory>

#include "api/context.h"

namespace quoin::api {

std::unique_ptr<rpc::CallHandler> NewRangeCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewRangeStreamCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewPutCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewDeleteRangeCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewTxnCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewCompactCall(const Context& context, rpc::ServerCall& call);

}  // namespace quoin::api
