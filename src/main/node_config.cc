#include "main/node_config.h"

#include <algorithm>

#include "base/limits.h"
#include "config/initial_cluster.h"

namespace quoin::main {

StatusOr<server::NodeConfig> ToNodeConfig(const config::Config& config) {
  server::NodeConfig out;
  out.name = config.name;
  out.data_dir = config.data_dir;
  out.wal_dir = config.wal_dir;
  out.advertise_peer_urls = config::UrlTexts(config.initial_advertise_peer_urls);
  out.advertise_client_urls = config::UrlTexts(config.advertise_client_urls);
  ASSIGN_OR_RETURN(config::InitialCluster initial_cluster,
                   config::ParseInitialCluster(config.initial_cluster));
  for (const auto& [name, urls] : initial_cluster)
    out.initial_cluster[name] = config::UrlTexts(urls);
  out.initial_cluster_problem = config::CheckBootstrap(config, initial_cluster);
  out.joins_existing = config.initial_cluster_state == config::ClusterState::kExisting;
  for (const config::Url& url : config.listen_peer_urls)
    out.listen_peer_addresses.push_back(url.address());
  out.strict_reconfig_check = config.strict_reconfig_check;
  out.force_new_cluster = config.force_new_cluster;
  out.initial_cluster_token = config.initial_cluster_token;
  out.heartbeat_interval = std::chrono::milliseconds(config.heartbeat_interval_ms);
  out.election_timeout = std::chrono::milliseconds(config.election_timeout_ms);
  out.pre_vote = config.pre_vote;
  out.snapshot_count = config.snapshot_count;
  out.catch_up_entries = config.snapshot_catchup_entries;
  out.wals_max = config.max_wals;
  out.snapshots_max = config.max_snapshots;
  out.fsync = !config.unsafe_no_fsync;
  out.quota_bytes = config.quota_backend_bytes == 0 ? -1 : config.quota_backend_bytes;
  out.request_bytes_max = config.max_request_bytes;
  out.txn_ops_max = config.max_txn_ops;
  out.learners_max = static_cast<size_t>(config.max_learners);
  out.cache_bytes = config.cache_bytes;
  out.unapplied_bytes_max = limits::UnappliedBytes(config.memory_limit);
  out.inflight_bytes_max = limits::InflightBytes(config.memory_limit);
  // Dirty pages are part of the cache: some of it stays for reading.
  out.checkpoint_dirty_bytes = std::min(out.checkpoint_dirty_bytes, out.cache_bytes / 2);
  out.keep_cluster_version = config.keep_cluster_version;
  out.downgrade_check_interval = config.downgrade_check_time;
  out.initial_corrupt_check = config.feature_gates.initial_corrupt_check;
  out.corrupt_check_interval = config.corrupt_check_time;
  out.compact_hash_check = config.feature_gates.compact_hash_check;
  out.compact_hash_check_interval = config.compact_hash_check_time;
  out.lease_checkpoint = config.feature_gates.lease_checkpoint;
  out.watch_progress_interval = config.watch_progress_notify_interval;
  out.checkpoint_interval = config.checkpoint_interval;
  out.compaction_batch_revisions = static_cast<size_t>(config.compaction_batch_limit);
  const config::AutoCompaction& compaction = config.auto_compaction;
  if (compaction.enabled()) {
    const bool periodic = compaction.mode == config::CompactionMode::kPeriodic;
    out.auto_compaction =
        periodic ? server::AutoCompactionMode::kPeriodic : server::AutoCompactionMode::kRevision;
    out.auto_compaction_period = compaction.period;
    out.auto_compaction_revisions = compaction.revisions;
  }
  return out;
}

}  // namespace quoin::main
