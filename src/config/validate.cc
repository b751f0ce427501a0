#include "config/validate.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <map>

#include "base/limits.h"
#include "config/auto_compaction.h"
#include "config/default_host.h"
#include "config/go_values.h"
#include "config/support.h"
#include "config/text.h"

namespace quoin::config {
namespace {

constexpr uint64_t kElectionMsMax = 50000;
constexpr uint64_t kIoThreadsMax = 64;
constexpr uint64_t kCacheBytesMin = 1 << 20;
constexpr uint64_t kRecommendedRequestBytes = 10 * 1024 * 1024;
constexpr uint64_t kBcryptCostMin = 4;
constexpr uint64_t kBcryptCostMax = 31;
constexpr uint64_t kBcryptCostDefault = 10;

void Warn(Draft& draft, std::string message, std::vector<LogField> fields = {}) {
  draft.notices.push_back({LogLevel::kWarn, std::move(message), std::move(fields)});
}

bool IsDecimalIpv4(std::string_view host) {
  std::vector<std::string> parts = Split(host, '.');
  return parts.size() == 4 && std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
           if (part.empty() || part.size() > 3 || (part.size() > 1 && part[0] == '0')) return false;
           return std::all_of(part.begin(), part.end(),
                              [](char c) { return c >= '0' && c <= '9'; }) &&
                  std::stoi(part) <= 255;
         });
}

