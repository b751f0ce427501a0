// defrag, alarm list, alarm disarm, downgrade.
#include <fmt/format.h>

#include <ostream>

#include "client/error_text.h"
#include "ctl/families.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

Status DefragmentEndpoint(Invocation& invocation, const std::string& endpoint) {
  ASSIGN_OR_RETURN(const auto client, invocation.ClientFor(endpoint));
  const Status status =
      client->Call(client::kDefragment, pb::DefragmentRequest(), invocation.command_timeout())
          .status();
  if (!status.ok()) invocation.LogFailedCall(endpoint, status);
  return status;
}

pb::AlarmRequest Disarming(const pb::AlarmMember& alarm) {
  pb::AlarmRequest request;
  request.set_action(pb::AlarmRequest::DEACTIVATE);
  request.set_memberid(alarm.memberid());
  request.set_alarm(alarm.alarm());
  return request;
}

// Sends the request; `word` is the subcommand's.
ExitCode AskForDowngrade(Invocation& invocation, std::string_view word,
                         const pb::DowngradeRequest& request) {
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const auto response = invocation.Call(client::kDowngrade, request);
  if (!response.ok()) return invocation.FailCall(response.status());
  return invocation.Printed(invocation.printer().Downgrade(word, *response));
}

ExitCode RunDowngradeTo(Invocation& invocation, std::string_view word,
                        pb::DowngradeRequest::DowngradeAction action) {
  if (invocation.arguments().empty())
    return invocation.Fail(ExitCode::kBadArguments, "TARGET_VERSION not provided");
  if (invocation.arguments().size() > 1)
    return invocation.Fail(ExitCode::kBadArguments, "too many arguments");
  if (invocation.arguments()[0].empty())
    return invocation.Fail(ExitCode::kBadArguments, "target version not provided");
  pb::DowngradeRequest request;
  request.set_action(action);
  request.set_version(invocation.arguments()[0]);
  return AskForDowngrade(invocation, word, request);
}

}  // namespace

ExitCode RunDefrag(Invocation& invocation) {
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const auto endpoints = EndpointsOrCluster(invocation);
  if (!endpoints) return ExitCode::kError;
  ExitCode result = ExitCode::kOk;
  for (const std::string& endpoint : *endpoints) {
    const env::Duration started = invocation.world().env.clock().Now();
    const Status status = DefragmentEndpoint(invocation, endpoint);
    const std::string took = FormatDuration(invocation.world().env.clock().Now() - started);
    if (status.ok()) {
      invocation.out() << fmt::format("Finished defragmenting etcd member[{}]. took {}\n", endpoint,
                                      took)
                       << std::flush;
    } else {
      invocation.err() << fmt::format("Failed to defragment etcd member[{}]. took {}. ({})\n",
                                      endpoint, took, client::ErrorText(status));
      result = ExitCode::kError;
    }
  }
  return result;
}

ExitCode RunAlarmList(Invocation& invocation) {
  if (!invocation.arguments().empty()) {
    return invocation.Fail(ExitCode::kBadArguments, "alarm list command accepts no arguments");
  }
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const auto response = invocation.Call(client::kAlarmList, pb::AlarmRequest());
  if (!response.ok()) return invocation.FailCall(response.status());
  return invocation.Printed(invocation.printer().Alarms(*response));
}

ExitCode RunAlarmDisarm(Invocation& invocation) {
  if (!invocation.arguments().empty()) {
    return invocation.Fail(ExitCode::kBadArguments, "alarm disarm command accepts no arguments");
  }
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const auto active = invocation.Call(client::kAlarmList, pb::AlarmRequest());
  if (!active.ok()) return invocation.FailCall(active.status());
  pb::AlarmResponse disarmed;  // without a header: it stands for several answers
  for (const pb::AlarmMember& alarm : active->alarms()) {
    const auto response = invocation.Call(client::kAlarm, Disarming(alarm));
    if (!response.ok()) return invocation.FailCall(response.status());
    disarmed.mutable_alarms()->MergeFrom(response->alarms());
  }
  return invocation.Printed(invocation.printer().Alarms(disarmed));
}

ExitCode RunDowngradeValidate(Invocation& invocation) {
  return RunDowngradeTo(invocation, "validate", pb::DowngradeRequest::VALIDATE);
}

ExitCode RunDowngradeEnable(Invocation& invocation) {
  return RunDowngradeTo(invocation, "enable", pb::DowngradeRequest::ENABLE);
}

ExitCode RunDowngradeCancel(Invocation& invocation) {
  pb::DowngradeRequest request;
  request.set_action(pb::DowngradeRequest::CANCEL);
  return AskForDowngrade(invocation, "cancel", request);
}

}  // namespace quoin::ctl
