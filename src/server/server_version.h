// The version whose behaviour this server keeps, as clients and peers see it.
#pragma once

#include "base/release.h"

namespace quoin::server {

inline constexpr auto& kServerVersion = kEtcdVersion;

}  // namespace quoin::server
