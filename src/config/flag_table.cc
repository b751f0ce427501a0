#include "config/flag_table.h"

#include <array>

namespace quoin::config {
namespace {

// The member of a Draft that a flag fills.
#define AT(member) \
  [](Draft & d) -> auto& { return d.member; }
#define IN(member) AT(config.member)

using enum FlagKind;
using enum Support;

const FlagSpec kMember[] = {
    {"name", kString, "default", IN(name), "The member's name; --initial-cluster calls it by it."},
    {"data-dir", kString, "", IN(data_dir),
     "Where all data live. Empty: '<name>.etcd' in the current directory."},
    {"wal-dir", kString, "", IN(wal_dir),
     "A directory of its own for the write-ahead log. Empty: inside the data directory."},
    {"snapshot-count", kUint64, "10000", IN(snapshot_count),
     "Applied entries between two snapshots of the log."},
    {"snapshot-catchup-entries", kUint64, "5000", IN(snapshot_catchup_entries),
     "Log entries kept behind a snapshot for followers that lag."},
    {"heartbeat-interval", kUint, "100", IN(heartbeat_interval_ms),
     "Milliseconds between the leader's heartbeats."},
    {"election-timeout", kUint, "1000", IN(election_timeout_ms),
     "Milliseconds without a leader until a member stands for election; at least five heartbeats."},
    {"initial-election-tick-advance", kBool, "true", IN(initial_election_tick_advance),
     "Shorten the wait for the first election after a start.", kNoEffect},
    {"listen-peer-urls", kUrls, "http://localhost:2380", IN(listen_peer_urls),
     "Where other members reach this one."},
    {"listen-client-urls", kUrls, "http://localhost:2379", IN(listen_client_urls),
     "Where clients are served: gRPC, and HTTP unless --listen-client-http-urls takes it."},
    {"listen-client-http-urls", kUrls, "", IN(listen_client_http_urls),
     "Where HTTP clients are served; --listen-client-urls serves gRPC alone then."},
    {"listen-metrics-urls", kUrls, "", IN(listen_metrics_urls),
     "Further addresses for /metrics and the health pages, open before the member is ready."},
    {"max-snapshots", kUint, "5", IN(max_snapshots), "Snapshot files kept (0: all).", kBuilt},
    {"max-wals", kUint, "5", IN(max_wals), "Segments of the log kept (0: all).", kBuilt},
    {"memory-mlock", kBool, "false", IN(memory_mlock), "Keep the server's memory out of swap.",
     kWarned},
    {"socket-reuse-port", kBool, "false", IN(socket_reuse_port), "SO_REUSEPORT on listeners.",
     kBuilt, "socket-options.reuse-port"},
    {"socket-reuse-address", kBool, "false", IN(socket_reuse_address), "SO_REUSEADDR on listeners.",
     kBuilt, "socket-options.reuse-address"},
    {"raft-read-timeout", kDuration, "5s", IN(raft_read_timeout),
     "Longest silence of a peer's connection, 5s at least.", kNoEffect, "-"},
    {"raft-write-timeout", kDuration, "5s", IN(raft_write_timeout),
     "Longest write to a peer's connection, 5s at least.", kNoEffect, "-"},
    {"feature-gates", kFeatureGates, "", AT(feature_gates), "Features by name: 'A=true,B=false'.",
     kBuilt},
};

const FlagSpec kStorage[] = {
    {"quota-backend-bytes", kInt64, "0", IN(quota_backend_bytes),
     "Size of the database above which writes are refused. 0: 2 GiB; negative: none."},
    {"cache-bytes", kUint64, "67108864", IN(cache_bytes), "Page cache in bytes (quoin's own)."},
    {"memory-limit", kUint64, "335544320", IN(memory_limit),
     "What clients can make the server hold, in bytes (quoin's own)."},
    {"io-threads", kUint, "1", IN(io_threads), "Loops that serve clients, 1 to 64 (quoin's own)."},
    {"checkpoint-interval", kDuration, "5s", IN(checkpoint_interval),
     "Time between two checkpoints of the database file (quoin's own)."},
    {"backend-batch-interval", kDuration, "0s", IN(backend_batch_interval),
     "etcd's interval between commits (0: 100ms); here checkpoints take its place.", kNoEffect},
    {"backend-batch-limit", kInt, "0", IN(backend_batch_limit),
     "etcd's operations between commits (0: 10000).", kNoEffect},
    {"backend-bbolt-freelist-type", kString, "", IN(backend_freelist_type),
     "'map' or 'array'; both mean the same here.", kNoEffect},
    {"bootstrap-defrag-threshold-megabytes", kUint, "0", IN(bootstrap_defrag_threshold_megabytes),
     "Compact the file at start when that frees so much (0: never).", kWarned},
    {"compaction-batch-limit", kInt, "0", IN(compaction_batch_limit),
     "Revisions removed at a time by a compaction (0: 1000).", kNoEffect},
    {"compaction-sleep-interval", kDuration, "0s", IN(compaction_sleep_interval),
     "Pause between two such batches (0: 10ms).", kNoEffect},
    {"auto-compaction-mode", kString, "periodic", AT(auto_compaction_mode),
     "What --auto-compaction-retention counts: 'periodic' (time) or 'revision'."},
    {"auto-compaction-retention", kString, "0", AT(auto_compaction_retention),
     "History to keep: '30m', a plain number of hours, or a number of revisions. 0: keep all."},
};

const FlagSpec kLimits[] = {
    {"max-txn-ops", kUint, "128", IN(max_txn_ops), "Operations in one transaction."},
    {"max-request-bytes", kUint, "1572864", IN(max_request_bytes), "Largest request of a client."},
    {"max-concurrent-streams", kUint32, "4294967295", IN(max_concurrent_streams),
     "Calls at a time on one connection."},
    {"grpc-keepalive-min-time", kDuration, "5s", IN(grpc_keepalive_min_time),
     "Shortest interval at which a client may ping."},
    {"grpc-keepalive-interval", kDuration, "2h0m0s", IN(grpc_keepalive_interval),
     "Silence after which the server pings a client (0: never)."},
    {"grpc-keepalive-timeout", kDuration, "20s", IN(grpc_keepalive_timeout),
     "Wait for that ping's answer before closing (0: for ever)."},
    {"watch-progress-notify-interval", kDuration, "0s", IN(watch_progress_notify_interval),
     "Idle time after which a watcher that asked for it hears the revision (0: 10m)."},
};

const FlagSpec kClustering[] = {
    {"initial-advertise-peer-urls", kUrls, "http://localhost:2380", IN(initial_advertise_peer_urls),
     "This member's peer URLs, as the others are told."},
    {"advertise-client-urls", kUrls, "http://localhost:2379", IN(advertise_client_urls),
     "This member's client URLs, as clients are told. Required with --listen-client-urls."},
    {"initial-cluster", kString, "default=http://localhost:2380", IN(initial_cluster),
     "All members of a new cluster: 'name=peer-url,…'."},
    {"initial-cluster-state", kChoice, "new", AT(initial_cluster_state),
     "'new' to start a cluster, 'existing' to join one. Ignored once there are data.", kBuilt, "",
     "new existing"},
    {"initial-cluster-token", kString, "etcd-cluster", IN(initial_cluster_token),
     "Keeps two clusters apart that are made from the same URLs."},
    {"strict-reconfig-check", kBool, "true", IN(strict_reconfig_check),
     "Refuse membership changes that would lose the quorum."},
    {"pre-vote", kBool, "true", IN(pre_vote), "Ask for support before standing for election."},
    {"max-learners", kInt, "1", IN(max_learners), "Learners in the cluster at a time."},
    {"keep-cluster-version", kBool, "true", IN(keep_cluster_version),
     "Do not raise a version that is already decided: the data stay readable for the older etcd "
     "that made them. There is no way back from =false (quoin's own)."},
    {"downgrade-check-time", kDuration, "5s", IN(downgrade_check_time),
     "Interval at which the leader looks whether a downgrade is done (0: never)."},
    {"discovery-token", kString, "", IN(discovery.token), "Discovery: the cluster's token.",
     kRefused, "discovery-config.token"},
    {"discovery-endpoints", kUniqueStrings, "", IN(discovery.endpoints),
     "Discovery: endpoints of the discovery service.", kRefused,
     "discovery-config.client.endpoints"},
    {"discovery-dial-timeout", kDuration, "2s", IN(discovery.dial_timeout),
     "Discovery: time to connect.", kNoEffect, "discovery-config.client.dial-timeout"},
    {"discovery-request-timeout", kDuration, "5s", IN(discovery.request_timeout),
     "Discovery: time for a request.", kNoEffect, "discovery-config.client.request-timeout"},
    {"discovery-keepalive-time", kDuration, "2s", IN(discovery.keepalive_time),
     "Discovery: interval of pings.", kNoEffect, "discovery-config.client.keepalive-time"},
    {"discovery-keepalive-timeout", kDuration, "6s", IN(discovery.keepalive_timeout),
     "Discovery: wait for a ping's answer.", kNoEffect,
     "discovery-config.client.keepalive-timeout"},
    {"discovery-insecure-transport", kBool, "true", IN(discovery.insecure_transport),
     "Discovery: connect without TLS.", kNoEffect,
     "discovery-config.client.secure.insecure-transport"},
    {"discovery-insecure-skip-tls-verify", kBool, "false", IN(discovery.insecure_skip_tls_verify),
     "Discovery: accept any certificate.", kNoEffect,
     "discovery-config.client.secure.insecure-skip-tls-verify"},
    {"discovery-cert", kString, "", IN(discovery.cert_file), "Discovery: client certificate.",
     kNoEffect, "discovery-config.client.secure.cert"},
    {"discovery-key", kString, "", IN(discovery.key_file), "Discovery: its key.", kNoEffect,
     "discovery-config.client.secure.key"},
    {"discovery-cacert", kString, "", IN(discovery.trusted_ca_file),
     "Discovery: CA of the service.", kNoEffect, "discovery-config.client.secure.cacert"},
    {"discovery-user", kString, "", IN(discovery.user), "Discovery: 'name[:password]'.", kNoEffect,
     "discovery-config.client.auth.username"},
    {"discovery-password", kString, "", IN(discovery.password), "Discovery: the password.",
     kNoEffect, "discovery-config.client.auth.password"},
    {"discovery-fallback", kChoice, "exit", AT(discovery_fallback), "Only 'exit' is left of it.",
     kNoEffect, "-", "exit proxy"},
    {"discovery-srv", kString, "", IN(discovery.srv),
     "Domain whose DNS SRV records name the members.", kRefused},
    {"discovery-srv-name", kString, "", IN(discovery.srv_name), "Suffix of the SRV service's name.",
     kRefused},
    {"v2-deprecation", kChoices, "write-only", AT(v2_deprecation), "Read and ignored.", kNoEffect,
     "", "write-only write-only-skip-check write-only-drop-data gone"},
};

const FlagSpec kSecurity[] = {
    {"cert-file", kString, "", IN(client_tls.cert_file), "Server certificate for clients.", kTls,
     "client-transport-security.cert-file"},
    {"key-file", kString, "", IN(client_tls.key_file), "Its key.", kTls,
     "client-transport-security.key-file"},
    {"client-cert-file", kString, "", IN(client_tls.client_cert_file),
     "Certificate that the server shows when it calls itself.", kTls,
     "client-transport-security.client-cert-file"},
    {"client-key-file", kString, "", IN(client_tls.client_key_file), "Its key.", kTls,
     "client-transport-security.client-key-file"},
    {"client-cert-auth", kBool, "false", IN(client_tls.client_cert_auth),
     "Demand a certificate of every client.", kTls, "client-transport-security.client-cert-auth"},
    {"client-crl-file", kString, "", IN(client_tls.crl_file), "Revoked client certificates.", kTls,
     "-"},
    {"client-cert-allowed-hostname", kStrings, "", IN(client_tls.allowed_hostname),
     "Host names that client certificates may carry.", kTls,
     "client-transport-security.allowed-hostname"},
    {"trusted-ca-file", kString, "", IN(client_tls.trusted_ca_file), "CA of client certificates.",
     kTls, "client-transport-security.trusted-ca-file"},
    {"auto-tls", kBool, "false", IN(client_tls.auto_tls),
     "Make a certificate for clients at start.", kTls, "client-transport-security.auto-tls"},
    {"peer-cert-file", kString, "", IN(peer_tls.cert_file), "Server certificate for peers.", kTls,
     "peer-transport-security.cert-file"},
    {"peer-key-file", kString, "", IN(peer_tls.key_file), "Its key.", kTls,
     "peer-transport-security.key-file"},
    {"peer-client-cert-file", kString, "", IN(peer_tls.client_cert_file),
     "Certificate shown to peers, when another one.", kTls,
     "peer-transport-security.client-cert-file"},
    {"peer-client-key-file", kString, "", IN(peer_tls.client_key_file), "Its key.", kTls,
     "peer-transport-security.client-key-file"},
    {"peer-client-cert-auth", kBool, "false", IN(peer_tls.client_cert_auth),
     "Demand a certificate of every peer.", kTls, "peer-transport-security.client-cert-auth"},
    {"peer-trusted-ca-file", kString, "", IN(peer_tls.trusted_ca_file),
     "CA of peers' certificates.", kTls, "peer-transport-security.trusted-ca-file"},
    {"peer-auto-tls", kBool, "false", IN(peer_tls.auto_tls),
     "Make a certificate for peers at start.", kTls, "peer-transport-security.auto-tls"},
    {"peer-crl-file", kString, "", IN(peer_tls.crl_file), "Revoked peer certificates.", kTls, "-"},
    {"peer-cert-allowed-cn", kStrings, "", IN(peer_tls.allowed_cn),
     "Common names that peer certificates may carry.", kTls, "peer-transport-security.allowed-cn"},
    {"peer-cert-allowed-hostname", kStrings, "", IN(peer_tls.allowed_hostname),
     "Host names that peer certificates may carry.", kTls,
     "peer-transport-security.allowed-hostname"},
    {"peer-skip-client-san-verification", kBool, "false", IN(peer_tls.skip_client_san_verification),
     "Do not compare a peer's address with its certificate.", kTls,
     "peer-transport-security.skip-client-san-verification"},
    {"self-signed-cert-validity", kUint, "1", IN(self_signed_cert_validity_years),
     "Years that certificates made at start are valid.", kNoEffect},
    {"cipher-suites", kStrings, "", IN(cipher_suites),
     "TLS 1.2 cipher suites by Go's names, best first.", kTls},
    {"tls-min-version", kString, "TLS1.2", IN(tls_min_version), "TLS1.2 or TLS1.3.", kNoEffect},
    {"tls-max-version", kString, "", IN(tls_max_version), "TLS1.2 or TLS1.3. Empty: the newest.",
     kNoEffect},
    {"cors", kOrigins, "*", IN(cors), "Origins that browsers may call from; '*': all."},
    {"host-whitelist", kUniqueStrings, "*", IN(host_whitelist),
     "Host names that HTTP clients without TLS may ask for; '*': all."},
    {"auth-token", kString, "simple", IN(auth_token),
     "How clients prove who they are: 'simple' or 'jwt,…'.", kNoEffect},
    {"bcrypt-cost", kUint, "10", IN(bcrypt_cost), "Cost of hashing a password, 4 to 31.",
     kNoEffect},
    {"auth-token-ttl", kUint, "300", IN(auth_token_ttl_seconds),
     "Seconds that a simple token lives unused.", kNoEffect},
};

const FlagSpec kMonitoring[] = {
    {"enable-grpc-gateway", kBool, "true", IN(enable_grpc_gateway),
     "Serve the JSON form of the API on /v3/.", kNoEffect},
    {"enable-pprof", kBool, "false", IN(enable_pprof), "Serve /debug/pprof/.", kWarned},
    {"metrics", kString, "basic", AT(metrics), "'extensive' adds histograms of every gRPC method.",
     kWarned},
    {"logger", kString, "zap", AT(logger), "Only 'zap', the log's form, exists.", kNoEffect},
    {"log-outputs", kUniqueStrings, "default", IN(logging.outputs),
     "'default' or 'stderr', 'stdout', or paths of files."},
    {"log-level", kString, "info", AT(log_level), "debug, info, warn, error, panic or fatal."},
    {"log-format", kString, "json", AT(log_format), "'json' or 'console'."},
    {"enable-log-rotation", kBool, "false", IN(logging.rotation), "Rotate the one log file.",
     kWarned},
    {"log-rotation-config-json", kString,
     R"({"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false})",
     IN(logging.rotation_config_json), "How.", kNoEffect},
    {"warning-unary-request-duration", kDuration, "300ms", IN(warning_unary_request_duration),
     "A request that takes longer is logged.", kWarned},
    {"warning-apply-duration", kDuration, "100ms", IN(warning_apply_duration),
     "Applying an entry that takes longer is logged.", kWarned},
    {"enable-distributed-tracing", kBool, "false", IN(tracing.enabled),
     "Send traces to an OpenTelemetry collector.", kWarned},
    {"distributed-tracing-address", kString, "localhost:4317", IN(tracing.address), "Its address.",
     kNoEffect},
    {"distributed-tracing-service-name", kString, "etcd", IN(tracing.service_name),
     "Name of the service in traces.", kNoEffect},
    {"distributed-tracing-instance-id", kString, "", IN(tracing.instance_id),
     "Name of this member in traces.", kNoEffect},
    {"distributed-tracing-sampling-rate", kInt, "0", IN(tracing.sampling_rate_per_million),
     "Traces sent per million.", kNoEffect},
    {"corrupt-check-time", kDuration, "0s", IN(corrupt_check_time),
     "Interval at which the leader compares all members' data (0: never)."},
    {"compact-hash-check-time", kDuration, "1m0s", IN(compact_hash_check_time),
     "Interval of that check at compacted revisions (gate CompactHashCheck)."},
};

