// member list, add, remove, update, promote; move-leader.
#include <fmt/format.h>

#include <ostream>

#include "config/url.h"
#include "ctl/families.h"
#include "ctl/kv_requests.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

// The one argument of commands that name a member; nullopt after printing the error.
std::optional<uint64_t> MemberArgument(Invocation& invocation) {
  if (invocation.arguments().size() != 1) {
    invocation.Fail(ExitCode::kBadArguments, "member ID is not provided");
    return std::nullopt;
  }
  const StatusOr<uint64_t> id = ParseUint(invocation.arguments()[0], 16);
  if (id.ok()) return *id;
  invocation.Fail(ExitCode::kBadArguments,
                  fmt::format("bad member ID arg ({}), expecting ID in Hex", Message(id.status())));
  return std::nullopt;
}

// What the new member is to be started with, as variables of its environment.
void PrintStartVariables(Invocation& invocation, const std::string& name,
                         const pb::MemberAddResponse& response) {
  std::vector<std::string> cluster;
  for (const pb::Member& member : response.members()) {
    const bool added = member.id() == response.member().id();
    if (!added && member.name().empty()) continue;
    for (const std::string& url : member.peerurls())
      cluster.push_back(fmt::format("{}={}", added ? name : member.name(), url));
  }
  const auto& urls = response.member().peerurls();
  invocation.out() << fmt::format(
      "\nETCD_NAME=\"{}\"\nETCD_INITIAL_CLUSTER=\"{}\"\nETCD_INITIAL_ADVERTISE_PEER_URLS=\"{}\"\n"
      "ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
      name, fmt::join(cluster, ","), fmt::join(urls.begin(), urls.end(), ","));
}

// What a mistyped URL would do to a cluster only its members would tell, some time later.
Status CheckUrls(const std::vector<std::string>& urls) {
  for (const std::string& url : urls) RETURN_IF_ERROR(config::ParseUrl(Stripped(url)).status());
  return OkStatus();
}

}  // namespace

ExitCode RunMemberList(Invocation& invocation) {
  const StatusOr<bool> serializable = IsSerializable(invocation.flags());
  if (!serializable.ok()) return invocation.FailRequest(serializable.status());
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  pb::MemberListRequest request;
  request.set_linearizable(!*serializable);
  const auto response = invocation.Call(client::kMemberList, request);
  if (!response.ok()) return invocation.FailCall(response.status());
  return invocation.Printed(invocation.printer().MemberList(*response));
}

ExitCode RunMemberAdd(Invocation& invocation) {
  if (invocation.arguments().empty())
    return invocation.Fail(ExitCode::kBadArguments, "member name not provided");
  if (invocation.arguments().size() > 1) {
    std::string problem = "too many arguments";
    const std::string& second = invocation.arguments()[1];
    if (second.find("://") != std::string::npos) problem += ", did you mean --peer-urls=" + second;
    return invocation.Fail(ExitCode::kBadArguments, problem);
  }
  const auto& urls = invocation.flags().List("peer-urls");
  if (urls.empty())
    return invocation.Fail(ExitCode::kBadArguments, "member peer urls not provided");
  if (const Status status = CheckUrls(urls); !status.ok())
    return invocation.Fail(ExitCode::kError, Message(status));
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  pb::MemberAddRequest request;
  for (const std::string& url : urls) request.add_peerurls(url);
  request.set_islearner(invocation.flags().Bool("learner"));
  const auto response = invocation.Call(client::kMemberAdd, request);
  if (!response.ok()) return invocation.FailCall(response.status());
  if (ExitCode code = invocation.Printed(invocation.printer().MemberAdd(*response));
      code != ExitCode::kOk) {
    return code;
  }
  if (invocation.printer().format() == "simple")
    PrintStartVariables(invocation, invocation.arguments()[0], *response);
  return ExitCode::kOk;
}

ExitCode RunMemberRemove(Invocation& invocation) {
  const auto id = MemberArgument(invocation);
  if (!id) return ExitCode::kBadArguments;
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  pb::MemberRemoveRequest request;
  request.set_id(*id);
  const auto response = invocation.Call(client::kMemberRemove, request);
  if (!response.ok()) return invocation.FailCall(response.status());
  return invocation.Printed(
      invocation.printer().MemberChange(*response, "removed from", *id, response->header()));
}

ExitCode RunMemberUpdate(Invocation& invocation) {
  const auto id = MemberArgument(invocation);
  if (!id) return ExitCode::kBadArguments;
  const auto& urls = invocation.flags().List("peer-urls");
  if (urls.empty())
    return invocation.Fail(ExitCode::kBadArguments, "member peer urls not provided");
  if (const Status status = CheckUrls(urls); !status.ok())
    return invocation.Fail(ExitCode::kError, Message(status));
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  pb::MemberUpdateRequest request;
  request.set_id(*id);
  for (const std::string& url : urls) request.add_peerurls(url);
  const auto response = invocation.Call(client::kMemberUpdate, request);
  if (!response.ok()) return invocation.FailCall(response.status());
  return invocation.Printed(
      invocation.printer().MemberChange(*response, "updated in", *id, response->header()));
}

ExitCode RunMemberPromote(Invocation& invocation) {
  const auto id = MemberArgument(invocation);
  if (!id) return ExitCode::kBadArguments;
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  pb::MemberPromoteRequest request;
  request.set_id(*id);
  const auto response = invocation.Call(client::kMemberPromote, request);
  if (!response.ok()) return invocation.FailCall(response.status());
  return invocation.Printed(
      invocation.printer().MemberChange(*response, "promoted in", *id, response->header()));
}

// The leader is found by asking every endpoint; it alone can hand the lead over.
ExitCode RunMoveLeader(Invocation& invocation) {
  if (invocation.arguments().size() != 1)
    return invocation.Fail(ExitCode::kBadArguments, "move-leader command needs 1 argument");
  const StatusOr<uint64_t> id = ParseUint(invocation.arguments()[0], 16);
  if (!id.ok()) return invocation.Fail(ExitCode::kBadArguments, Message(id.status()));
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  for (const std::string& endpoint : invocation.endpoints()) {
    auto client = invocation.ClientFor(endpoint);
    if (!client.ok()) return invocation.Fail(ExitCode::kError, Message(client.status()));
    const auto status =
        (*client)->Call(client::kStatus, pb::StatusRequest(), invocation.command_timeout());
    if (!status.ok()) return invocation.FailCall(status.status());
    if (status->header().member_id() != status->leader()) continue;
    pb::MoveLeaderRequest request;
    request.set_targetid(*id);
    const auto response =
        (*client)->Call(client::kMoveLeader, request, invocation.command_timeout());
    if (!response.ok()) return invocation.FailCall(response.status());
    return invocation.Printed(
        invocation.printer().MoveLeader(status->header().member_id(), *id, *response));
  }
  return invocation.Fail(
      ExitCode::kBadArguments,
      fmt::format("no leader endpoint given at [{}]", fmt::join(invocation.endpoints(), " ")));
}

}  // namespace quoin::ctl
