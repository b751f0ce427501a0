// PosixFileSystem: files by system calls.
#pragma once

#include <memory>
#include <string>

#include "env/blocking.h"
#include "env/file.h"

namespace quoin::env {

// System calls at once, on the calling thread; completions posted as the contract says. Thread:
// any.
class PosixFileSystem final : public FileSystem, public BlockingFileSystem {
 public:
  void Open(std::string path, OpenMode mode, Executor& on,
            absl::AnyInvocable<void(StatusOr<std::unique_ptr<File>>)> done) override;
  void Rename(std::string from, std::string to, Executor& on, DoneStatus done) override;
  void Remove(std::string path, Executor& on, DoneStatus done) override;
  void SyncDirectory(std::string path, Executor& on, DoneStatus done) override;
  BlockingFileSystem& blocking() override { return *this; }

  StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode,
                                       uint32_t permissions) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status RemoveAll(const std::string& path) override;
  Status MakeDirectory(const std::string& path, uint32_t permissions) override;
  Status SyncDirectory(const std::string& path) override;
  StatusOr<std::vector<std::string>> List(const std::string& path) override;
  StatusOr<FileInfo> Stat(const std::string& path) override;
  StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, bool exclusive) override;
};

}  // namespace quoin::env
