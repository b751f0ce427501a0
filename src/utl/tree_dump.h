// The data file as text: its meta pages, how its pages are used, and bucket by bucket what it
// holds.
//
// Thread: one; waits for the disk.
#pragma once

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "env/blocking.h"

namespace quoin::utl {

// Calls `print` with one line at a time. DataLoss, with page and offset, when the file's structure
// is damaged; then nothing has been printed. Password hashes are left out.
Status DumpTree(env::BlockingFileSystem& files, const std::string& path,
                absl::FunctionRef<void(std::string_view line)> print);

}  // namespace quoin::utl
