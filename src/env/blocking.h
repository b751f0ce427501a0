// The waiting half of env/file.h: for recovery at start, for tools, and for page loads on executors
// that may wait. In the simulator these take no virtual time.
//
// Thread: any; one file by one thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "env/file.h"

namespace quoin::env {

class BlockingFile {
 public:
  virtual ~BlockingFile() = default;
  // Reads up to into.size() bytes; fewer only at the end of the file.
  virtual StatusOr<size_t> Read(uint64_t offset, std::span<char> into) = 0;
  // Fills `into` if that needs no waiting for the disk; else Unavailable. Thread: any, also while
  // another one uses the file.
  virtual StatusOr<size_t> ReadNow(uint64_t /*offset*/, std::span<char> /*into*/) {
    return absl::UnavailableError("nothing is known to be in memory");
  }
  virtual Status Write(uint64_t offset, std::string_view data) = 0;
  virtual Status Sync() = 0;
  virtual Status Resize(uint64_t size) = 0;
  // Reserves space and makes the length `size`, reading as zeros; fails with ResourceExhausted on a
  // full disk.
  virtual Status Allocate(uint64_t size) = 0;
  virtual StatusOr<uint64_t> Size() = 0;
};

struct FileInfo {
  uint64_t size = 0;
  bool is_directory = false;
  uint32_t mode = 0;
};

// A held lock; released by destruction.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

class BlockingFileSystem {
 public:
  virtual ~BlockingFileSystem() = default;
  virtual StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode,
                                               uint32_t permissions = 0600) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;
  virtual Status RemoveAll(const std::string& path) = 0;
  // Makes missing parents too. OK when it exists.
  virtual Status MakeDirectory(const std::string& path, uint32_t permissions = 0700) = 0;
  virtual Status SyncDirectory(const std::string& path) = 0;
  // Names only, sorted.
  virtual StatusOr<std::vector<std::string>> List(const std::string& path) = 0;
  // NotFound when absent.
  virtual StatusOr<FileInfo> Stat(const std::string& path) = 0;
  bool Exists(const std::string& path) { return Stat(path).ok(); }
  // MakeDirectory, and the names of all that it made are durable, up to the parent that was there.
  Status MakeDurableDirectory(const std::string& path, uint32_t permissions = 0700) {
    std::vector<std::string> parents;  // of what is missing
    for (std::string at = path; !at.empty() && !Exists(at);) {
      const size_t name = at.find_last_not_of('/');
      const size_t slash = name == std::string::npos ? name : at.find_last_of('/', name);
      at = slash == std::string::npos ? "" : at.substr(0, std::max<size_t>(slash, 1));
      parents.push_back(at.empty() ? "." : at);
    }
    RETURN_IF_ERROR(MakeDirectory(path, permissions));
    for (const std::string& parent : parents) RETURN_IF_ERROR(SyncDirectory(parent));
    return OkStatus();
  }
  // flock: exclusive or shared; FailedPrecondition when another process (or another Lock) holds it.
  virtual StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, bool exclusive) = 0;
};

}  // namespace quoin::env
