// What stands at the end of a log, and whether a bad record there is a write that the power
// interrupted or damage (docs/formats/wal.md, "The end"); and the repair of a torn end.
//
// Thread: before the loops run; Repair waits for the disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/status.h"
#include "env/blocking.h"
#include "raft_types/types.h"

namespace quoin::wal {

// Behind damage in what has no mark: whether a write ends behind `from`, by a state record, and
// another one begins after it.
bool LaterWriteExists(std::string_view segment, size_t from);

// Whether records of one chain, more than one write of them, run from somewhere behind `from` to
// the end of all that is in `segment`: another program went on there.
bool RecordsRunToTheEnd(std::string_view segment, size_t from);

// Whether some sector's part of [at, at + bytes) is empty: what a disk that lost power leaves of an
// unfinished write.
bool HasEmptySector(std::string_view segment, size_t at, size_t bytes);

// The last segment as it was read. Value type.
struct Tail {
  std::string dir, path;
  uint64_t sequence = 0;
  std::string_view content;
  size_t proven = 0;  // what stands before is durable
  size_t end = 0;     // what stands from here on is to be cut off, if `torn`
  uint32_t crc = 0;   // the chain's value at `end`
  bool torn = false;
  // A mark that is not the mark of what stands behind it.
  struct Open {
    size_t offset = 0;
    size_t records_at = 0;  // ≤ end
    uint32_t crc = 0;       // the chain's value there
  };
  std::optional<Open> open;
  // A state that is put behind what is valid.
  std::optional<raft::HardState> state;
};

// Makes durable what was read: nobody knows whether what stands behind `proven` was ever synced.
// Where something is to be cut off, or a mark does not fit, a new file takes the segment's name in
// one step: what is valid, under a mark that fits. Nothing valid is ever written over. What is cut
// off is kept: a copy of the old file is durable before. Returns where the next record goes.
StatusOr<size_t> Settle(env::BlockingFileSystem& files, const Tail& tail, Logger& log);

}  // namespace quoin::wal
