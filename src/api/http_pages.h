// The plain HTTP pages of the client port: /version, /health, /livez, /readyz, /metrics,
// /debug/vars.
//
// Thread: any I/O loop.
#pragma once

#include <memory>

#include "api/context.h"
#include "base/log.h"
#include "rpc/server.h"

namespace quoin::api {

// `context` and `log` outlive the handler.
std::unique_ptr<rpc::HttpHandler> NewHttpPages(const Context& context, Logger& log);

}  // namespace quoin::api
