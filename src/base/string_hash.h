// Hash and equality for absl containers with std::string keys that are looked up by
// std::string_view (Debian's abseil has a string_view of its own, so its defaults do not fit).
#pragma once

#include <functional>
#include <string_view>

namespace quoin {

// Value types.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
};
struct StringEqual {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return a == b; }
};

}  // namespace quoin
