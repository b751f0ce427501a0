// The initial cluster: what --initial-cluster says, and whether this member fits it. Needed only
// while a member has no data of its own.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "config/config.h"
#include "config/url.h"

namespace quoin::config {

// Name of a member → its peer URLs, sorted. Value type.
using InitialCluster = std::map<std::string, std::vector<Url>>;

// "a=http://h1:2380,b=http://h2:2380,a=…": a name may stand several times. Errors are etcd's texts.
StatusOr<InitialCluster> ParseInitialCluster(std::string_view text);

// Whether a new cluster may be started from `config`: this member's name is in the initial cluster
// with exactly the peer URLs that it advertises, and no URL stands twice. Compares texts; hosts are
// not resolved.
Status CheckBootstrap(const Config& config, const InitialCluster& cluster);

}  // namespace quoin::config
