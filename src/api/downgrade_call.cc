#include "api/downgrade_call.h"

#include <charconv>
#include <optional>
#include <utility>

#include "base/errors.h"
#include "proto/membership.pb.h"
#include "proto/rpc.pb.h"

namespace quoin::api {
namespace {

struct Version {
  int major = 0, minor = 0;
  friend bool operator==(const Version&, const Version&) = default;
};

// "X.Y" or "X.Y.Z…".
std::optional<Version> ParseVersion(std::string_view text) {
  Version version;
  const char* const end = text.data() + text.size();
  auto [dot, error] = std::from_chars(text.data(), end, version.major);
  if (error != std::errc() || dot == end || *dot != '.') return std::nullopt;
  auto [rest, minor_error] = std::from_chars(dot + 1, end, version.minor);
  if (minor_error != std::errc() || (rest != end && *rest != '.')) return std::nullopt;
  return version;
}

class DowngradeCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  void Handle(std::string_view message) override {
    if (!state::ParseDeep(message, request_)) return Fail(UnmarshalError());
    switch (request_.action()) {
      case etcdserverpb::DowngradeRequest::VALIDATE:
      case etcdserverpb::DowngradeRequest::ENABLE:
        return Validate();
      case etcdserverpb::DowngradeRequest::CANCEL:
        return Set(/*enabled=*/false);
      default:
        return Fail(absl::UnknownError("etcdserver: unknown method"));
    }
  }

 private:
  void Validate() {
    const std::optional<Version> target = ParseVersion(request_.version());
    if (!target) return Fail(errors::WrongDowngradeFormat());
    WhenReadable([this, target = *target] {
      const server::ClusterInfo& cluster = *frontend_.cluster();
      const std::optional<Version> present = ParseVersion(cluster.cluster_version);
      if (!present) return Fail(errors::ClusterVersionNotFound());
      if (target != Version{present->major, present->minor - 1})
        return Fail(errors::InvalidDowngradeTarget());
      if (cluster.downgrade.enabled) return Fail(errors::DowngradeInProgress());
      if (request_.action() == etcdserverpb::DowngradeRequest::ENABLE) return Set(/*enabled=*/true);
      Answer();
    });
  }

  void Set(bool enabled) {
    membershippb::DowngradeInfoSetRequest set;
    set.set_enabled(enabled);
    if (enabled) {
      const std::optional<Version> target = ParseVersion(request_.version());
      set.set_ver(std::to_string(target->major) + "." + std::to_string(target->minor) + ".0");
    }
    auto wait = frontend_.Propose(state::Operation::kDowngradeInfoSet, set.SerializeAsString(),
                                  [this, enabled](const state::ApplyResult& result) {
                                    // A cancellation always answers well, as etcd's does.
                                    if (enabled && !result.status.ok()) return Fail(result.status);
                                    Answer();
                                  });
    if (!wait.ok()) Fail(wait.status());
  }

  void Answer() {
    const std::string& version = frontend_.cluster()->cluster_version;
    etcdserverpb::DowngradeResponse response;
    response.set_version(version.substr(0, version.rfind('.')));
    std::string out;
    AppendHeader(frontend_.info(), frontend_.store().current_revision(), out);
    out += response.SerializeAsString();
    Reply(std::move(out));
  }

  etcdserverpb::DowngradeRequest request_;
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewDowngradeCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<DowngradeCall>(context, call);
}

}  // namespace quoin::api
