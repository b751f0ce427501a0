// What can be kept of a log that Recover refuses, and what is lost with the rest. For an operator
// who has nothing better: with other members alive, one that is added anew loses nothing.
//
// Thread: one; waits for the disk.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "env/blocking.h"
#include "wal/wal.h"

namespace quoin::wal {

// What a log says up to the first thing that is no record of it. Value type.
struct Salvage {
  Metadata metadata;
  Index last_kept;  // entry; 0 = none
  raft::HardState kept_state;
  std::vector<raft::Entry> entries;  // one after another, up to last_kept
  Status kept;                       // whether Recover takes what is kept for a whole log
  // Where it stops to make sense; nullopt: all of it can be read.
  struct Stop {
    std::string path;     // the segment
    uint64_t offset = 0;  // in it: what stands before is kept. Never 0
    uint32_t crc = 0;     // the chain's value there
    std::string reason;   // why the log does not go on there
  };
  std::optional<Stop> stop;
  std::vector<std::string> later_segments;  // paths; none of them can be kept
  // What can still be read of the rest: at least this is lost.
  uint64_t lost_bytes = 0;
  uint64_t lost_entries = 0;
  Index lost_first, lost_last;                // of the entries that can be read
  std::optional<raft::HardState> lost_state;  // the highest term and commit index in them
  Index lost_to;  // the last entry that stood there, as records and names of segments tell
};

// Reads the log so. `applied_floor` as for Recover. DataLoss: not even its head can be read.
StatusOr<Salvage> ReadSalvage(env::BlockingFileSystem& files, const std::string& dir,
                              Index applied_floor);

// Cuts the log off where it stops to make sense. What is cut off is kept under names with
// `.broken`, and everything is durable when this returns. The log goes on in `term`, in which it
// has given no vote. REQUIRES: salvage.stop; `term` is higher than what is known of the log's.
Status CutOff(env::BlockingFileSystem& files, const std::string& dir, const Salvage& salvage,
              Term term, Logger& log);

}  // namespace quoin::wal
