// SnapshotFile: a snapshot on its way from a server to a file that is either whole or absent.
//
//   snapshot := data digest        digest := SHA-256 of data, 32 bytes       length(data) is a
//   multiple of 512
//
// The bytes go to "<path>.part". Commit() compares the digest, syncs, renames to <path> and syncs
// the directory; a SnapshotFile that is destroyed before that removes the part file.
//
// Thread: one at a time. Its calls wait for the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "env/blocking.h"
#include "env/env.h"

namespace quoin::ctl {

class SnapshotFile {
 public:
  static StatusOr<std::unique_ptr<SnapshotFile>> Create(env::FileSystem& files, std::string path);
  ~SnapshotFile();
  SnapshotFile(const SnapshotFile&) = delete;
  SnapshotFile& operator=(const SnapshotFile&) = delete;

  Status Append(std::string_view bytes);
  // No call may follow.
  Status Commit();

  const std::string& part_path() const { return part_path_; }
  uint64_t size() const { return size_; }

 private:
  class Sha256;

  SnapshotFile(env::FileSystem& files, std::string path);
  Status CheckDigest();

  env::BlockingFileSystem& files_;
  const std::string path_;
  const std::string part_path_;
  std::unique_ptr<env::File> file_;
  std::unique_ptr<Sha256> hash_;  // over all bytes but those in tail_
  std::string tail_;              // the last bytes, up to a digest's length: perhaps the digest
  uint64_t size_ = 0;
};

}  // namespace quoin::ctl
