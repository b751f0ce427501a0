#include "base/version.h"

#include <charconv>

namespace quoin {

std::string Version::text() const {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

std::optional<Version> ParseVersion(std::string_view text) {
  Version version;
  int* const parts[] = {&version.major, &version.minor, &version.patch};
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  int found = 0;
  while (found < 3) {
    auto [next, error] = std::from_chars(at, end, *parts[found]);
    if (error != std::errc() || *parts[found] < 0) return std::nullopt;
    ++found;
    at = next;
    if (at == end || *at != '.' || found == 3) break;
    ++at;
  }
  if (found < 2 || (at != end && *at != '-' && *at != '+')) return std::nullopt;
  return version;
}

}  // namespace quoin
