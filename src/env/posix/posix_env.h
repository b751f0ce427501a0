// The production world: threads with epoll, files, sockets. The only folder that makes system calls
// for the server.
#pragma once

#include <memory>

#include "env/blocking.h"
#include "env/env.h"

namespace quoin::env {

// Each executor has a thread of its own.
std::unique_ptr<Env> NewPosixEnv();
// Only files, for tools: its asynchronous half completes on the executor that is named, as
// everywhere.
std::unique_ptr<FileSystem> NewPosixFileSystem();

}  // namespace quoin::env
