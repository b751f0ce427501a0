// Data: one generation of the member's replicated state: the tree file, its lock and the state
// machine on it. A snapshot from the leader replaces the whole generation; whoever still reads the
// old one keeps it alive.
//
// Thread: made and changed by the apply loop; read by all (see btree/tree.h); let go of on the
// bulk loop, where destroying it hurts nobody.
#pragma once

#include <memory>

#include "base/log.h"
#include "btree/tree.h"
#include "env/env.h"
#include "server/config.h"
#include "state/state_machine.h"

namespace quoin::server {

struct Data {
  std::unique_ptr<env::FileLock> lock;
  std::unique_ptr<btree::Tree> tree;
  std::unique_ptr<state::StateMachine> machine;
};

// A generation of the data, and the storage loop's slot for reading it. A reader over several turns
// keeps it, and goes on reading the generation that it began with.
// Thread: the storage loop; let go of anywhere.
struct StorageReader {
  explicit StorageReader(std::shared_ptr<Data> of)
      : data(std::move(of)), slot(data->tree->epochs()) {}
  mvcc::Store& store() { return data->machine->store(); }

  const std::shared_ptr<Data> data;
  EpochDomain::ReaderSlot slot;
};

// Opens or makes the tree file at `path`, locks it, and loads the state machine. Waits for the
// disk. Unimplemented: this version does not know what the state means: it is of a later one, or
// has auth on.
StatusOr<std::shared_ptr<Data>> OpenData(env::BlockingFileSystem& files, const std::string& path,
                                         const NodeConfig& config, Logger& log);

}  // namespace quoin::server
