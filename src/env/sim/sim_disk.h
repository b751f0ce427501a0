// SimDisk: one simulated machine's files. What programs see is kept apart from what is on the
// platter; a crash loses what was not synced, sector by sector and directory entry by directory
// entry, as drawn.
//
//   write, resize   → seen at once; what a crash leaves of it: env/sim/sim_inode.h
//   Sync            → all bytes and the length from before the call are durable when it completes
//   create, rename, → seen at once; a crash leaves some first part of those that no SyncDirectory
//   remove            has covered: env/sim/sim_names.h. Syncing a file does not make its name
//                     durable.
//
// With a world, asynchronous operations complete after drawn virtual times. Without one the disk
// stands alone, for tests that enumerate crashes:
//
//   for (uint64_t k = 0;; ++k) {
//     SimDisk disk;
//     disk.set_power_fails_at(k);
//     if (Work(disk).ok()) break;      // ran to its end: every step has been tried
//     disk.Restart(/*seed=*/k);
//     Recover(disk);
//   }
//
// Thread: one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "env/blocking.h"
#include "env/file.h"
#include "env/sim/sim_names.h"

namespace quoin::env {

class SimWorld;

// A range of virtual time to draw from. Value type.
struct SimTimes {
  Duration least{0};
  Duration most{0};
};

// How long asynchronous operations take. Value type.
struct SimDiskTimes {
  SimTimes read{std::chrono::microseconds(1), std::chrono::microseconds(50)};
  SimTimes write{std::chrono::microseconds(1), std::chrono::microseconds(50)};
  SimTimes sync{std::chrono::microseconds(60), std::chrono::milliseconds(2)};
  SimTimes names{std::chrono::microseconds(1), std::chrono::microseconds(50)};
  // Once in a while everything waits.
  double stall_chance = 0;
  SimTimes stall{std::chrono::milliseconds(100), std::chrono::seconds(2)};
};

// Thread: one.
class SimDisk final : public FileSystem, public BlockingFileSystem {
 public:
  explicit SimDisk(SimWorld* world = nullptr);
  ~SimDisk() override;

  // --- what a program did ---

  // Changes of the disk, counted: files and directories made, writes, syncs, resizes, renames,
  // removals, directory syncs.
  uint64_t operations() const { return operations_; }

  // --- faults ---

  // The operation with this number does not happen, and from then on everything fails with Aborted
  // until the next crash: the power is gone.
  void set_power_fails_at(uint64_t operation) { power_fails_at_ = operation; }
  bool power_is_out() const { return power_is_out_; }
  // The operation with this number fails once with `status`.
  void set_fails_at(uint64_t operation, Status status) {
    fails_at_ = {operation, std::move(status)};
  }
  // The nth sync (write) from now fails: 1 = the next one. A write that fails may have written its
  // first sectors. After a sync that fails some of what it should have carried is durable and some
  // never will be, whatever is synced later.
  void FailSync(uint64_t nth, Status status) { FailNth(Kind::kSync, nth, std::move(status)); }
  void FailWrite(uint64_t nth, Status status) { FailNth(Kind::kWrite, nth, std::move(status)); }
  // The nth read from now fails.
  void FailRead(uint64_t nth, Status status) { FailNth(Kind::kRead, nth, std::move(status)); }
  // All files together may take this much; beyond it writes fail with ResourceExhausted.
  void set_space_bytes_max(uint64_t bytes) { space_bytes_max_ = bytes; }
  uint64_t space_bytes() const;
  enum class Damage : uint8_t { kFlipBit, kZero };
  // Bad media: changes what is read of one sector from now on. Not counted as an operation.
  Status DamageSector(const std::string& path, uint64_t sector, Damage damage, uint64_t seed = 1);
  // Asynchronous syncs of files whose path contains this say OK and make nothing durable: what a
  // program looks like that answers before its sync. Empty = none.
  void set_lying_syncs(std::string path_part) { lying_syncs_ = std::move(path_part); }
  // The same for directories alone: new names are not durable when they count as such.
  void set_lying_directory_syncs(std::string path_part) {
    lying_directory_syncs_ = std::move(path_part);
  }
  void set_times(const SimDiskTimes& times) { times_ = times; }
  void set_sync_time(Duration least, Duration most) { times_.sync = {least, most}; }
  // Off, no sector is torn; on (as at first), those without a durable byte may be.
  void set_tears_sectors(bool tears) { tears_sectors_ = tears; }

