#include "config/support.h"

#include <array>

#include "config/flag_table.h"
#include "config/text.h"

namespace quoin::config {
namespace {

// Gates that may be switched on but do nothing yet. The two BETA gates are on by default in etcd
// and describe how this server works anyway.
constexpr std::array<bool FeatureGates::*, 5> kGatesNotBuilt = {
    &FeatureGates::stop_grpc_service_on_defrag, &FeatureGates::lease_checkpoint,
    &FeatureGates::lease_checkpoint_persist, &FeatureGates::set_member_local_addr,
    &FeatureGates::priority_request};

Status Refuse(std::string_view what) {
  return Invalid(Cat(what, " is not built in quoin ", kQuoinVersion,
                     ", and starting without it would not be what you asked for"));
}

Status CheckTlsUrls(const std::vector<Url>& urls, std::string_view flag) {
  for (const Url& url : urls) {
    if (url.is_tls()) return Refuse(Cat("TLS (--", flag, "=", url.text(), ")"));
  }
  return OkStatus();
}

}  // namespace

Status CheckSupport(Draft& draft) {
  const Config& config = draft.config;
  std::vector<std::string> warned;
  for (const FlagGroup& group : FlagGroups()) {
    for (const FlagSpec& flag : group.flags) {
      if (flag.support != Support::kRefused && flag.support != Support::kWarned) continue;
      if (!draft.given.contains(flag.name) || !DiffersFromDefault(flag, draft)) continue;
      if (flag.support == Support::kRefused) return Refuse(Cat("--", flag.name));
      warned.push_back(Cat("--", flag.name));
    }
  }
  RETURN_IF_ERROR(CheckTlsUrls(config.listen_client_urls, "listen-client-urls"));
  RETURN_IF_ERROR(CheckTlsUrls(config.listen_client_http_urls, "listen-client-http-urls"));
  RETURN_IF_ERROR(CheckTlsUrls(config.listen_peer_urls, "listen-peer-urls"));
  RETURN_IF_ERROR(CheckTlsUrls(config.listen_metrics_urls, "listen-metrics-urls"));
  if (config.auth_token == "jwt" || config.auth_token.starts_with("jwt,"))
    return Refuse("--auth-token=jwt");
  size_t gates_count = 0;
  const FeatureGateInfo* gates = FeatureGateTable(&gates_count);
  for (size_t i = 0; i < gates_count; ++i) {
    for (auto gate : kGatesNotBuilt) {
      if (gates[i].value == gate && config.feature_gates.*gate) {
        warned.push_back(Cat("--feature-gates=", gates[i].name));
      }
    }
  }
  for (const std::string& output : config.logging.outputs) {
    if (output == "systemd/journal") warned.push_back("--log-outputs=systemd/journal");
  }
  if (!warned.empty()) {
    draft.notices.push_back(
        {LogLevel::kWarn, "flags without effect in this release", {{"flags", warned}}});
  }
  return OkStatus();
}

}  // namespace quoin::config
