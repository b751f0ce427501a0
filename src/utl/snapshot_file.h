// A snapshot file, or a copy of a member's data file: whether it is one, and how long its content
// is.
//
// Thread: one; waits for the disk.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "env/blocking.h"

namespace quoin::utl {

// A snapshot file's content length: a SHA-256 trailer (file size mod 512 == 32) is verified and
// left off. `required`: a file without one is InvalidArgument.
StatusOr<uint64_t> CheckDigest(env::BlockingFileSystem& files, const std::string& path,
                               bool required);

// The same without a look at the digest.
StatusOr<uint64_t> LengthWithoutDigest(env::BlockingFileSystem& files, const std::string& path);

// Whether the file is a whole database of etcd's: every page that its newest meta page reaches is
// there and sound, and it has the buckets that each such database has from its first moment.
// Returns its length in bytes: high-water mark × page size. DataLoss with "invalid database", the
// path and the reason otherwise.
StatusOr<uint64_t> CheckDatabase(env::BlockingFileSystem& files, const std::string& path);

}  // namespace quoin::utl
