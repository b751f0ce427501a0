// A data directory or snapshot file, opened to look at: nothing on disk is changed. The log's
// committed entries beyond the data file are applied in memory.
//
// Thread: one; waits for the disk.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "base/status.h"
#include "btree/tree.h"
#include "env/blocking.h"
#include "state/state_machine.h"
#include "wal/wal.h"

namespace quoin::utl {

// What a directory (or file) holds once it has been brought to its head. Value type; owns all of
// it.
struct Directory {
  std::unique_ptr<btree::Tree> tree;
  std::unique_ptr<state::StateMachine> machine;
  std::optional<wal::Recovered> log;  // absent for a snapshot file
  uint64_t index_in_file = 0;         // applied index that the data file itself has
};

// `path`: a data directory (with member/ below it) or a data file, which must be a whole database
// (snapshot_file.h). DataLoss, with file and offset, when it is not to be trusted.
StatusOr<Directory> Load(env::BlockingFileSystem& files, const std::string& path, Logger& log);

}  // namespace quoin::utl
