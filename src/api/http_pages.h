// The plain HTTP pages of the client port: /version, /health, /livez, /readyz, /metrics,
// /debug/vars.
//
// Thread: any I/O loop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/context.h"
#include "base/log.h"
#include "rpc/server.h"

namespace quoin::api {

// What a port shows.
enum class PageSet : uint8_t {
  kAll,
  kProbes,  // /metrics and the health pages alone: --listen-metrics-urls
};

// `arguments` are the process's own, for /debug/vars. `context` and `log` outlive the handler.
std::unique_ptr<rpc::HttpHandler> NewHttpPages(const Context& context, PageSet pages,
                                               std::vector<std::string> arguments, Logger& log);

}  // namespace quoin::api
