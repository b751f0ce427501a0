// A log that still has its first entry: all that a member holds can be made of it again.
//
// Thread: one; waits for the disk.
#pragma once

#include "wal/wal.h"

namespace quoin::wal {

// Reads a log as Recover does, but from its first entry on instead of from its newest snapshot: for
// a member whose data file is gone. NotFound when it does not hold everything: its first entries
// are gone, a leader's snapshot took the place of some, or what it begins with was not made of
// entries (a restored snapshot: nothing but the members stands in front of its first snapshot
// record). DataLoss as Recover.
StatusOr<Recovered> RecoverWhole(env::BlockingFileSystem& files, const std::string& dir,
                                 ReadMode mode, Logger& log);

}  // namespace quoin::wal