  // --- crashes ---

  // The power fails and comes back: loses what that loses. Every File and lock made before is dead
  // (its operations fail); faults that were set are gone, times and the space limit stay.
  void Crash(Prng& random);
  void Restart(uint64_t seed);
  // Without power everything fails with Aborted: between a crash and the next start.
  void SetPower(bool on) { power_is_out_ = !on; }
  // A disk with the same content, durable and not, without open files, faults or a world.
  std::unique_ptr<SimDisk> Clone() const;

  // --- FileSystem ---
  void Open(std::string path, OpenMode mode, Executor& on,
            absl::AnyInvocable<void(StatusOr<std::unique_ptr<File>>)> done) override;
  void Rename(std::string from, std::string to, Executor& on, DoneStatus done) override;
  void Remove(std::string path, Executor& on, DoneStatus done) override;
  void SyncDirectory(std::string path, Executor& on, DoneStatus done) override;
  BlockingFileSystem& blocking() override { return *this; }

  // --- BlockingFileSystem ---
  StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode,
                                       uint32_t permissions = 0600) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status RemoveAll(const std::string& path) override;
  Status MakeDirectory(const std::string& path, uint32_t permissions = 0700) override;
  Status SyncDirectory(const std::string& path) override;
  StatusOr<std::vector<std::string>> List(const std::string& path) override;
  StatusOr<FileInfo> Stat(const std::string& path) override;
  StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, bool exclusive) override;

 private:
  friend class SimFile;
  friend class SimLock;
  enum class Kind : uint8_t { kRead, kWrite, kSync, kNames };
  struct Fault {
    Kind kind;
    uint64_t left;  // 1 = the next one
    Status status;
  };
  struct Holders {
    int shared = 0;
    bool exclusive = false;
  };
  // What outlives the disk in events of the world.
  struct Core {
    SimNames names;
    uint64_t life = 1;  // grows with every crash: older files are dead
  };

  bool DirectoryLies(const std::string& path) const {
    return !lying_directory_syncs_.empty() &&
           path.find(lying_directory_syncs_) != std::string::npos;
  }
  void FailNth(Kind kind, uint64_t nth, Status status);
  // Stands before every operation: its number, its faults. `what` is for errors and the trace.
  Status Begin(Kind kind, const std::string& what);
  Status BeginRead(const std::string& what);
  Status TakeFault(Kind kind, const std::string& what);
  Status CheckSpace(uint64_t more_bytes, const std::string& what) const;
  void Trace(std::string_view what, uint64_t number);
  // Runs `effect` and then posts `task` to `on`, both after a drawn time.
  void Complete(Executor& on, Kind kind, Task effect, Task task);
  Duration DrawTime(Kind kind);

  SimWorld* const world_;
  std::shared_ptr<Core> core_ = std::make_shared<Core>();
  std::map<const SimInode*, Holders> locks_;  // looked up only
  Prng random_{1};                            // what faults leave
  uint64_t operations_ = 0;
  uint64_t power_fails_at_ = UINT64_MAX;
  bool power_is_out_ = false;
  bool tears_sectors_ = true;
  std::optional<std::pair<uint64_t, Status>> fails_at_;
  std::vector<Fault> faults_;
  uint64_t space_bytes_max_ = UINT64_MAX;
  std::string lying_syncs_, lying_directory_syncs_;
  SimDiskTimes times_;
};

}  // namespace quoin::env
