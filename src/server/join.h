// What a member without data asks the others before it starts: the ids of the cluster that it joins
// (--initial-cluster-state existing), or whether a new cluster has seen it before.
//
// A member that has been here and lost its data must not come back under its old id: it may have
// promised a vote or acknowledged an entry that it no longer knows of.
//
// Thread: one executor; `done` runs there, once, unless the object is destroyed before.
#pragma once

#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "base/log.h"
#include "env/env.h"
#include "server/config.h"

namespace quoin::server {

// Whether this member has no log yet, and so has to ask. Waits for the disk.
bool IsNewMember(env::BlockingFileSystem& files, const NodeConfig& config);

class Joining {
 public:
  // The cluster to join, or nothing when a new one is made; an error in etcd's words otherwise.
  using Done = absl::AnyInvocable<void(StatusOr<std::optional<NodeConfig::Existing>>)>;
  virtual ~Joining() = default;
  static std::unique_ptr<Joining> Start(env::Env& env, env::Executor& loop,
                                        const NodeConfig& config, Logger& log, Done done);
};

}  // namespace quoin::server
