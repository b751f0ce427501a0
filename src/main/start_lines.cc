#include "main/start_lines.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "base/release.h"
#include "config/go_values.h"

namespace quoin::main {
namespace {

constexpr uint32_t kPrivateMode = 0700, kPermissionBits = 0777;

// As Go prints the mode of a directory: "drwxr-xr-x".
std::string ModeText(uint32_t mode) {
  constexpr std::string_view kLetters = "rwxrwxrwx";
  std::string out = "d";
  if ((mode & 04000) != 0) out += 'u';
  if ((mode & 02000) != 0) out += 'g';
  if ((mode & 01000) != 0) out += 't';
  for (size_t i = 0; i < kLetters.size(); ++i)
    out += (mode >> (kLetters.size() - 1 - i) & 1) != 0 ? kLetters[i] : '-';
  return out;
}

void CheckPermission(env::BlockingFileSystem& files, const std::string& path, Logger& log) {
  StatusOr<env::FileInfo> info = files.Stat(path);
  if (!info.ok() || (info->mode & kPermissionBits) == kPrivateMode) return;
  log.Warn("check file permission",
           {{"error", "directory \"" + path + "\" exist, but the permission is \"" +
                          ModeText(info->mode) +
                          "\". The recommended permission is \"-rwx------\" to prevent possible "
                          "unprivileged access to the data"}});
}

std::vector<std::string> GateTexts(const config::Config& config) {
  std::vector<std::string> out;
  size_t count = 0;
  const config::FeatureGateInfo* gates = config::FeatureGateTable(&count);
  for (size_t i = 0; i < count; ++i) {
    out.push_back(std::string(gates[i].name) + "=" +
                  (config.feature_gates.*gates[i].value ? "true" : "false"));
  }
  std::sort(out.begin(), out.end());
  return out;
}

using Fields = std::vector<LogField>;

void AddMember(const config::Config& config, bool initialized, Fields& out) {
  const auto milliseconds = [](uint64_t count) {
    return config::FormatDuration(std::chrono::milliseconds(count));
  };
  out.insert(out.end(), {{"etcd-version", kEtcdVersion},
                         {"quoin-version", kQuoinVersion},
                         {"member-initialized", initialized},
                         {"name", config.name},
                         {"data-dir", config.data_dir},
                         {"wal-dir", config.wal_dir},
                         {"wal-dir-dedicated", config.wal_dir},
                         {"member-dir", config.data_dir + "/member"},
                         {"force-new-cluster", config.force_new_cluster},
                         {"heartbeat-interval", milliseconds(config.heartbeat_interval_ms)},
                         {"election-timeout", milliseconds(config.election_timeout_ms)},
                         {"initial-election-tick-advance", config.initial_election_tick_advance},
                         {"snapshot-count", config.snapshot_count},
                         {"max-wals", config.max_wals},
                         {"max-snapshots", config.max_snapshots},
                         {"snapshot-catchup-entries", config.snapshot_catchup_entries}});
}

void AddCluster(const config::Config& config, Fields& out) {
  out.insert(
      out.end(),
      {{"initial-advertise-peer-urls", config::UrlTexts(config.initial_advertise_peer_urls)},
       {"listen-peer-urls", config::UrlTexts(config.listen_peer_urls)},
       {"advertise-client-urls", config::UrlTexts(config.advertise_client_urls)},
       {"listen-client-urls", config::UrlTexts(config.listen_client_urls)},
       {"listen-client-http-urls", config::UrlTexts(config.listen_client_http_urls)},
       {"listen-metrics-urls", config::UrlTexts(config.listen_metrics_urls)},
       {"local-address", ""},
       {"cors", config.cors},
       {"host-whitelist", config.host_whitelist},
       {"initial-cluster", config.initial_cluster},
       {"initial-cluster-state",
        config.initial_cluster_state == config::ClusterState::kNew ? "new" : "existing"},
       {"initial-cluster-token", config.initial_cluster_token},
       {"quota-backend-bytes", config.quota_backend_bytes == 0 ? -1 : config.quota_backend_bytes},
       {"max-request-bytes", config.max_request_bytes},
       {"max-concurrent-streams", static_cast<uint64_t>(config.max_concurrent_streams)},
       {"pre-vote", config.pre_vote},
       {"feature-gates", absl::StrJoin(GateTexts(config), ",")},
       {"initial-corrupt-check", config.feature_gates.initial_corrupt_check},
       {"corrupt-check-time-interval", config::FormatDuration(config.corrupt_check_time)},
       {"compact-check-time-interval", config::FormatDuration(config.compact_hash_check_time)}});
}

void AddRest(const config::Config& config, Fields& out) {
  const config::AutoCompaction& compaction = config.auto_compaction;
  const bool periodic = compaction.mode == config::CompactionMode::kPeriodic;
  // As etcd has it: a count of revisions is written as so many nanoseconds.
  const std::string retention =
      config::FormatDuration(periodic ? compaction.period : config::Duration(compaction.revisions));
  out.insert(out.end(),
             {{"auto-compaction-mode", periodic ? "periodic" : "revision"},
              {"auto-compaction-retention", retention},
              {"auto-compaction-interval", retention},
              {"discovery-token", config.discovery.token},
              {"discovery-endpoints", absl::StrJoin(config.discovery.endpoints, ",")},
              {"downgrade-check-interval", config::FormatDuration(config.downgrade_check_time)},
              {"max-learners", config.max_learners},
              {"v2-deprecation", "write-only"},
              {"cache-bytes", config.cache_bytes},
              {"memory-limit", config.memory_limit},
              {"io-threads", config.io_threads},
              {"checkpoint-interval", config::FormatDuration(config.checkpoint_interval)},
              {"keep-cluster-version", config.keep_cluster_version},
              {"unsafe-no-fsync", config.unsafe_no_fsync}});
}

}  // namespace

Status InspectDataDirectory(env::BlockingFileSystem& files, const config::Config& config,
                            Logger& log) {
  bool member = false, proxy = false;
  StatusOr<std::vector<std::string>> names = files.List(config.data_dir);
  if (!names.ok() && !absl::IsNotFound(names.status())) return names.status();
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    if (name == "member") {
      member = true;
    } else if (name == "proxy") {
      proxy = true;
    } else {
      log.Warn("found invalid file under data directory",
               {{"filename", name}, {"data-dir", config.data_dir}});
    }
  }
  if (proxy) {
    return absl::FailedPreconditionError(
        member ? "invalid datadir; both member and proxy directories exist"
               : "v2 http proxy has already been deprecated in 3.6");
  }
  log.Info(member ? "server has already been initialized" : "Initialize and start etcd server",
           {{"data-dir", config.data_dir}, {"dir-type", member ? "member" : "empty"}});
  CheckPermission(files, config.data_dir, log);
  CheckPermission(files, config.data_dir + "/member/snap", log);
  return OkStatus();
}

void LogConfiguration(const config::Config& config, bool initialized, Logger& log) {
  if (!log.Enabled(LogLevel::kInfo)) return;
  Fields fields;
  AddMember(config, initialized, fields);
  AddCluster(config, fields);
  AddRest(config, fields);
  log.Write(LogLevel::kInfo, std::source_location::current(), "starting an etcd server",
            fields.data(), fields.size());
}

}  // namespace quoin::main
