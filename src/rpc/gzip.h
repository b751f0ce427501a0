// Gzip of HTTP answers. The one of gRPC messages is grpc_wire's.
//
// Thread: any.
#pragma once

#include <string>
#include <string_view>

namespace quoin::rpc {

// Whether an Accept-Encoding header takes gzip ("gzip", "deflate, gzip;q=0.5", "*").
bool TakesGzip(std::string_view accept_encoding);

std::string Gzip(std::string_view bytes);

}  // namespace quoin::rpc
