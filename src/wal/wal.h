// wal: the write-ahead log in etcd's segment format (docs/formats/wal.md).
//
// There are Recover() (reads and repairs a log at start), Writer (appends; one write and one sync
// for all that waits) and Create() (a new log).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/log.h"
#include "base/status.h"
#include "env/blocking.h"
#include "env/executor.h"
#include "env/file.h"
#include "raft_types/types.h"

namespace quoin::wal {

// The first record of every segment: whose log this is.
struct Metadata {
  uint64_t node_id = 0;
  uint64_t cluster_id = 0;
  friend bool operator==(const Metadata&, const Metadata&) = default;
};

// A raft snapshot that the log refers to.
struct SnapshotRecord {
  Index index;
  Term term;
  std::optional<raft::ConfState> conf_state;
};

struct Options {
  uint64_t segment_bytes = 64000000;
  bool fsync = true;  // --unsafe-no-fsync
};

struct Recovered {
  Metadata metadata;
  raft::HardState hard_state;
  std::vector<SnapshotRecord> snapshots;  // all, in log order
  SnapshotRecord start;  // where the entries begin: the newest with index ≤ hard_state.commit
  std::vector<raft::Entry> entries;  // after start.index, contiguous
  bool repaired = false;             // a torn tail was cut off; what and where is in the log line
  struct End {                       // where the next record goes
    std::string path;
    uint64_t offset = 0;
    uint32_t crc = 0;
  } end;
};

enum class ReadMode : uint8_t {
  kRepair,  // server start: a torn write at the end is cut off (after a .broken copy), and what was
            // read is durable
  kReadOnly,  // tools: nothing is changed; a torn tail is reported in `repaired`
};

// Whether `dir` holds a log (at least one .wal name). A directory that cannot be listed counts as
// one: Recover then says why, and no new log takes its place.
bool Exists(env::BlockingFileSystem& files, const std::string& dir);

// Reads a log. Refuses (DataLoss with file and offset, nothing changed on disk) whatever could mean
// that a synced record is gone: a bad record with a later write behind it, a gap, a missing
// segment, a state that goes back, an end before `applied_floor` (the data file's applied index).
StatusOr<Recovered> Recover(env::BlockingFileSystem& files, const std::string& dir, ReadMode mode,
                            Index applied_floor, Logger& log);

// Appends. Thread: the wal loop; files operations complete on the same executor.
class Writer {
 public:
  struct Batch {
    std::vector<raft::Entry> entries;
    std::optional<raft::HardState> hard_state;  // when changed
    std::optional<SnapshotRecord> snapshot;     // after the .snap file is durable
    bool must_sync = true;                      // false: only a commit moved
  };
  virtual ~Writer() = default;
  // A new log that holds `first`: built in <dir>.tmp, synced, renamed, so that it is there whole or
  // not at all.
  static StatusOr<std::unique_ptr<Writer>> Create(env::FileSystem& files, const std::string& dir,
                                                  const Metadata& metadata, const Batch& first,
                                                  const Options& options, env::Executor& loop,
                                                  Logger& log);
  // Continues after Recover(kRepair).
  static StatusOr<std::unique_ptr<Writer>> Open(env::FileSystem& files, const std::string& dir,
                                                const Recovered& recovered, const Options& options,
                                                env::Executor& loop, Logger& log);
  // `done(OK)` once this batch and all before it are durable; a commit index alone (!must_sync)
  // goes with the next write, or the last. One write and one fdatasync cover all batches that wait.
  // An error is final: the process must end.
  virtual void Append(Batch batch, env::DoneStatus done) = 0;
  // Segments wholly below `index` may go (a snapshot covers them): the oldest are removed while
  // there are more than `keep_max` segments.
  virtual void ReleaseTo(Index index, size_t keep_max) = 0;
  // Done when all that waits is written, and the log says that it is durable. Nothing may be
  // appended afterwards.
  virtual void Close(env::DoneStatus done) = 0;
  // Told how long each sync took.
  virtual void set_on_fsync(absl::AnyInvocable<void(env::Duration)> observer) = 0;
};

// One .snap file (docs/formats/snap.md): raft snapshot with membership as v2-store JSON in `data`.
Status WriteSnapFile(env::BlockingFileSystem& files, const std::string& snap_dir,
                     const raft::Snapshot& snapshot);
StatusOr<raft::Snapshot> ReadSnapFile(env::BlockingFileSystem& files, const std::string& path);

}  // namespace quoin::wal