// Hexadecimal groups between colons; a stricter look is the listener's.
bool IsIpv6(std::string_view host) {
  return std::count(host.begin(), host.end(), ':') >= 2 &&
         host.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

Status CheckBindUrls(const std::vector<Url>& urls) {
  for (const Url& url : urls) {
    std::string host = url.hostname();
    if (url.is_unix() || host == "localhost" || IsDecimalIpv4(host) || IsIpv6(host)) continue;
    return Invalid(Cat("expected IP in URL for binding (", url.text(), ")"));
  }
  return OkStatus();
}

Status CheckHostUrls(const std::vector<Url>& urls) {
  for (const Url& url : urls) {
    if (!url.is_unix() && url.hostname().empty()) {
      return Invalid(Cat("unexpected empty host (", url.text(), ")"));
    }
  }
  return OkStatus();
}

Status ValidateUrls(Draft& draft) {
  const Config& config = draft.config;
  RETURN_IF_ERROR(CheckBindUrls(config.listen_peer_urls));
  RETURN_IF_ERROR(CheckBindUrls(config.listen_client_urls));
  RETURN_IF_ERROR(CheckBindUrls(config.listen_client_http_urls));
  if (config.listen_client_http_urls.empty()) {
    Warn(draft,
         "Running http and grpc server on single port. This is not recommended for production.");
  }
  RETURN_IF_ERROR(CheckBindUrls(config.listen_metrics_urls));
  if (Status status = CheckHostUrls(config.initial_advertise_peer_urls); !status.ok()) {
    std::string urls = Join(UrlTexts(config.initial_advertise_peer_urls), ",");
    return Invalid(Cat("--initial-advertise-peer-urls ", Quote(urls), " must be \"host:port\" (",
                       Message(status), ")"));
  }
  if (Status status = CheckHostUrls(config.advertise_client_urls); !status.ok()) {
    std::string urls = Join(UrlTexts(config.advertise_client_urls), ",");
    return Invalid(Cat("--advertise-client-urls ", Quote(urls),
                       " must be in the format \"host:port\", \"unix:/path/to/socket\" or "
                       "\"unixs:/path/to/socket\" (",
                       Message(status), ")"));
  }
  return OkStatus();
}

Status ValidateBootstrap(Draft& draft) {
  Config& config = draft.config;
  const Discovery& discovery = config.discovery;
  if (draft.initial_cluster_state != "new" && draft.initial_cluster_state != "existing") {
    return Invalid(Cat("unexpected clusterState ", Quote(draft.initial_cluster_state)));
  }
  bool other_ways =
      !discovery.srv.empty() || !discovery.srv_name.empty() || !discovery.endpoints.empty();
  if (other_ways && !draft.given.contains("initial-cluster")) config.initial_cluster.clear();
  int ways =
      !config.initial_cluster.empty() + !discovery.srv.empty() + !discovery.endpoints.empty();
  if (ways > 1) {
    return Invalid(
        "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", "
        "\"discovery-endpoints\" or "
        "\"discovery-srv\"");
  }
  if (discovery.token.empty() != discovery.endpoints.empty()) {
    return Invalid("both --discovery-token and --discovery-endpoints must be set");
  }
  for (const std::string& endpoint : discovery.endpoints) {
    if (TrimSpace(endpoint).empty())
      return Invalid("--discovery-endpoints must not contain empty endpoints");
  }
  return OkStatus();
}

Status ValidateTimes(const Config& config) {
  uint64_t heartbeat = config.heartbeat_interval_ms;
  uint64_t election = config.election_timeout_ms;
  if (heartbeat == 0) return Invalid("--heartbeat-interval must be >0 (set to 0ms)");
  if (election == 0) return Invalid("--election-timeout must be >0 (set to 0ms)");
  if (heartbeat > UINT64_MAX / 5 || 5 * heartbeat > election) {
    return Invalid(Cat("--election-timeout[", election,
                       "ms] should be at least as 5 times as --heartbeat-interval[", heartbeat,
                       "ms]"));
  }
  if (election > kElectionMsMax) {
    return Invalid(Cat("--election-timeout[", election,
                       "ms] is too long, and should be set less than ", kElectionMsMax, "ms"));
  }
  return OkStatus();
}

Status ValidateGates(Draft& draft) {
  const FeatureGates& gates = draft.config.feature_gates;
  if (gates.lease_checkpoint && !gates.lease_checkpoint_persist) {
    Warn(draft,
         "Detected that checkpointing is enabled without persistence. Consider enabling feature "
         "gate "
         "LeaseCheckpointPersist");
  }
  if (gates.lease_checkpoint_persist && !gates.lease_checkpoint) {
    return Invalid(
        "enabling feature gate LeaseCheckpointPersist requires enabling feature gate "
        "LeaseCheckpoint");
  }
  return OkStatus();
}

StatusOr<int> TlsVersion(const std::string& text) {
  if (text.empty()) return 0;
  if (text == "TLS1.2") return 2;
  if (text == "TLS1.3") return 3;
  return Invalid(Cat("unexpected TLS version ", Quote(text), " (must be one of: TLS1.2, TLS1.3)"));
}

Status ValidateTls(const Config& config) {
  ASSIGN_OR_RETURN(int min, TlsVersion(config.tls_min_version));
  ASSIGN_OR_RETURN(int max, TlsVersion(config.tls_max_version));
  if (max != 0 && min > max) {
    return Invalid(Cat("min version (", config.tls_min_version, ") is greater than max version (",
                       config.tls_max_version, ")"));
  }
  if (min == 3 && !config.cipher_suites.empty()) {
    return Invalid("cipher suites cannot be configured when only TLS1.3 is enabled");
  }
  return OkStatus();
}

Status ValidateOwn(Draft& draft) {
  const Config& config = draft.config;
  if (config.io_threads == 0 || config.io_threads > kIoThreadsMax) {
    return Invalid(
        Cat("--io-threads must be 1 to ", kIoThreadsMax, " (set to ", config.io_threads, ")"));
  }
  if (config.cache_bytes < kCacheBytesMin) {
    return Invalid(Cat("--cache-bytes must be at least ", kCacheBytesMin, " (set to ",
                       config.cache_bytes, ")"));
  }
  if (config.memory_limit < limits::kMemoryLimitMin) {
    return Invalid(Cat("--memory-limit must be at least ", limits::kMemoryLimitMin, " (set to ",
                       config.memory_limit, ")"));
  }
  if (config.checkpoint_interval <= Duration(0)) {
    return Invalid(Cat("--checkpoint-interval must be >0 (set to ",
                       FormatDuration(config.checkpoint_interval), ")"));
  }
  return OkStatus();
}

Duration DefaultWhenZero(Duration value, Duration fallback) {
  return value.count() == 0 ? fallback : value;
}
template <typename T>
T DefaultWhenZero(T value, T fallback) {
  return value == 0 ? fallback : value;
}

void ResolveDefaults(Config& config) {
  const Config fresh;
  config.snapshot_count = DefaultWhenZero(config.snapshot_count, fresh.snapshot_count);
  config.snapshot_catchup_entries =
      DefaultWhenZero(config.snapshot_catchup_entries, fresh.snapshot_catchup_entries);
  config.backend_batch_interval =
      DefaultWhenZero(config.backend_batch_interval, fresh.backend_batch_interval);
  config.backend_batch_limit =
      DefaultWhenZero(config.backend_batch_limit, fresh.backend_batch_limit);
  config.compaction_batch_limit =
      DefaultWhenZero(config.compaction_batch_limit, fresh.compaction_batch_limit);
  config.compaction_sleep_interval =
      DefaultWhenZero(config.compaction_sleep_interval, fresh.compaction_sleep_interval);
  config.warning_unary_request_duration =
      DefaultWhenZero(config.warning_unary_request_duration, fresh.warning_unary_request_duration);
  config.watch_progress_notify_interval = std::max<Duration>(
      DefaultWhenZero(config.watch_progress_notify_interval, fresh.watch_progress_notify_interval),
      std::chrono::milliseconds(100));
  config.quota_backend_bytes =
      config.quota_backend_bytes < 0
          ? 0
          : DefaultWhenZero(config.quota_backend_bytes, fresh.quota_backend_bytes);
  if (config.backend_freelist_type != "array") config.backend_freelist_type = "map";
}

void ResolveRaftTimeouts(Draft& draft) {
  constexpr Duration kMin = std::chrono::seconds(5);
  auto raise = [&](Duration& value, std::string_view name) {
    if (value >= kMin) return;
    value = kMin;
    draft.notices.push_back({LogLevel::kInfo, Cat(name, " increased to minimum value: 5s"), {}});
  };
  raise(draft.config.raft_read_timeout, "raft-read-timeout");
  raise(draft.config.raft_write_timeout, "raft-write-timeout");
}

// Wildcard listeners and default advertised URLs: the machine's own address is advertised instead
// of localhost.
void ResolveHost(Draft& draft, env::BlockingFileSystem& files) {
  Config& config = draft.config;
  auto wants = [](const std::vector<Url>& advertised, const std::vector<Url>& listening,
                  std::string_view usual) {
    return advertised.size() == 1 && advertised[0].text() == usual && !listening.empty() &&
           listening[0].hostname() == "0.0.0.0";
  };
  bool peer =
      wants(config.initial_advertise_peer_urls, config.listen_peer_urls, "http://localhost:2380");
  bool client =
      wants(config.advertise_client_urls, config.listen_client_urls, "http://localhost:2379");
  if (!peer && !client) return;
  StatusOr<std::string> host = DefaultHost(files);
  if (!host.ok()) {
    draft.notices.push_back(
        {LogLevel::kInfo, "failed to detect default host", {{"error", Message(host.status())}}});
    return;
  }
  if (peer)
    config.initial_advertise_peer_urls[0].host = Cat(*host, ":", config.listen_peer_urls[0].port());
  if (client)
    config.advertise_client_urls[0].host = Cat(*host, ":", config.listen_client_urls[0].port());
  draft.notices.push_back(
      {LogLevel::kInfo, "detected default host for advertise", {{"host", *host}}});
}

Status CheckAuthToken(const std::string& text) {
  const Status invalid = Invalid("auth: invalid auth options");
  std::vector<std::string> parts = Split(text, ',');
  std::set<std::string> names;
  for (size_t i = 1; i < parts.size(); ++i) {
    std::vector<std::string> pair = Split(parts[i], '=');
    if (pair.size() != 2 || !names.insert(pair[0]).second) return invalid;
  }
  if (parts[0] != "simple" && !parts[0].empty() && parts[0] != "jwt") return invalid;
  return OkStatus();
}

// One port cannot tell which of the two it is to be.
Status CheckSharedUrls(const Config& config) {
  for (const Url& url : config.listen_client_http_urls) {
    for (const Url& other : config.listen_client_urls) {
      if (url.address() == other.address()) {
        return Invalid(
            Cat("cannot bind both --client-listen-urls and --client-listen-http-urls on the same "
                "url ",
                url.text()));
      }
    }
  }
  return OkStatus();
}

}  // namespace

