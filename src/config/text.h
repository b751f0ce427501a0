// Putting messages together. Private to config/.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "base/status.h"

namespace quoin::config {

inline void AppendPart(std::string& out, std::string_view part) { out += part; }
template <std::integral Integer>
void AppendPart(std::string& out, Integer number) {
  out += std::to_string(number);
}

// Texts and integers, one after another.
template <typename... Parts>
std::string Cat(const Parts&... parts) {
  std::string out;
  (AppendPart(out, parts), ...);
  return out;
}

template <typename... Parts>
void Append(std::string& out, const Parts&... parts) {
  (AppendPart(out, parts), ...);
}

inline Status Invalid(const std::string& message) { return absl::InvalidArgumentError(message); }

inline std::string Message(const Status& status) { return std::string(status.message()); }

}  // namespace quoin::config
