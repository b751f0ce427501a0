#include "env/sim/sim_file.h"

#include <utility>

namespace quoin::env {

SimFile::SimFile(SimDisk& disk, std::string path, std::shared_ptr<SimInode> inode, bool writable)
    : disk_(disk),
      path_(std::move(path)),
      inode_(std::move(inode)),
      writable_(writable),
      life_(disk.core_->life) {}

std::string SimFile::At(std::string_view verb, uint64_t offset) const {
  return std::string(verb) + " " + path_ + " at offset " + std::to_string(offset);
}

Status SimFile::Alive(const std::string& what) const {
  if (life_ == disk_.core_->life) return OkStatus();
  return absl::AbortedError(what + ": the machine went down");
}

Status SimFile::Begin(SimDisk::Kind kind, const std::string& what) {
  RETURN_IF_ERROR(Alive(what));
  if (!writable_) return absl::PermissionDeniedError(what + ": opened for reading");
  return disk_.Begin(kind, what);
}

void SimFile::Finish(Executor& on, SimDisk::Kind kind, DoneStatus done, Status status) {
  disk_.Complete(on, kind, nullptr, [done = std::move(done), status = std::move(status)]() mutable {
    done(std::move(status));
  });
}

void SimFile::Read(uint64_t offset, std::span<char> into, Executor& on, DoneStatus done) {
  StatusOr<size_t> got = Read(offset, into);
  Status status = got.status();
  if (got.ok() && *got < into.size())
    status = absl::OutOfRangeError(At("read", offset) + ": the file ends before");
  Finish(on, SimDisk::Kind::kRead, std::move(done), std::move(status));
}

void SimFile::Write(uint64_t offset, std::vector<std::string_view> pieces, Executor& on,
                    DoneStatus done) {
  std::string joined;
  for (std::string_view piece : pieces) joined += piece;
  Finish(on, SimDisk::Kind::kWrite, std::move(done), Write(offset, joined));
}

Status SimFile::BeginSync() {
  Status status = Begin(SimDisk::Kind::kSync, "fdatasync " + path_);
  const bool disk_failed = !status.ok() && Alive("").ok() && !disk_.power_is_out();
  if (disk_failed && writable_) inode_->FailSync(inode_->last_operation(), disk_.random_);
  return status;
}

// What was written before the call is durable when it completes, and not a moment earlier.
void SimFile::Sync(Executor& on, DoneStatus done) {
  Status status = BeginSync();
  if (!status.ok()) return Finish(on, SimDisk::Kind::kSync, std::move(done), std::move(status));
  const bool lies =
      !disk_.lying_syncs_.empty() && path_.find(disk_.lying_syncs_) != std::string::npos;
  disk_.Complete(
      on, SimDisk::Kind::kSync,
      [core = disk_.core_, life = life_, inode = inode_, mark = inode_->last_operation(), lies] {
        if (core->life == life && !lies) inode->Sync(mark);
      },
      [done = std::move(done)]() mutable { done(OkStatus()); });
}

void SimFile::Resize(uint64_t size, Executor& on, DoneStatus done) {
  Finish(on, SimDisk::Kind::kWrite, std::move(done), Resize(size));
}

StatusOr<size_t> SimFile::Read(uint64_t offset, std::span<char> into) {
  const std::string what = At("read", offset);
  RETURN_IF_ERROR(Alive(what));
  RETURN_IF_ERROR(disk_.BeginRead(what));
  return inode_->seen().Read(offset, into);
}

Status SimFile::Write(uint64_t offset, std::string_view data) {
  const std::string what = At("write", offset);
  Status status = Begin(SimDisk::Kind::kWrite, what);
  const uint64_t end = offset + data.size();
  if (status.ok() && end > inode_->space_bytes())
    status = disk_.CheckSpace(end - std::max(offset, inode_->space_bytes()), what);
  if (status.ok()) {
    disk_.Trace(data, offset);
    inode_->Write(offset, data);
  } else if (Alive("").ok() && !disk_.power_is_out() && writable_ && !data.empty()) {
    // A write that fails in the middle has taken the first sectors.
    const uint64_t stop = (offset + disk_.random_.Below(data.size())) / kSectorBytes * kSectorBytes;
    if (stop > offset) inode_->Write(offset, data.substr(0, stop - offset));
  }
  return status;
}

Status SimFile::Sync() {
  RETURN_IF_ERROR(BeginSync());
  inode_->Sync(inode_->last_operation());
  return OkStatus();
}

Status SimFile::Resize(uint64_t size) {
  const std::string what = "resize " + path_ + " to " + std::to_string(size);
  RETURN_IF_ERROR(Begin(SimDisk::Kind::kWrite, what));
  disk_.Trace("resize", size);
  inode_->Resize(size);
  return OkStatus();
}

Status SimFile::Allocate(uint64_t size) {
  const std::string what = "allocate " + std::to_string(size) + " bytes for " + path_;
  RETURN_IF_ERROR(Begin(SimDisk::Kind::kWrite, what));
  if (size > inode_->space_bytes())
    RETURN_IF_ERROR(disk_.CheckSpace(size - inode_->space_bytes(), what));
  disk_.Trace("allocate", size);
  if (size > inode_->seen().size()) inode_->Resize(size);
  inode_->Reserve(std::max(size, inode_->space_bytes()));
  return OkStatus();
}

StatusOr<uint64_t> SimFile::Size() {
  RETURN_IF_ERROR(Alive("stat " + path_));
  if (disk_.power_is_out()) return absl::AbortedError("stat " + path_ + ": the power is gone");
  return inode_->seen().size();
}

SimLock::SimLock(SimDisk& disk, std::shared_ptr<SimInode> inode, bool exclusive)
    : disk_(disk), inode_(std::move(inode)), exclusive_(exclusive), life_(disk.core_->life) {
  SimDisk::Holders& holders = disk_.locks_[inode_.get()];
  if (exclusive_)
    holders.exclusive = true;
  else
    ++holders.shared;
}

SimLock::~SimLock() {
  if (life_ != disk_.core_->life) return;
  auto found = disk_.locks_.find(inode_.get());
  if (exclusive_ || --found->second.shared == 0) disk_.locks_.erase(found);
}

}  // namespace quoin::env
