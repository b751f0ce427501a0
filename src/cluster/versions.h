// What members say of versions, and which may run together.
//
// Thread: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace quoin::cluster {

// What a member's /version page says of the server and of the cluster ("not_decided" is said as it
// stands); nullopt when the page is not one.
std::optional<std::string> ServerVersionOf(std::string_view page);
std::optional<std::string> ClusterVersionOf(std::string_view page);

// Whether a server may join a cluster of this version: not an older one than the cluster's; while
// the cluster is being lowered, only the one that it is lowered to.
bool MayJoin(std::string_view server, std::string_view cluster, bool downgrading);

}  // namespace quoin::cluster
