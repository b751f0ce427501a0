// What is asked of this program and is not in it: it says where it is, or that there is none yet.
#include <fmt/format.h>

#include "cli/help.h"
#include "ctl/families.h"

namespace quoin::ctl {

// Looking at a snapshot file and making a directory of one need no server.
ExitCode RunSnapshotOffline(Invocation& invocation) {
  return invocation.Fail(
      ExitCode::kBadArguments,
      fmt::format("{} works on files: use quoinutl {}", cli::CommandPath(invocation.path()),
                  cli::CommandPath(std::span(invocation.path()).subspan(1))));
}

ExitCode RunNotBuilt(Invocation& invocation) {
  return invocation.Fail(ExitCode::kError,
                         fmt::format("{} is not built yet; etcdctl works with these servers, too",
                                     cli::CommandPath(invocation.path())));
}

}  // namespace quoin::ctl