Status ValidateLogging(Draft& draft) {
  // zap's names, in any case.
  static const std::map<std::string, LogLevel> kLevels = {
      {"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo},   {"warn", LogLevel::kWarn},
      {"error", LogLevel::kError}, {"panic", LogLevel::kPanic}, {"fatal", LogLevel::kFatal},
      {"dpanic", LogLevel::kPanic}};
  Logging& logging = draft.config.logging;
  if (draft.logger == "capnslog") return Invalid("--logger=capnslog is removed in v3.5");
  if (draft.logger != "zap") return Invalid(Cat("unknown logger option ", Quote(draft.logger)));
  const std::vector<std::string>& outputs = logging.outputs;
  if (outputs.size() > 1 && std::find(outputs.begin(), outputs.end(), "default") != outputs.end()) {
    return Invalid("multi logoutput for \"default\" is not supported yet");
  }
  if (draft.log_format != "json" && draft.log_format != "console" && !draft.log_format.empty()) {
    return Invalid(
        Cat("unknown log format: ", draft.log_format, ", supported values json, console"));
  }
  logging.format = draft.log_format == "console" ? LogFormat::kConsole : LogFormat::kJson;
  const std::string name = absl::AsciiStrToLower(draft.log_level);
  const auto level = kLevels.find(name.empty() ? "info" : name);
  if (level == kLevels.end())
    return absl::AbortedError(Cat("unrecognized level: ", Quote(draft.log_level)));
  logging.level = level->second;
  return OkStatus();
}

Status Validate(Draft& draft) {
  Config& config = draft.config;
  if (draft.discovery_fallback == "proxy") {
    return Invalid(
        "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"");
  }
  RETURN_IF_ERROR(ValidateUrls(draft));
  RETURN_IF_ERROR(ValidateBootstrap(draft));
  RETURN_IF_ERROR(ValidateTimes(config));
  if (draft.config_file.empty() && draft.given.contains("listen-client-urls") &&
      !draft.given.contains("advertise-client-urls")) {
    return Invalid(std::string(kAdvertiseUrlsMissing));
  }
  if (draft.auto_compaction_mode.empty()) return Invalid("undefined auto-compaction-mode");
  if (draft.auto_compaction_mode != "periodic" && draft.auto_compaction_mode != "revision") {
    return Invalid(Cat("unknown auto-compaction-mode ", Quote(draft.auto_compaction_mode)));
  }
  RETURN_IF_ERROR(ValidateGates(draft));
  if (config.compact_hash_check_time <= Duration(0)) {
    return Invalid(Cat("--compact-hash-check-time must be >0 (set to ",
                       FormatDuration(config.compact_hash_check_time), ")"));
  }
  if (config.name == "default") {
    Warn(draft,
         "it isn't recommended to use default name, please set a value for --name. Note that etcd "
         "might run into issue "
         "when multiple members have the same default name",
         {{"name", config.name}});
  }
  RETURN_IF_ERROR(ValidateTls(config));
  RETURN_IF_ERROR(ValidateOwn(draft));
  return CheckSupport(draft);
}

void Resolve(Draft& draft, env::BlockingFileSystem& files) {
  Config& config = draft.config;
  ResolveDefaults(config);
  ResolveRaftTimeouts(draft);
  ResolveHost(draft, files);
  config.initial_cluster_state =
      draft.initial_cluster_state == "existing" ? ClusterState::kExisting : ClusterState::kNew;
  config.metrics = draft.metrics == "extensive" ? MetricsLevel::kExtensive : MetricsLevel::kBasic;
  if (config.name != "default" && config.initial_cluster == Config().initial_cluster) {
    std::vector<std::string> parts;
    for (const Url& url : config.initial_advertise_peer_urls)
      parts.push_back(Cat(config.name, "=", url.text()));
    config.initial_cluster = Join(parts, ",");
  }
  if (config.data_dir.empty()) {
    config.data_dir = Cat(config.name, ".etcd");
    Warn(draft, "'data-dir' was empty; using default", {{"data-dir", config.data_dir}});
  }
  if (config.max_request_bytes > kRecommendedRequestBytes) {
    Warn(draft, "exceeded recommended request limit",
         {{"max-request-bytes", config.max_request_bytes},
          {"recommended-request-bytes", kRecommendedRequestBytes}});
  }
  if (config.bcrypt_cost < kBcryptCostMin || config.bcrypt_cost > kBcryptCostMax) {
    Warn(draft, "use default bcrypt cost instead of the invalid given cost",
         {{"min-cost", kBcryptCostMin},
          {"max-cost", kBcryptCostMax},
          {"default-cost", kBcryptCostDefault},
          {"given-cost", config.bcrypt_cost}});
    config.bcrypt_cost = kBcryptCostDefault;
  }
}

Status ValidateLate(Draft& draft) {
  RETURN_IF_ERROR(CheckSharedUrls(draft.config));
  ASSIGN_OR_RETURN(
      draft.config.auto_compaction,
      ParseAutoCompaction(draft.auto_compaction_mode, draft.auto_compaction_retention));
  return CheckAuthToken(draft.config.auth_token);
}

}  // namespace quoin::config
