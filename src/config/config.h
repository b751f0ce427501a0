// Config: everything that flags, environment and config file say about one member, checked and
// resolved.
//
// There are Config (the result), Notice (a line for the log that does not exist yet) and Load.
// Nothing here makes a system call: arguments and environment are handed in, the config file is
// read through env.
//
// Values are effective: where etcd writes "0 means the default", the default stands here already.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/log.h"
#include "config/feature_gates.h"
#include "config/url.h"
#include "env/blocking.h"
#include "env/clock.h"

namespace quoin::config {

using env::Duration;

enum class ClusterState : uint8_t { kNew, kExisting };
enum class CompactionMode : uint8_t { kPeriodic, kRevision };
enum class MetricsLevel : uint8_t { kBasic, kExtensive };
enum class LogFormat : uint8_t { kJson, kConsole };

// TLS of one side (client or peer). Value type.
struct TransportSecurity {
  std::string cert_file;
  std::string key_file;
  std::string client_cert_file;
  std::string client_key_file;
  std::string trusted_ca_file;
  std::string crl_file;
  bool client_cert_auth = false;
  bool auto_tls = false;
  bool skip_client_san_verification = false;  // peers only
  std::vector<std::string> allowed_cn;        // peers only
  std::vector<std::string> allowed_hostname;
};

// Bootstrap through another cluster. Value type.
struct Discovery {
  std::string token;
  std::vector<std::string> endpoints;
  Duration dial_timeout = std::chrono::seconds(2);
  Duration request_timeout = std::chrono::seconds(5);
  Duration keepalive_time = std::chrono::seconds(2);
  Duration keepalive_timeout = std::chrono::seconds(6);
  bool insecure_transport = true;
  bool insecure_skip_tls_verify = false;
  std::string cert_file;
  std::string key_file;
  std::string trusted_ca_file;
  std::string user;
  std::string password;
  std::string srv;
  std::string srv_name;
};

// --auto-compaction-mode and -retention together. Value type; both limits zero = off.
struct AutoCompaction {
  CompactionMode mode = CompactionMode::kPeriodic;
  Duration period{0};
  int64_t revisions = 0;
  bool enabled() const { return period.count() > 0 || revisions > 0; }
};

struct Logging {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kJson;
  std::vector<std::string> outputs = {"default"};  // default, stderr, stdout, or a file's path
  bool rotation = false;
  std::string rotation_config_json =
      R"({"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false})";
};

struct Tracing {
  bool enabled = false;
  std::string address = "localhost:4317";
  std::string service_name = "etcd";
  std::string instance_id;
  int64_t sampling_rate_per_million = 0;
};

// Value type.
struct Config {
  Config();  // the defaults, URLs included

  // Member.
  std::string name = "default";
  std::string data_dir;  // resolved: "<name>.etcd" when not given
  std::string wal_dir;   // empty = data_dir/member/wal
  uint64_t snapshot_count = limits::kSnapshotCount;
  uint64_t snapshot_catchup_entries = limits::kCatchUpEntries;
  uint64_t max_snapshots = 5;
  uint64_t max_wals = 5;
  uint64_t heartbeat_interval_ms = 100;
  uint64_t election_timeout_ms = 1000;
  bool initial_election_tick_advance = true;
  bool pre_vote = true;
  std::vector<Url> listen_peer_urls;
  std::vector<Url> listen_client_urls;
  std::vector<Url> listen_client_http_urls;  // not empty: HTTP moves here from listen_client_urls
  std::vector<Url> listen_metrics_urls;
  bool socket_reuse_port = false;
  bool socket_reuse_address = false;
  Duration raft_read_timeout = std::chrono::seconds(5);
  Duration raft_write_timeout = std::chrono::seconds(5);
  bool memory_mlock = false;
  FeatureGates feature_gates;

