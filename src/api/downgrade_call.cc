#include "api/downgrade_call.h"

#include <optional>
#include <utility>

#include "base/errors.h"
#include "base/version.h"
#include "proto/membership.pb.h"
#include "proto/rpc.pb.h"

namespace quoin::api {
namespace {

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
      if (target.Minor() != Version{present->major, present->minor - 1, 0})
        return Fail(errors::InvalidDowngradeTarget());
      if (cluster.downgrade.enabled) return Fail(errors::DowngradeInProgress());
      if (request_.action() == etcdserverpb::DowngradeRequest::ENABLE) return Set(/*enabled=*/true);
      Answer();
    });
  }

  void Set(bool enabled) {
    membershippb::DowngradeInfoSetRequest set;
    set.set_enabled(enabled);
    if (enabled) set.set_ver(ParseVersion(request_.version())->Minor().text());
    ProposeThen(state::Operation::kDowngradeInfoSet, set.SerializeAsString(),
                [this, enabled](const state::ApplyResult& result) {
                  // A cancellation always answers well, as etcd's does.
                  if (enabled && !result.status.ok()) return Fail(result.status);
                  Answer();
                });
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
