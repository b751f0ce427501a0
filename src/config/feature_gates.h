// FeatureGates: etcd's --feature-gates, each one a plain bool.
#pragma once

#include <string_view>

#include "base/status.h"

namespace quoin::config {

// Value type.
struct FeatureGates {
  bool stop_grpc_service_on_defrag = false;
  bool initial_corrupt_check = false;
  bool compact_hash_check = false;
  bool txn_mode_write_with_shared_buffer = true;
  bool lease_checkpoint = false;
  bool lease_checkpoint_persist = false;
  bool set_member_local_addr = false;
  bool fast_lease_keep_alive = true;
  bool priority_request = false;
};

// Reads "Name=bool,…" into `gates`. AllAlpha and AllBeta set the gates of their stage that the list
// does not name. Errors are etcd's: `unrecognized feature gate: X`, `missing bool value for X`, …
Status ParseFeatureGates(std::string_view list, FeatureGates& gates);

struct FeatureGateInfo {
  std::string_view name;
  std::string_view stage;  // "ALPHA" or "BETA", as the metric etcd_server_feature_enabled labels it
  bool FeatureGates::*value;
};
// All of them in the order of their names; `count` elements.
const FeatureGateInfo* FeatureGateTable(size_t* count);

}  // namespace quoin::config
