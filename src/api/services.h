// Services: every gRPC method that this server answers, by path.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "api/context.h"
#include "rpc/server.h"

namespace quoin::api {

// `context` outlives the dispatcher. Thread: Find runs on every I/O loop; the table does not
// change.
std::unique_ptr<rpc::GrpcDispatcher> NewDispatcher(const Context& context);
// The paths of all of them.
std::vector<std::string_view> MethodPaths();

}  // namespace quoin::api
