// How an error of a call reads for a person: etcd's own messages bare, the rest with the gRPC code
// in front.
//
// Thread: any; pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace quoin::client {

// "rpc error: code = Unavailable desc = …".
std::string RpcErrorText(const Status& status);

// "etcdserver: key is not provided", "context deadline exceeded", or RpcErrorText.
std::string ErrorText(const Status& status);

// gRPC's name of the code: "InvalidArgument".
std::string_view CodeName(StatusCode code);

}  // namespace quoin::client
