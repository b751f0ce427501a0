// Files: asynchronous by contract, so that a simulated disk can be slow, torn and lying on one
// thread.
//
// A completion is posted to the executor that the call names, never run inside the call. posix/
// does the system call at once on the calling thread, so only executors that may wait for a disk
// (wal, storage) call these. Errors carry the path and the offset. A failed Sync leaves the file in
// an unknown state: nobody may retry it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/status.h"
#include "env/executor.h"

namespace quoin::env {

class BlockingFile;
class BlockingFileSystem;

using DoneStatus = absl::AnyInvocable<void(Status)>;

// Thread: each operation from any one executor at a time per file; reads from any. Closed by
// destruction (operations under way complete or are dropped first).
class File {
 public:
  virtual ~File() = default;
  // Fills `into` completely, or fails (OutOfRange when the file ends before). `into` stays valid
  // until done.
  virtual void Read(uint64_t offset, std::span<char> into, Executor& on, DoneStatus done) = 0;
  // Writes the pieces one after another at `offset`, all or an error. The pieces stay valid until
  // done.
  virtual void Write(uint64_t offset, std::vector<std::string_view> pieces, Executor& on,
                     DoneStatus done) = 0;
  // Asks that what was written to this range goes to the disk soon, so that a later Sync finds
  // little to do. Promises nothing.
  virtual void StartWriteback(uint64_t /*offset*/, uint64_t /*bytes*/) {}
  // fdatasync: what completed before this call is on the platter afterwards, the file's length
  // included.
  virtual void Sync(Executor& on, DoneStatus done) = 0;
  virtual void Resize(uint64_t size, Executor& on, DoneStatus done) = 0;

  // Waits instead; for recovery, tools, and page loads that must not be parked (see
  // env/blocking.h).
  virtual BlockingFile& blocking() = 0;
  virtual const std::string& path() const = 0;
};

enum class OpenMode : uint8_t {
  kRead,         // must exist
  kReadWrite,    // must exist
  kCreate,       // read-write, must not exist
  kCreateTrunc,  // read-write, made or emptied
};

// Thread: any. The blocking half has the same operations.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual void Open(std::string path, OpenMode mode, Executor& on,
                    absl::AnyInvocable<void(StatusOr<std::unique_ptr<File>>)> done) = 0;
  // Atomic replacement; durable only after SyncDirectory of the parent.
  virtual void Rename(std::string from, std::string to, Executor& on, DoneStatus done) = 0;
  virtual void Remove(std::string path, Executor& on, DoneStatus done) = 0;
  virtual void SyncDirectory(std::string path, Executor& on, DoneStatus done) = 0;
  virtual BlockingFileSystem& blocking() = 0;
};

}  // namespace quoin::env
