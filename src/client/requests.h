// Small makers of requests that recipes share.
//
// Thread: any; pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "client/methods.h"

namespace quoin::client {

// The first key after all keys that start with `prefix`; one zero byte ("no end") when there is
// none: the range_end that takes them all in.
std::string PrefixEnd(std::string_view prefix);

pb::RequestOp PutOp(std::string_view key, std::string_view value, int64_t lease = 0);
pb::RequestOp GetOp(std::string_view key);
pb::RequestOp DeleteOp(std::string_view key);
// The first key of the interval in the order of creation.
pb::RequestOp FirstCreatedOp(std::string_view prefix);

pb::Compare CreateRevisionIs(std::string_view key, int64_t revision);  // 0 = the key is absent
pb::Compare ModRevisionIs(std::string_view key, int64_t revision);     // 0 = the key is absent

}  // namespace quoin::client
