#include "config/support.h"

#include <array>
#include <utility>

#include "base/release.h"
#include "config/flag_table.h"
#include "config/text.h"

namespace quoin::config {
namespace {

// Gates that may be switched on but do nothing yet. The two BETA gates are on by default in etcd
// and describe how this server works anyway.
constexpr std::array<bool FeatureGates::*, 4> kGatesNotBuilt = {
    &FeatureGates::stop_grpc_service_on_defrag, &FeatureGates::lease_checkpoint_persist,
    &FeatureGates::set_member_local_addr, &FeatureGates::priority_request};

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

// Flags of etcd that it names as deprecated whenever they are given.
constexpr std::pair<std::string_view, std::string_view> kDeprecated[] = {
    {"max-snapshots", "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.7."},
    {"snapshot-count", "--snapshot-count is deprecated in 3.6 and will be decommissioned in 3.7."},
    {"v2-deprecation",
     "--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is "
     "enforced, ignoring user input."}};

void WarnOfDeprecated(Draft& draft) {
  if (!draft.config_file.empty()) return;
  for (const auto& [flag, text] : kDeprecated) {
    if (draft.given.contains(std::string(flag)))
      draft.notices.push_back({LogLevel::kWarn, std::string(text), {}});
  }
}

// TLS that is asked for beside http URLs is passed over, as etcd does, with its lines.
void WarnOfTlsBesideHttp(Draft& draft, const std::vector<Url>& urls, const TransportSecurity& tls,
                         std::string_view prefix, std::string_view field) {
  const bool files = !tls.cert_file.empty() || !tls.key_file.empty();
  for (const Url& url : urls) {
    if (files) {
      draft.notices.push_back({LogLevel::kWarn,
                               "scheme is http or unix while key and cert files are present; "
                               "ignoring key and cert files",
                               {{field, url.text()}}});
    }
    if (tls.client_cert_auth) {
      draft.notices.push_back({LogLevel::kWarn,
                               Cat("scheme is http or unix while --", prefix,
                                   "client-cert-auth is enabled; ignoring client cert auth for "
                                   "this URL"),
                               {{field, url.text()}}});
    }
  }
}

}  // namespace

Status CheckSupport(Draft& draft) {
  const Config& config = draft.config;
  std::vector<std::string> warned;
  for (const FlagGroup& group : FlagGroups()) {
    for (const FlagSpec& flag : group.flags) {
      if (flag.support == Support::kBuilt || flag.support == Support::kNoEffect) continue;
      if (!draft.given.contains(flag.name) || !DiffersFromDefault(flag, draft)) continue;
      if (flag.support == Support::kRefused) return Refuse(Cat("--", flag.name));
      warned.push_back(Cat("--", flag.name));
    }
  }
  RETURN_IF_ERROR(CheckTlsUrls(config.listen_client_urls, "listen-client-urls"));
  RETURN_IF_ERROR(CheckTlsUrls(config.listen_client_http_urls, "listen-client-http-urls"));
  RETURN_IF_ERROR(CheckTlsUrls(config.listen_peer_urls, "listen-peer-urls"));
  RETURN_IF_ERROR(CheckTlsUrls(config.listen_metrics_urls, "listen-metrics-urls"));
  WarnOfDeprecated(draft);
  WarnOfTlsBesideHttp(draft, config.listen_peer_urls, config.peer_tls, "peer-", "peer-url");
  WarnOfTlsBesideHttp(draft, config.listen_client_urls, config.client_tls, "", "client-url");
  WarnOfTlsBesideHttp(draft, config.listen_client_http_urls, config.client_tls, "", "client-url");
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
