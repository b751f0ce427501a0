#include "config/feature_gates.h"

#include <array>
#include <map>
#include <optional>
#include <string>

#include "config/go_values.h"
#include "config/text.h"

namespace quoin::config {
namespace {

constexpr std::array<FeatureGateInfo, 9> kGates = {{
    {"CompactHashCheck", "ALPHA", &FeatureGates::compact_hash_check},
    {"FastLeaseKeepAlive", "BETA", &FeatureGates::fast_lease_keep_alive},
    {"InitialCorruptCheck", "ALPHA", &FeatureGates::initial_corrupt_check},
    {"LeaseCheckpoint", "ALPHA", &FeatureGates::lease_checkpoint},
    {"LeaseCheckpointPersist", "ALPHA", &FeatureGates::lease_checkpoint_persist},
    {"PriorityRequest", "ALPHA", &FeatureGates::priority_request},
    {"SetMemberLocalAddr", "ALPHA", &FeatureGates::set_member_local_addr},
    {"StopGRPCServiceOnDefrag", "ALPHA", &FeatureGates::stop_grpc_service_on_defrag},
    {"TxnModeWriteWithSharedBuffer", "BETA", &FeatureGates::txn_mode_write_with_shared_buffer},
}};

bool IsKnown(std::string_view name) {
  if (name == "AllAlpha" || name == "AllBeta") return true;
  for (const FeatureGateInfo& gate : kGates) {
    if (gate.name == name) return true;
  }
  return false;
}

// "A=true,B=false" as a map; a later value of a name replaces an earlier one.
StatusOr<std::map<std::string, bool>> ParseList(std::string_view list) {
  std::map<std::string, bool> values;
  for (const std::string& item : Split(list, ',')) {
    if (item.empty()) continue;
    size_t equals = item.find('=');
    std::string name(TrimSpace(std::string_view(item).substr(0, equals)));
    if (equals == std::string::npos) {
      return Invalid(Cat("missing bool value for ", name));
    }
    std::string_view text = TrimSpace(std::string_view(item).substr(equals + 1));
    std::optional<bool> value = ParseBool(text);
    if (!value) {
      return Invalid(Cat("invalid value of ", name, "=", text, ", err: strconv.ParseBool: parsing ",
                         Quote(text), ": invalid syntax"));
    }
    values[name] = *value;
  }
  return values;
}

}  // namespace

Status ParseFeatureGates(std::string_view list, FeatureGates& gates) {
  ASSIGN_OR_RETURN(auto values, ParseList(list));
  for (const auto& [name, value] : values) {
    if (!IsKnown(name)) return Invalid(Cat("unrecognized feature gate: ", name));
  }
  for (const FeatureGateInfo& gate : kGates) {
    auto all = values.find(gate.stage == "ALPHA" ? "AllAlpha" : "AllBeta");
    if (all != values.end()) gates.*gate.value = all->second;
    auto named = values.find(std::string(gate.name));
    if (named != values.end()) gates.*gate.value = named->second;
  }
  return OkStatus();
}

const FeatureGateInfo* FeatureGateTable(size_t* count) {
  *count = kGates.size();
  return kGates.data();
}

}  // namespace quoin::config
