#include "cluster/versions.h"

#include <boost/json.hpp>
#include <optional>

#include "base/version.h"

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

}  // namespace quoin::cluster
