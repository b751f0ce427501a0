// Requests of etcd's old v2 API. Members of 3.5 still log two of them: their own attributes and the
// cluster version.
#pragma once

#include <optional>
#include <string_view>

namespace quoin::state {

// etcdserverpb.Request, the fields that matter here. Value type; points into the entry.
struct V2Request {
  std::string_view method;  // "PUT", …
  std::string_view path;    // "/0/members/<hex>/attributes", "/0/version"
  std::string_view value;
};

// Whether an entry's bytes are a v2 request without an envelope: field 2 is then a method name, not
// a message.
bool IsBareV2Request(std::string_view entry_data);
std::optional<V2Request> ParseV2Request(std::string_view payload);

}  // namespace quoin::state