const FlagSpec kUnsafe[] = {
    {"force-new-cluster", kBool, "false", IN(force_new_cluster),
     "Forget all other members. For disasters only."},
    {"unsafe-no-fsync", kBool, "false", IN(unsafe_no_fsync),
     "Do not wait for the disk; a crash then loses data."},
};

const FlagSpec kStart[] = {
    {"config-file", kString, "", AT(config_file),
     "Read everything from this YAML or JSON file; other flags and the environment are then "
     "ignored.",
     kBuilt, "-"},
    {"version", kBool, "false", AT(version), "Print versions and leave.", kBuilt, "-"},
};

#undef IN
#undef AT

const FlagGroup kGroups[] = {
    {"Start", kStart},           {"Member", kMember},         {"Storage", kStorage},
    {"Limits", kLimits},         {"Clustering", kClustering}, {"Security", kSecurity},
    {"Monitoring", kMonitoring}, {"Unsafe", kUnsafe},
};

constexpr std::array<std::string_view, 15> kIgnored = {"cluster-active-size",
                                                       "cluster-remove-delay",
                                                       "cluster-sync-interval",
                                                       "config",
                                                       "force",
                                                       "max-result-buffer",
                                                       "max-retry-attempts",
                                                       "peer-heartbeat-interval",
                                                       "peer-election-timeout",
                                                       "retry-interval",
                                                       "snapshot",
                                                       "v",
                                                       "vv",
                                                       "test.coverprofile",
                                                       "test.outputdir"};

}  // namespace

std::span<const FlagGroup> FlagGroups() { return kGroups; }

const FlagSpec* FindFlag(std::string_view name) {
  for (const FlagGroup& group : kGroups) {
    for (const FlagSpec& flag : group.flags) {
      if (flag.name == name) return &flag;
    }
  }
  return nullptr;
}

std::span<const std::string_view> IgnoredFlags() { return kIgnored; }

}  // namespace quoin::config
