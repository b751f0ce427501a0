#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <utility>

#include "base/check.h"
#include "cli/program.h"
#include "client/error_text.h"
#include "ctl/command.h"
#include "ctl/go_json.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

constexpr std::string_view kEnvironmentPrefix = "ETCDCTL_";
// What --dial-timeout=0s means: the command's own timeout ends it.
constexpr env::Duration kNoDialLimit = std::chrono::hours(24 * 365);

std::string EnvironmentName(std::string_view flag) {
  return fmt::format("{}{}", kEnvironmentPrefix, ReplaceAll(Upper(flag), "-", "_"));
}

// Variables with the prefix that are no flags: one chose the API once, two belong to `watch` alone.
bool IsKnownVariable(std::string_view name) {
  return name == "ETCDCTL_API" || name == "ETCDCTL_WATCH_KEY" || name == "ETCDCTL_WATCH_RANGE_END";
}

}  // namespace

Invocation::Invocation(World& world, std::vector<const Command*> path, Flags flags,
                       std::vector<std::string> arguments)
    : cli::Invocation(TheProgram(), world.console, std::move(path), std::move(flags),
                      std::move(arguments)),
      world_(world) {}

ExitCode Invocation::FailRequest(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
      return Fail(ExitCode::kBadArguments, Message(status));
    case StatusCode::kUnimplemented:
      return Fail(ExitCode::kBadFeature, Message(status));
    case StatusCode::kOutOfRange:
      return Fail(ExitCode::kInvalidInput, Message(status));
    default:
      return Fail(ExitCode::kError, Message(status));
  }
}

void Invocation::Log(std::string_view level, std::string_view message, const LogFields& fields) {
  std::string line = fmt::format(
      "{{\"level\":\"{}\",\"ts\":\"{}\",\"logger\":\"etcd-client\",\"msg\":", level,
      cli::Timestamp(std::chrono::floor<std::chrono::milliseconds>(world_.env.clock().WallNow())));
  AppendJsonString(line, message);
  for (const auto& [name, value] : fields) {
    line += fmt::format(",\"{}\":", name);
    AppendJsonString(line, value);
  }
  out().flush();
  err() << line << "}\n";
}

void Invocation::LogFailedCall(std::string_view endpoint, const Status& status) {
  Log("warn", "retrying of unary invoker failed",
      {{"target", fmt::format("etcd-endpoints://{}", endpoint)},
       {"error", client::RpcErrorText(status)}});
}

ExitCode Invocation::FailCall(const Status& status) {
  LogFailedCall(fmt::format("{}", fmt::join(endpoints(), ",")), status);
  const bool no_login = client::IsLoginFailure(status);
  return Fail(no_login ? ExitCode::kBadConnection : ExitCode::kError, client::ErrorText(status));
}

ExitCode Invocation::Printed(const Status& status) {
  return status.ok() ? ExitCode::kOk : Fail(ExitCode::kBadFeature, Message(status));
}

ExitCode Invocation::TakeEnvironment() {
  for (const FlagSpec& flag : GlobalFlags()) {
    const std::string name = EnvironmentName(flag.name);
    const auto variable = world_.environment.find(name);
    if (variable == world_.environment.end() || variable->second.empty()) continue;
    if (flags().Changed(flag.name)) {
      Log("fatal",
          "conflicting environment variable is shadowed by corresponding command-line flag (either "
          "unset environment "
          "variable or disable flag))",
          {{"environment-variable", name}});
      return ExitCode::kError;
    }
    if (Status status = mutable_flags().Set(flag.name, variable->second); !status.ok()) {
      Log("warn", "ignored an environment variable whose value means nothing",
          {{"environment-variable", name}, {"error", std::string(Message(status))}});
    }
  }
  for (const auto& [name, value] : world_.environment) {
    if (!name.starts_with(kEnvironmentPrefix) || IsKnownVariable(name)) continue;
    const auto global = GlobalFlags();
    if (std::any_of(global.begin(), global.end(),
                    [&](const FlagSpec& flag) { return EnvironmentName(flag.name) == name; }) &&
        !value.empty()) {
      continue;
    }
    Log("warn", "unrecognized environment variable",
        {{"environment-variable", fmt::format("{}={}", name, value)}});
  }
  return ExitCode::kOk;
}

