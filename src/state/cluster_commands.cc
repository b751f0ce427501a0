// Membership facts that travel as ordinary entries: versions, attributes, downgrades; and 3.5's
// form of the first two.

#include "base/version.h"
#include "proto/membership.pb.h"
#include "state/state_machine.h"
#include "state/v2_request.h"

namespace quoin::state {
namespace {

constexpr Version kFirstVersionWithStorageVersion{3, 6, 0};

std::vector<std::string> ToVector(const google::protobuf::RepeatedPtrField<std::string>& strings) {
  return {strings.begin(), strings.end()};
}

}  // namespace

void StateMachine::ApplyClusterVersion(std::string version) {
  const std::optional<Version> parsed = ParseVersion(version);
  if (!parsed) EndOn("it sets the cluster's version to \"" + version + "\", which is none");
  if (options_.purpose == Options::Purpose::kServe && *parsed > options_.server_version.Minor())
    EndOn("it raises the cluster's version to " + version + ", above that of this server (" +
          options_.server_version.text() + ")");
  MustSucceed(membership_.SetClusterVersion(version, writer_));
  // The data file's own version follows the cluster's, up and down, so that the servers that may
  // take part may also take over the directory. Directories of 3.5 have none.
  if (*parsed >= kFirstVersionWithStorageVersion) {
    storage_version_ = std::move(version);
    MustSucceed(writer_.Put("meta", "storageVersion", storage_version_));
  } else if (!storage_version_.empty()) {
    storage_version_.clear();
    MustSucceed(writer_.Delete("meta", "storageVersion"));
  }
}

ApplyResult StateMachine::ClusterVersionSet(std::string_view payload) {
  membershippb::ClusterVersionSetRequest request;
  if (!ParseDeep(payload, request)) DieOnDiskError("malformed cluster version in the log");
  ApplyClusterVersion(request.ver());
  return {};
}

ApplyResult StateMachine::ClusterMemberAttributesSet(std::string_view payload) {
  membershippb::ClusterMemberAttrSetRequest request;
  if (!ParseDeep(payload, request)) DieOnDiskError("malformed member attributes in the log");
  const membershippb::Attributes& attributes = request.member_attributes();
  MustSucceed(membership_.SetAttributes(request.member_id(), attributes.name(),
                                        ToVector(attributes.client_urls()), writer_));
  return {};
}

ApplyResult StateMachine::DowngradeInfoSet(std::string_view payload) {
  membershippb::DowngradeInfoSetRequest request;
  if (!ParseDeep(payload, request)) DieOnDiskError("malformed downgrade in the log");
  cluster::Downgrade downgrade;
  downgrade.enabled = request.enabled();
  if (request.enabled()) downgrade.target_version = request.ver();
  MustSucceed(membership_.SetDowngrade(std::move(downgrade), writer_));
  return {};
}

ApplyResult StateMachine::LegacyV2(std::string_view payload) {
  std::optional<V2Request> request = ParseV2Request(payload);
  if (!request) DieOnDiskError("malformed v2 request in the log");
  constexpr std::string_view kMembers = "/0/members/";
  constexpr std::string_view kAttributes = "/attributes";
  std::string_view path = request->path;
  if (request->method == "PUT" && path == "/0/version") {
    ApplyClusterVersion(std::string(request->value));
  } else if (request->method == "PUT" && path.starts_with(kMembers) &&
             path.ends_with(kAttributes)) {
    path.remove_prefix(kMembers.size());
    path.remove_suffix(kAttributes.size());
    std::optional<uint64_t> id = cluster::ParseHexId(path);
    StatusOr<cluster::Member> attributes = cluster::ParseMemberJson(request->value);
    if (!id || !attributes.ok())
      DieOnDiskError("malformed member attributes in a v2 request of the log");
    MustSucceed(membership_.SetAttributes(*id, attributes->name, attributes->client_urls, writer_));
  } else {
    EndOn("a v2 request that is none of a member's own: " + std::string(request->method) + " " +
          std::string(request->path));
  }
  return {};
}

}  // namespace quoin::state
