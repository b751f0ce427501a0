// NodeConfig: everything that one member is told at start. Value type; flags become this in main/.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/status.h"
#include "env/clock.h"

namespace quoin::server {

enum class AutoCompactionMode : uint8_t { kOff, kPeriodic, kRevision };

struct NodeConfig {
  std::string name = "default";
  std::string data_dir;
  std::string wal_dir;  // empty: <data_dir>/member/wal
  std::vector<std::string> advertise_peer_urls;
  std::vector<std::string> advertise_client_urls;
  std::map<std::string, std::vector<std::string>> initial_cluster;  // name → peer URLs
  std::string initial_cluster_token = "etcd-cluster";
  Status initial_cluster_problem;  // why a new member cannot be made from these; asked only where
                                   // there is no data

  // A cluster that runs already and names this member, as its members told (server/join.h): what a
  // member without data joins.
  struct Existing {
    uint64_t self = 0;
    uint64_t cluster_id = 0;
    std::map<uint64_t, std::vector<std::string>> peer_urls;  // of all members
  };
  std::optional<Existing> existing;
  bool joins_existing = false;                     // --initial-cluster-state existing
  std::vector<std::string> listen_peer_addresses;  // "host:port"
  uint64_t peer_connections_max = UINT64_MAX;      // accepted at once
  bool strict_reconfig_check = true;
  bool force_new_cluster = false;  // this member alone goes on with what it has

  env::Duration heartbeat_interval = std::chrono::milliseconds(100);
  env::Duration election_timeout = std::chrono::milliseconds(1000);
  bool pre_vote = true;
  size_t message_bytes_max = limits::kMessageBytesMax;  // of entries in one message of raft
  size_t inflight_messages_max = limits::kInflightMessagesMax;
  size_t inflight_bytes_max = limits::kInflightBytesMax;
  // Proposals that are not applied yet: further ones of clients are refused.
  uint64_t unapplied_bytes_max = limits::kUnappliedBytesMax;

  uint64_t snapshot_count = limits::kSnapshotCount;
  uint64_t catch_up_entries = limits::kCatchUpEntries;
  size_t log_tail_bytes = limits::kLogTailBytesMax;
  // … that a follower lacks who answers: what comes while it takes the data file.
  size_t log_waited_for_bytes = 8 * limits::kLogTailBytesMax;
  size_t wals_max = 5;
  size_t snapshots_max = 5;
  bool fsync = true;
  uint64_t wal_segment_bytes = limits::kWalSegmentBytes;

  int64_t quota_bytes = limits::kQuotaBytesDefault;  // < 0: off
  size_t request_bytes_max = limits::kRequestBytesMax;
  size_t txn_ops_max = limits::kTxnOpsMax;
  size_t learners_max = 1;

  uint64_t cache_bytes = 64 << 20;
  env::Duration checkpoint_interval = std::chrono::seconds(5);
  uint64_t checkpoint_dirty_bytes = 32 << 20;

  size_t compaction_batch_revisions = 1000;
  env::Duration compaction_pause{0};  // between two slices
  AutoCompactionMode auto_compaction = AutoCompactionMode::kOff;
  env::Duration auto_compaction_period{0};
  int64_t auto_compaction_revisions = 0;

  bool keep_cluster_version = false;  // as leader, never raise one that is decided
  env::Duration downgrade_check_interval = std::chrono::seconds(5);  // 0: a downgrade never ends

  bool initial_corrupt_check = false;       // what a member holds is compared before it serves
  env::Duration corrupt_check_interval{0};  // the leader compares the present; 0: never
  bool compact_hash_check = false;          // the leader compares the hashes of compactions
  env::Duration compact_hash_check_interval = std::chrono::minutes(1);

  bool lease_checkpoint = false;  // remaining times go through the log every five minutes
  env::Duration watch_progress_interval = std::chrono::minutes(10);

  // The shortest lease, ceil(1.5 × election timeout) seconds: it outlives a change of the leader.
  int64_t LeaseTtlSecondsMin() const {
    constexpr int64_t kSecond = env::Duration(std::chrono::seconds(1)).count();
    return ((election_timeout * 3 / 2).count() + kSecond - 1) / kSecond;
  }

  // 5 s + 2 × election timeout: how long a proposal or a linearizable read may take.
  env::Duration RequestTimeout() const { return std::chrono::seconds(5) + 2 * election_timeout; }
};

}  // namespace quoin::server
