#include "cluster/versions.h"

#include <boost/json.hpp>
#include <charconv>

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
