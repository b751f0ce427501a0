// Endpoint: one address that clients may talk to, as users write it.
//
// Value type.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace quoin::client {

struct Endpoint {
  std::string text;     // as given; what messages show
  std::string address;  // what rpc::Channel takes: "host:port" or "unix:path"
  std::string host;     // name to verify in the server's certificate; empty for unix sockets
  bool tls = false;     // https:// or unixs://
};

// Takes host:port, http://host:port, https://host:port, unix://path, unixs://path and unix:path. A
// path after a port is ignored, as etcd's clients do.
StatusOr<Endpoint> ParseEndpoint(std::string_view text);

}  // namespace quoin::client
