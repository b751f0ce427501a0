// What the log says before the member starts: what its data directory looks like, and the whole
// configuration, in the lines and fields that etcd has for them.
//
// Thread: the main thread, before the member runs.
#pragma once

#include "base/log.h"
#include "base/status.h"
#include "config/config.h"
#include "env/blocking.h"

namespace quoin::main {

// Looks at the data directory: strangers in it and loose permissions are warned about. Fails when
// it was a proxy's.
Status InspectDataDirectory(env::BlockingFileSystem& files, const config::Config& config,
                            Logger& log);

// "starting an etcd server". `initialized`: the member has data already.
void LogConfiguration(const config::Config& config, bool initialized, Logger& log);

}  // namespace quoin::main
