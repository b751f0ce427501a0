// SimDisk: one simulated machine's files. It keeps what programs see apart from what is on the
// platter; a crash loses what was not synced, sector by sector and directory entry by directory
// entry, as drawn.
//
//   write      → seen at once; each 512-byte sector of it may or may not be on the platter after a
//   crash Sync       → all bytes and the length that were written before the call are create,
//   rename, remove → seen at once; after a crash some first part of those not yet covered by a
//   SyncDirectory of
//                their directory has happened
// A sector is old or new after a crash, never a mixture; bytes that were durable stay so.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "env/blocking.h"
#include "env/file.h"

namespace quoin::env {

class SimWorld;

// Thread: one.
class SimDisk final : public FileSystem, public BlockingFileSystem {
 public:
  // With a world, asynchronous operations complete after a drawn time; without one they complete at
  // once.
  explicit SimDisk(SimWorld* world = nullptr) : world_(world) {}

  // What a program does to the disk, counted: writes, syncs, resizes, renames, removals, directory
  // syncs.
  uint64_t operations() const { return operations_; }
  // The operation with this number, and every later one, fails with Aborted and does nothing: the
  // power is gone.
  void set_power_fails_at(uint64_t operation) { power_fails_at_ = operation; }
  // The operation with this number fails once with `status`.
  void set_fails_at(uint64_t operation, Status status) {
    fails_at_ = {operation, std::move(status)};
  }
  // How long an asynchronous sync takes.
  void set_sync_time(Duration least, Duration most) { sync_least_ = least, sync_most_ = most; }

  // Loses what a power failure loses. Every File and lock made before is dead (its operations
  // fail).
  void Crash(Prng& random);

  // --- FileSystem ---
  void Open(std::string path, OpenMode mode, Executor& on,
            absl::AnyInvocable<void(StatusOr<std::unique_ptr<File>>)> done) override;
  void Rename(std::string from, std::string to, Executor& on, DoneStatus done) override;
  void Remove(std::string path, Executor& on, DoneStatus done) override;
  void SyncDirectory(std::string path, Executor& on, DoneStatus done) override;
  BlockingFileSystem& blocking() override { return *this; }

  // --- BlockingFileSystem ---
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

 private:
  friend class SimFile;
  friend class SimLock;
  struct Inode {
    std::string seen;          // what programs read
    std::string durable;       // what is on the platter
    std::set<uint64_t> dirty;  // sectors in which they may differ
    bool length_differs = false;
  };
  // A change of the namespace that no directory sync has covered yet. Renaming a directory moves
  // all below it.
  struct Change {
    std::string from;              // gone afterwards ("" = nothing goes)
    std::string to;                // there afterwards ("" = nothing comes)
    std::shared_ptr<Inode> inode;  // creation of a file
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  Status Count();
  void Note(Change change);
  static void Carry(const Change& change, Names& names);
  static void SyncInode(Inode& inode);
  Duration DrawTime(bool sync);
  void Complete(Executor& on, bool sync, Task task);

  SimWorld* const world_;
  Names seen_, durable_;
  std::set<std::string> directories_;
  std::vector<Change> changes_;
  std::set<std::string> locks_;
  uint64_t life_ = 1;  // grows with every crash: older files are dead
  uint64_t operations_ = 0;
  uint64_t power_fails_at_ = UINT64_MAX;
  std::optional<std::pair<uint64_t, Status>> fails_at_;
  Duration sync_least_ = std::chrono::microseconds(60), sync_most_ = std::chrono::milliseconds(2);
};

}  // namespace quoin::env
