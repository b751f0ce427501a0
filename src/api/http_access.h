// What stands before every HTTP page of the client ports: which hosts may be asked for
// (--host-whitelist) and which origins' pages may ask (--cors).
//
// Thread: any I/O loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "rpc/server.h"

namespace quoin::api {

// Value type. "*" in a list, or an empty list: all.
struct AccessRules {
  std::vector<std::string> origins;
  std::vector<std::string> hosts;
};

// Passes on to `pages` what the rules allow. Both references outlive the handler.
std::unique_ptr<rpc::HttpHandler> NewAccessControl(AccessRules rules, rpc::HttpHandler& pages,
                                                   Logger& log);

}  // namespace quoin::api
