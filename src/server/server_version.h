// The version whose behaviour this server keeps, as clients and peers see it.
#pragma once

namespace quoin::server {

inline constexpr char kServerVersion[] = "3.7.1";

}  // namespace quoin::server
