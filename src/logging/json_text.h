// JSON text, as log lines need it. Free functions.
#pragma once

#include <string>
#include <string_view>

#include "base/log.h"

namespace quoin::logging {

// Appends `text` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD, one per
// byte.
void AppendJsonString(std::string& out, std::string_view text);

// Appends `,"name":value` (without the comma when `first`).
void AppendJsonField(std::string& out, const LogField& field, bool first);

}  // namespace quoin::logging
