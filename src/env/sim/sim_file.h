// SimFile, SimLock: what a program holds of a simulated disk. Both are dead after a crash of it.
//
// Thread: one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/sim/sim_disk.h"

namespace quoin::env {

// An open file: an inode, wherever its names go. Thread: one.
class SimFile final : public File, public BlockingFile {
 public:
  SimFile(SimDisk& disk, std::string path, std::shared_ptr<SimInode> inode, bool writable);

  void Read(uint64_t offset, std::span<char> into, Executor& on, DoneStatus done) override;
  void Write(uint64_t offset, std::vector<std::string_view> pieces, Executor& on,
             DoneStatus done) override;
  void Sync(Executor& on, DoneStatus done) override;
  void Resize(uint64_t size, Executor& on, DoneStatus done) override;
  BlockingFile& blocking() override { return *this; }
  const std::string& path() const override { return path_; }

  StatusOr<size_t> Read(uint64_t offset, std::span<char> into) override;
  Status Write(uint64_t offset, std::string_view data) override;
  Status Sync() override;
  Status Resize(uint64_t size) override;
  Status Allocate(uint64_t size) override;
  StatusOr<uint64_t> Size() override;

 private:
  Status Alive(const std::string& what) const;
  Status Begin(SimDisk::Kind kind, const std::string& what);
  Status BeginSync();
  std::string At(std::string_view verb, uint64_t offset) const;
  void Finish(Executor& on, SimDisk::Kind kind, DoneStatus done, Status status);

  SimDisk& disk_;
  const std::string path_;
  const std::shared_ptr<SimInode> inode_;
  const bool writable_;
  const uint64_t life_;
};

// Thread: one.
class SimLock final : public FileLock {
 public:
  SimLock(SimDisk& disk, std::shared_ptr<SimInode> inode, bool exclusive);
  ~SimLock() override;

 private:
  SimDisk& disk_;
  const std::shared_ptr<SimInode> inode_;
  const bool exclusive_;
  const uint64_t life_;
};

}  // namespace quoin::env
