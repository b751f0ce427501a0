// The tree file that travels with a MsgSnap: ImageSource reads one out of a frozen image,
// ReceivedTree stores one beside the member's own.
//
// Thread: the peer loop; images are read on the storage loop, arriving files are written and opened
// on the bulk loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/log.h"
#include "env/env.h"
#include "peer/transport.h"
#include "server/config.h"
#include "server/frozen_image.h"
#include "server/paths.h"
#include "server/received_trees.h"

namespace quoin::server {

std::unique_ptr<peer::SnapshotSource> NewImageSource(std::shared_ptr<FrozenImage> image,
                                                     env::Executor& peer, env::Executor& storage);

// Where a received tree goes. What it refers to outlives the sink and what that has posted.
struct ReceivedTreeHost {
  const Paths& paths;
  const NodeConfig& config;
  env::FileSystem& files;
  env::Executor& peer;
  env::Executor& bulk;
  ReceivedTrees& trees;
  Logger& log;
  // The tree is sound, durable and among `trees`; runs on `bulk`, before Finish answers.
  std::function<void(raft::Message)> stored;
};

// What arrives goes to a file of its own first. Finish makes it durable, opens it (every page and
// every record is looked at), checks that its state is the one of the message's log index, and adds
// it to the received trees. Errors (a full disk, a damaged tree) are the sender's
// to hear: nothing of this member depends on the file yet.
std::unique_ptr<peer::SnapshotSink> NewReceivedTree(const raft::Message& message, uint64_t number,
                                                    ReceivedTreeHost host);

}  // namespace quoin::server