ExitCode Invocation::Connect() {
  if (ExitCode code = TakeEnvironment(); code != ExitCode::kOk) return code;
  if (flags().Bool("debug")) {
    for (const FlagSpec& flag : GlobalFlags())
      err() << EnvironmentName(flag.name) << '=' << flags().Text(flag.name) << '\n';
  }
  PrinterOptions options;
  options.hex = flags().Bool("hex");
  options.values_only =
      flags().Find("print-value-only") != nullptr && flags().Bool("print-value-only");
  printer_ = MakePrinter(flags().String("write-out"), options, out(), err());
  if (printer_ == nullptr) return Fail(ExitCode::kBadFeature, "unsupported output format");
  if (endpoints().empty())
    return Fail(ExitCode::kBadConnection, "etcdclient: no available endpoints");
  StatusOr<client::ClientOptions> client_options = MakeClientOptions(endpoints());
  if (!client_options.ok()) return FailRequest(client_options.status());
  client_options_ = *std::move(client_options);
  return ExitCode::kOk;
}

Status Invocation::TakeCredentials(const std::string& prefix, std::string_view prompt,
                                   std::optional<std::string>& asked,
                                   client::ClientOptions& options) {
  const std::string& user = flags().String(prefix + "user");
  if (user.empty()) return OkStatus();
  options.user = user;
  options.password = flags().String(prefix + "password");
  if (!options.password.empty()) return OkStatus();
  if (const size_t colon = user.find(':'); colon != std::string::npos) {
    options.user = user.substr(0, colon);
    options.password = user.substr(colon + 1);
    return OkStatus();
  }
  if (!asked) {
    ASSIGN_OR_RETURN(asked, world_.console.ask_secret(prompt));
  }
  options.password = *asked;
  return OkStatus();
}

StatusOr<client::ClientOptions> Invocation::MakeClientOptions(
    std::span<const std::string> endpoints) {
  if (!flags().String("discovery-srv").empty()) {
    return absl::UnimplementedError(
        "--discovery-srv is not supported; name the servers with --endpoints");
  }
  client::ClientOptions options;
  bool tls = !flags().Bool("insecure-transport");
  for (std::string_view name : {"cert", "key", "cacert"}) {
    if (flags().Changed(name) && flags().String(name).empty()) {
      return absl::InvalidArgumentError(fmt::format("empty string is passed to --{} option", name));
    }
    tls |= !flags().String(name).empty();
  }
  for (const std::string& text : endpoints) {
    ASSIGN_OR_RETURN(client::Endpoint endpoint, client::ParseEndpoint(text));
    tls |= endpoint.tls;
    options.endpoints.push_back(std::move(endpoint));
  }
  if (tls) return absl::UnimplementedError("TLS connections are not supported yet");
  options.channel.dial_timeout = dial_timeout();
  options.channel.keepalive_time = flags().Duration("keepalive-time");
  options.channel.keepalive_timeout = flags().Duration("keepalive-timeout");
  const int64_t receive_max = flags().Int("max-recv-bytes");
  options.channel.receive_message_bytes_max =
      receive_max > 0 ? static_cast<size_t>(receive_max) : INT32_MAX;
  const int64_t send_max = flags().Int("max-request-bytes");
  if (send_max > 0) options.send_message_bytes_max = static_cast<size_t>(send_max);
  options.token = flags().String("auth-jwt-token");
  RETURN_IF_ERROR(TakeCredentials("", "Password: ", asked_password_, options));
  return options;
}

env::Duration Invocation::dial_timeout() const {
  const env::Duration given = flags().Duration("dial-timeout");
  return given > env::Duration(0) ? given : kNoDialLimit;
}

client::Client& Invocation::client() {
  CHECK(printer_ != nullptr) << "Connect() comes first";
  if (client_ == nullptr)
    client_ = std::make_unique<client::Client>(world_.env, world_.loop, client_options_);
  return *client_;
}

StatusOr<std::unique_ptr<client::Client>> Invocation::ClientFor(std::string_view endpoint) {
  CHECK(printer_ != nullptr) << "Connect() comes first";
  const std::string text(endpoint);
  ASSIGN_OR_RETURN(client::ClientOptions options, MakeClientOptions(std::span(&text, 1)));
  return std::make_unique<client::Client>(world_.env, world_.loop, std::move(options));
}

ExitCode RunProgram(World& world, std::span<const std::string> arguments) {
  return cli::RunProgram(
      TheProgram(), world.console, arguments,
      [&](std::vector<const Command*> path, Flags flags, std::vector<std::string> rest) {
        Invocation invocation(world, std::move(path), std::move(flags), std::move(rest));
        return invocation.command().run(invocation);
      });
}

}  // namespace quoin::ctl
