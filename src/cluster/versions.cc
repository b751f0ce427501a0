#include "cluster/versions.h"

#include <boost/json.hpp>

namespace quoin::cluster {
namespace {

namespace json = boost::json;

constexpr Version kOldestCluster{3, 0, 0};

std::optional<std::string> StringOf(std::string_view page, std::string_view name) {
  boost::system::error_code error;
  const json::value value = json::parse(page, error);
  if (error || !value.is_object()) return std::nullopt;
  const json::value* field = value.get_object().if_contains(name);
  if (field == nullptr || !field->is_string()) return std::nullopt;
  return std::string(field->get_string());
}

}  // namespace

std::optional<std::string> ServerVersionOf(std::string_view page) {
  return StringOf(page, "etcdserver");
}

std::optional<std::string> ClusterVersionOf(std::string_view page) {
  return StringOf(page, "etcdcluster");
}

bool MayJoin(std::string_view server, std::string_view cluster, bool downgrading) {
  const std::optional<Version> own = ParseVersion(server);
  const std::optional<Version> theirs = ParseVersion(cluster);
  if (!own || !theirs) return false;
  if (downgrading) return theirs->Minor() == Version{own->major, own->minor + 1, 0};
  return *theirs >= kOldestCluster && theirs->Minor() <= own->Minor();
}

bool MayLower(const Version& from, const Version& to) {
  return to.Minor() == Version{from.major, from.minor - 1, 0};
}

std::optional<Version> NextClusterVersion(const std::optional<Version>& present,
                                          const std::optional<VersionRange>& members,
                                          const Downgrade& downgrade) {
  if (!members) return std::nullopt;
  if (!present) return members->lowest.Minor();
  if (downgrade.enabled) {
    const std::optional<Version> target = ParseVersion(downgrade.target_version);
    if (!target || !MayLower(*present, *target) || !MayLower(members->lowest, *target))
      return std::nullopt;
    return target->Minor();
  }
  // Never across a major version: that is another protocol.
  if (present->major == members->lowest.major && *present < members->lowest.Minor())
    return members->lowest.Minor();
  return std::nullopt;
}

bool DowngradeFinished(const std::optional<VersionRange>& members, const Downgrade& downgrade) {
  if (!members || !downgrade.enabled) return false;
  const std::optional<Version> target = ParseVersion(downgrade.target_version);
  return target && members->lowest.Minor() == target->Minor() &&
         members->highest.Minor() == target->Minor();
}

}  // namespace quoin::cluster
