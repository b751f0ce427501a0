// ApplyContext: what the parts of the apply loop work on: the present generation of the data, and
// the loops beside theirs.
//
// Thread: the apply loop. The loop owns it; its parts refer to it.
#pragma once

#include <memory>

#include "base/log.h"
#include "env/env.h"
#include "server/config.h"
#include "server/data.h"
#include "server/node_info.h"
#include "server/paths.h"

namespace quoin::server {

struct ApplyLoops {
  env::Executor& apply;
  env::Executor& raft;
  env::Executor& checkpoint;  // writes images and .snap files
  env::Executor& bulk;        // work of any length that holds nobody up
  env::Executor& lease;
};

struct ApplyContext {
  state::StateMachine& machine() { return *data->machine; }
  btree::Tree& tree() { return *data->tree; }
  // Where in the log the state stands, and the configuration there: by the members table, because
  // meta/confState of a restored directory still names the old cluster.
  raft::SnapshotMetadata Place() {
    return {machine().membership().ConfigurationState(), machine().applied_index(),
            machine().applied_term()};
  }

  const NodeConfig& config;
  NodeInfo& info;
  const ApplyLoops loops;
  env::FileSystem& files;
  const Paths paths;
  Logger& log;
  std::shared_ptr<Data> data;
  bool stopping = false;
};

}  // namespace quoin::server
