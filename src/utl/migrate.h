// migrate: the version that a data file is readable by, set while no server runs on it.
//
// Thread: one; waits for the disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "env/blocking.h"

namespace quoin::utl {

// "3.6" → 3.6.0. InvalidArgument with etcdutl's texts; versions below 3.5 are refused.
StatusOr<Version> ParseTarget(std::string_view text);

enum class Force : uint8_t { kNo, kYes };

// Sets the storage version of <data_dir>/member/snap/db; below 3.6 a file names none. Refuses a
// target that the log has newer entries than, unless forced. Changes one row in one checkpoint.
// REQUIRES: the caller holds the file's lock.
Status Migrate(env::BlockingFileSystem& files, const std::string& data_dir, const Version& target,
               Force force, Logger& log);

}  // namespace quoin::utl
