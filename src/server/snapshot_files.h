// The tree file that travels with a MsgSnap: ImageSource reads one out of a frozen image,
// ReceivedTree stores one beside the member's own.
//
// Thread: the peer loop; their file work runs on the storage loop.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "env/env.h"
#include "peer/transport.h"
#include "server/config.h"
#include "server/frozen_image.h"
#include "server/paths.h"

namespace quoin::server {

std::unique_ptr<peer::SnapshotSource> NewImageSource(std::shared_ptr<FrozenImage> image,
                                                     env::Executor& peer, env::Executor& storage);

// What arrives goes to a file of its own first. Finish makes it durable, opens it as the apply loop
// will (every page and every record is looked at), checks that its state is the one of log index
// `index`, and names it as recovery and the apply loop expect it. `config` and `log` outlive it and
// what it has posted. Errors (a full disk, a damaged tree) are the sender's to hear: nothing of
// this member depends on the file yet.
std::unique_ptr<peer::SnapshotSink> NewReceivedTree(Index index, uint64_t number,
                                                    const Paths& paths, const NodeConfig& config,
                                                    env::FileSystem& files, env::Executor& peer,
                                                    env::Executor& storage, Logger& log);

}  // namespace quoin::server
