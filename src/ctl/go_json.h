// JSON as Go's encoding/json makes it of etcd's message structs: fields in the order of their
// declaration under their declared names, zero values left out, 64-bit numbers as numbers, bytes in
// base64, enums as numbers; < > & escaped.
//
// (Protobuf's own JSON mapping is another thing: camelCase names, numbers as strings. The gateway
// speaks that one.)
//
// Thread: any; pure functions.
#pragma once

#include <string>
#include <string_view>

#include "google/protobuf/message.h"

namespace quoin::ctl {

// How cluster and member ids of headers and members are written.
enum class JsonIds { kNumbers, kHexStrings };

void AppendJson(std::string& out, const google::protobuf::Message& message,
                JsonIds ids = JsonIds::kNumbers);

void AppendJsonString(std::string& out, std::string_view text);

}  // namespace quoin::ctl
