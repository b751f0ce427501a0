// Versions of servers and of the cluster, and which may run together.
//
// Value types.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace quoin::cluster {

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

// What a member's /version page says of the server and of the cluster ("not_decided" is said as it
// stands); nullopt when the page is not one.
std::optional<std::string> ServerVersionOf(std::string_view page);
std::optional<std::string> ClusterVersionOf(std::string_view page);

// Whether a server may join a cluster of this version: not an older one than the cluster's; while
// the cluster is being lowered, only the one that it is lowered to.
bool MayJoin(std::string_view server, std::string_view cluster, bool downgrading);

}  // namespace quoin::cluster
