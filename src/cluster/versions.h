// What members say of versions, and which may run together.
//
// Thread: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/version.h"
#include "cluster/membership.h"

namespace quoin::cluster {

// What a member's /version page says of the server and of the cluster ("not_decided" is said as it
// stands); nullopt when the page is not one.
std::optional<std::string> ServerVersionOf(std::string_view page);
std::optional<std::string> ClusterVersionOf(std::string_view page);

// Whether a server may join a cluster of this version: not an older one than the cluster's; while
// the cluster is being lowered, only the one that it is lowered to.
bool MayJoin(std::string_view server, std::string_view cluster, bool downgrading);

// The servers of all members, by their versions.
struct VersionRange {
  Version lowest;
  Version highest;
};

// What an undecided cluster takes for its version while somebody cannot be asked: every server
// knows it, and it is raised once all have been heard.
inline constexpr Version kUndecidedVersion{3, 0, 0};

// Whether a cluster of version `from` may be lowered to `to`: by one minor at a time.
bool MayLower(const Version& from, const Version& to);

// What the version of the cluster should become; nullopt: it stays. As high as all members allow,
// but for a downgrade that is under way. `present`: nullopt while none is decided; `members`:
// nullopt when one of them was not heard.
std::optional<Version> NextClusterVersion(const std::optional<Version>& present,
                                          const std::optional<VersionRange>& members,
                                          const Downgrade& downgrade);

// Whether all members run what the downgrade was for.
bool DowngradeFinished(const std::optional<VersionRange>& members, const Downgrade& downgrade);

}  // namespace quoin::cluster
