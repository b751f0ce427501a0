// ReceivedTrees: the tree files that came with MsgSnaps, named and open, until raft has said of
// each message what becomes of it.
//
// Thread: the bulk loop; Drop is called on any.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "env/env.h"
#include "raft_types/types.h"
#include "server/data.h"
#include "server/paths.h"

namespace quoin::server {

class ReceivedTrees {
 public:
  ReceivedTrees(env::BlockingFileSystem& files, const NodeConfig& config, env::Executor& bulk)
      : files_(files), paths_(config), bulk_(bulk) {}

  // Gives the file at `path`, open as `data`, the name under which recovery looks for it. Two of
  // one index hold the same state: the later one takes the name.
  Status Add(Index index, const std::string& path, std::shared_ptr<Data> data);
  // Puts the file of `index` into the place of the member's own. An error is that of the disk.
  // REQUIRES: raft has taken a message that was added here.
  StatusOr<std::shared_ptr<Data>> Take(Index index);
  // Raft has no use for one message of `index`. The file goes with the last of its messages.
  void Drop(Index index);

 private:
  struct Tree {
    std::shared_ptr<Data> data;
    int messages = 0;  // that raft has not decided about
  };
  void DropHere(Index index);

  env::BlockingFileSystem& files_;
  const Paths paths_;
  env::Executor& bulk_;
  std::map<Index, Tree> trees_;
};

}  // namespace quoin::server
