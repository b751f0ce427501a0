// endpoint health, endpoint status, endpoint hashkv.
#include <fmt/format.h>

#include <ostream>

#include "base/errors.h"
#include "client/error_text.h"
#include "ctl/families.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

// A health check of one endpoint: a linearizable read of any key, then a look at the alarms. Many
// run side by side: each step is started for all endpoints before the first answer is waited for.
class HealthCheck {
 public:
  HealthCheck(Invocation& invocation, const std::string& endpoint) : invocation_(invocation) {
    result_.endpoint = endpoint;
    StatusOr<std::unique_ptr<client::Client>> client = invocation.ClientFor(endpoint);
    if (!client.ok()) {
      result_.error = Message(client.status());
      return;
    }
    client_ = *std::move(client);
    pb::RangeRequest request;
    request.set_key("health");
    read_.emplace(client_->Start(client::kRange, request, invocation.command_timeout()));
  }

  // Waits for the read and asks for the alarms.
  void GoOn() {
    if (!read_) return;
    const StatusOr<pb::RangeResponse> read = read_->Wait();
    result_.took = FormatDuration(read_->took());
    // A refusal went through consensus as well.
    if (!read.ok() && read.status() != errors::PermissionDenied()) {
      invocation_.LogFailedCall(result_.endpoint, read.status());
      result_.error = client::ErrorText(read.status());
      return;
    }
    const env::Duration rest = invocation_.command_timeout() - read_->took();
    alarms_.emplace(client_->Start(client::kAlarmList, pb::AlarmRequest(), rest));
  }

  // Waits for the alarms.
  EndpointHealth Finish() {
    if (!alarms_) return result_;
    const StatusOr<pb::AlarmResponse> response = alarms_->Wait();
    if (!response.ok()) {
      result_.error = "Unable to fetch the alarm list";
    } else if (!response->alarms().empty()) {
      result_.error = "Active Alarm(s): ";
      for (const pb::AlarmMember& alarm : response->alarms()) {
        const bool known = alarm.alarm() == pb::NOSPACE || alarm.alarm() == pb::CORRUPT;
        result_.error += known ? pb::AlarmType_Name(alarm.alarm()) : "UNKNOWN";
        result_.error += ' ';
      }
    }
    result_.healthy = result_.error.empty();
    return result_;
  }

 private:
  Invocation& invocation_;
  EndpointHealth result_;
  std::unique_ptr<client::Client> client_;
  std::optional<client::Pending<pb::RangeResponse>> read_;
  std::optional<client::Pending<pb::AlarmResponse>> alarms_;
};

// One call to one endpoint alone.
template <typename Method>
StatusOr<typename Method::Response> CallEndpoint(Invocation& invocation,
                                                 const std::string& endpoint, const Method& method,
                                                 const typename Method::Request& request) {
  ASSIGN_OR_RETURN(const auto client, invocation.ClientFor(endpoint));
  auto response = client->Call(method, request, invocation.command_timeout());
  if (!response.ok()) invocation.LogFailedCall(endpoint, response.status());
  return response;
}

}  // namespace

std::optional<std::vector<std::string>> EndpointsOrCluster(Invocation& invocation) {
  if (!invocation.flags().Bool("cluster")) return invocation.endpoints();
  pb::MemberListRequest request;
  request.set_linearizable(true);
  const auto response = invocation.Call(client::kMemberList, request);
  if (!response.ok()) {
    invocation.Fail(ExitCode::kError,
                    fmt::format("failed to fetch endpoints from etcd cluster member list: {}",
                                client::ErrorText(response.status())));
    return std::nullopt;
  }
  std::vector<std::string> endpoints;
  for (const pb::Member& member : response->members()) {
    endpoints.insert(endpoints.end(), member.clienturls().begin(), member.clienturls().end());
  }
  return endpoints;
}

ExitCode RunEndpointHealth(Invocation& invocation) {
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const auto endpoints = EndpointsOrCluster(invocation);
  if (!endpoints) return ExitCode::kError;
  std::vector<std::unique_ptr<HealthCheck>> checks;
  for (const std::string& endpoint : *endpoints)
    checks.push_back(std::make_unique<HealthCheck>(invocation, endpoint));
  for (const auto& check : checks) check->GoOn();
  std::vector<EndpointHealth> results;
  bool all_healthy = true;
  for (const auto& check : checks) {
    results.push_back(check->Finish());
    all_healthy = all_healthy && results.back().error.empty();
  }
  if (ExitCode code = invocation.Printed(invocation.printer().Health(results));
      code != ExitCode::kOk)
    return code;
  return all_healthy ? ExitCode::kOk : invocation.Fail(ExitCode::kError, "unhealthy cluster");
}

ExitCode RunEndpointStatus(Invocation& invocation) {
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const auto endpoints = EndpointsOrCluster(invocation);
  if (!endpoints) return ExitCode::kError;
  std::vector<EndpointStatus> results;
  for (const std::string& endpoint : *endpoints) {
    auto response = CallEndpoint(invocation, endpoint, client::kStatus, pb::StatusRequest());
    if (response.ok()) {
      results.push_back({endpoint, *std::move(response)});
    } else {
      invocation.err() << fmt::format("Failed to get the status of endpoint {} ({})\n", endpoint,
                                      client::ErrorText(response.status()));
    }
  }
  if (ExitCode code = invocation.Printed(invocation.printer().Statuses(results));
      code != ExitCode::kOk)
    return code;
  return results.size() == endpoints->size() ? ExitCode::kOk : ExitCode::kError;
}

ExitCode RunEndpointHashKv(Invocation& invocation) {
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const auto endpoints = EndpointsOrCluster(invocation);
  if (!endpoints) return ExitCode::kError;
  pb::HashKVRequest request;
  request.set_revision(invocation.flags().Int("rev"));
  std::vector<EndpointHashKv> results;
  for (const std::string& endpoint : *endpoints) {
    auto response = CallEndpoint(invocation, endpoint, client::kHashKv, request);
    if (response.ok()) {
      results.push_back({endpoint, *std::move(response)});
    } else {
      invocation.err() << fmt::format("Failed to get the hash of endpoint {} ({})\n", endpoint,
                                      client::ErrorText(response.status()));
    }
  }
  if (ExitCode code = invocation.Printed(invocation.printer().Hashes(results));
      code != ExitCode::kOk)
    return code;
  return results.size() == endpoints->size() ? ExitCode::kOk : ExitCode::kError;
}

}  // namespace quoin::ctl
