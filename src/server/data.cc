#include "server/data.h"

#include <optional>
#include <string>

#include "base/version.h"
#include "server/server_version.h"

namespace quoin::server {
namespace {

state::Options StateOptions(const NodeConfig& config) {
  state::Options options;
  options.lease_ttl_seconds_min = config.LeaseTtlSecondsMin();
  options.learners_max = config.learners_max;
  options.server_version = *ParseVersion(kServerVersion);
  return options;
}

// Whether this server knows what the state means, and may serve it.
Status CheckUnderstood(const state::StateMachine& machine) {
  const std::optional<Version> own = ParseVersion(kServerVersion)->Minor();
  if (ParseVersion(machine.storage_version()) > own) {
    return absl::UnimplementedError("version \"" + machine.storage_version() +
                                    "\" is not supported");
  }
  const std::string& cluster = machine.membership().cluster_version();
  if (ParseVersion(cluster) > own) {
    return absl::UnimplementedError(
        "invalid downgrade; server version is lower than determined cluster version (" + cluster +
        ")");
  }
  // To serve it would also mean to apply what etcd's members refuse.
  if (machine.auth().enabled()) {
    return absl::UnimplementedError(
        "this data directory has authentication enabled, which this release cannot enforce yet; "
        "refusing to serve it open to everyone");
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::shared_ptr<Data>> OpenData(env::BlockingFileSystem& files, const std::string& path,
                                         const NodeConfig& config, Logger& log) {
  auto data = std::make_shared<Data>();
  if (files.Exists(path)) {
    ASSIGN_OR_RETURN(data->lock, files.Lock(path, /*exclusive=*/true));
  }
  btree::Options options;
  options.cache_bytes = config.cache_bytes;
  options.new_buckets = state::BucketNames();
  ASSIGN_OR_RETURN(data->tree, btree::Tree::Open(files, path, options));
  if (data->lock == nullptr) {
    ASSIGN_OR_RETURN(data->lock, files.Lock(path, /*exclusive=*/true));
  }
  ASSIGN_OR_RETURN(data->machine,
                   state::StateMachine::Open(*data->tree, StateOptions(config), log));
  RETURN_IF_ERROR(CheckUnderstood(*data->machine));
  return data;
}

}  // namespace quoin::server
