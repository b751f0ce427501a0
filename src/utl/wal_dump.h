// The log as text, record by record: file, offset, type, and what the record says.
//
// Thread: one; waits for the disk.
#pragma once

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "base/log.h"
#include "base/status.h"
#include "env/blocking.h"

namespace quoin::utl {

// Calls `print` with one line per record, in log order, then with one that says how the log ends.
// A record that is damaged gets a line, and the rest of its segment none; then, or when the records
// do not make a log, the Status says why a server would refuse it. Nothing on disk is changed.
// Passwords and tokens are left out.
Status DumpLog(env::BlockingFileSystem& files, const std::string& dir, Logger& log,
               absl::FunctionRef<void(std::string_view line)> print);

}  // namespace quoin::utl
