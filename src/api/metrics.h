// /metrics: the server's cells under etcd's names, in Prometheus' text format 0.0.4.
#pragma once

#include <string>

#include "api/context.h"

namespace quoin::api {

std::string RenderMetrics(const Context& context, server::Frontend& frontend);

}  // namespace quoin::api
