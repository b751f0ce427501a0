// defrag: the data file written anew, without free pages, while no server runs on it.
//
// Thread: one; waits for the disk.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "env/blocking.h"

namespace quoin::utl {

// Value type.
struct Defragmented {
  uint64_t bytes_before = 0, bytes_after = 0;
};

// The file is replaced when the new one is complete, checked, durable and smaller; until then, and
// after any error, the old one stands. REQUIRES: the caller holds the file's lock.
StatusOr<Defragmented> Defragment(env::BlockingFileSystem& files, const std::string& data_dir);

}  // namespace quoin::utl
