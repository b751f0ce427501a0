// Recovery: from a data directory to everything that a member starts from; and the making of a new
// directory.
//
// Thread: before the loops start; waits for the disk (env/blocking.h).
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "base/status.h"
#include "btree/tree.h"
#include "env/env.h"
#include "raft/raft.h"
#include "server/config.h"
#include "server/data.h"
#include "server/paths.h"
#include "state/state_machine.h"
#include "wal/wal.h"

namespace quoin::server {

struct Recovered {
  std::shared_ptr<Data> data;
  std::unique_ptr<wal::Writer> wal;
  wal::Metadata identity;
  raft::RecoveredState raft;
};

// Opens or makes the directory. What cannot be trusted is refused with file and offset, and nothing
// on disk has been changed then (but for the repair of a torn tail of the log, which is said in the
// log). `wal_loop` will run the log.
StatusOr<Recovered> RecoverOrCreate(env::Env& env, const NodeConfig& config,
                                    env::Executor& wal_loop, Logger& log);

}  // namespace quoin::server