  // Limits and storage.
  int64_t quota_backend_bytes =
      limits::kQuotaBytesDefault;  // 0 = no quota (the flag's negative values)
  Duration backend_batch_interval = std::chrono::milliseconds(100);
  int64_t backend_batch_limit = 10000;
  std::string backend_freelist_type = "map";
  uint64_t max_txn_ops = limits::kTxnOpsMax;
  uint64_t max_request_bytes = limits::kRequestBytesMax;
  uint32_t max_concurrent_streams = UINT32_MAX;
  Duration grpc_keepalive_min_time = std::chrono::seconds(5);
  Duration grpc_keepalive_interval = std::chrono::hours(2);  // 0 = off
  Duration grpc_keepalive_timeout = std::chrono::seconds(20);
  int64_t compaction_batch_limit = 1000;
  Duration compaction_sleep_interval = std::chrono::milliseconds(10);
  Duration watch_progress_notify_interval = std::chrono::minutes(10);
  uint64_t bootstrap_defrag_threshold_megabytes = 0;

  // quoin's own.
  uint64_t cache_bytes = uint64_t{64} << 20;               // --cache-bytes: page cache
  uint64_t memory_limit = uint64_t{320} << 20;             // --memory-limit
  uint64_t io_threads = 1;                                 // --io-threads: loops that serve clients
  Duration checkpoint_interval = std::chrono::seconds(5);  // --checkpoint-interval

  // Clustering.
  std::vector<Url> initial_advertise_peer_urls;
  std::vector<Url> advertise_client_urls;
  std::string initial_cluster = "default=http://localhost:2380";  // see config/initial_cluster.h
  ClusterState initial_cluster_state = ClusterState::kNew;
  std::string initial_cluster_token = "etcd-cluster";
  bool strict_reconfig_check = true;
  int64_t max_learners = 1;
  Discovery discovery;
  AutoCompaction auto_compaction;

  // Security and auth.
  TransportSecurity client_tls;
  TransportSecurity peer_tls;
  uint64_t self_signed_cert_validity_years = 1;
  std::vector<std::string> cipher_suites;
  std::string tls_min_version = "TLS1.2";
  std::string tls_max_version;
  std::vector<std::string> cors = {"*"};
  std::vector<std::string> host_whitelist = {"*"};
  std::string auth_token = "simple";
  uint64_t bcrypt_cost = 10;
  uint64_t auth_token_ttl_seconds = 300;

  // Watching over it.
  bool enable_grpc_gateway = true;
  bool enable_pprof = false;
  MetricsLevel metrics = MetricsLevel::kBasic;
  Logging logging;
  Duration warning_unary_request_duration = std::chrono::milliseconds(300);
  Duration warning_apply_duration = std::chrono::milliseconds(100);
  Tracing tracing;
  Duration corrupt_check_time{0};  // 0 = off
  Duration compact_hash_check_time = std::chrono::minutes(1);
  bool keep_cluster_version = true;  // --keep-cluster-version
  Duration downgrade_check_time = std::chrono::seconds(5);

  // Unsafe.
  bool unsafe_no_fsync = false;
  bool force_new_cluster = false;
  bool verify_all = false;  // ETCD_VERIFY=all: check what is costly to check

  uint64_t election_ticks() const { return election_timeout_ms / heartbeat_interval_ms; }
};

// A log line that arose before there was a logger.
struct Notice {
  LogLevel level;
  std::string message;
  std::vector<LogField> fields;
};

// What Load found. When `exit_code` is set, the process writes `out` and `err`, then the notices to
// a logger of `config.logging`, and ends with that code; otherwise it writes the notices and goes
// on with `config`.
struct Loaded {
  Config config;
  std::vector<Notice> notices;
  std::string out;
  std::string err;
  std::optional<int> exit_code;
};

using Environment = std::vector<std::pair<std::string, std::string>>;

// Reads the command line (the program's name first, as main() gets it), the environment and, when
// either names one, the config file. `files` is where the config file is read from, and /proc when
// a wildcard listen address wants the machine's own. Thread: any.
Loaded Load(const std::vector<std::string>& arguments, const Environment& environment,
            env::BlockingFileSystem& files);

// "NAME=value" strings, as main() gets them, to an Environment.
Environment EnvironmentFromBlock(const char* const* block);

}  // namespace quoin::config
