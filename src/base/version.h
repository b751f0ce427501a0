// Versions as servers say them.
//
// Value types. Thread: any.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace quoin {

// "3.7.1" or "3.7", with or without a suffix behind the numbers ("3.6.0-rc.1").
struct Version {
  int major = 0;
  int minor = 0;
  int patch = 0;
  friend auto operator<=>(const Version&, const Version&) = default;
  Version Minor() const { return {major, minor, 0}; }
  std::string text() const;
};
std::optional<Version> ParseVersion(std::string_view text);

}  // namespace quoin
