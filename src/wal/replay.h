// What the records of a log mean, taken one after another in their order (docs/formats/wal.md,
// "Meaning"): the entries that stand, the last state, where the log starts.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "wal/record.h"
#include "wal/wal.h"

namespace quoin::wal {

class Replay {
 public:
  // Takes the record whose frame stands at offset `at` of the segment being read. DataLoss: the
  // record does not continue the chain. FailedPrecondition: it does, and contradicts what was read
  // before it, or is not of the type that it says.
  Status Take(const Record& record, size_t at);

  // The next record is the first one of a segment.
  void BeginSegment() { head_of_segment_ = true; }

  // What was read so far; `start` and the log's end are not known before Finish.
  const Recovered& so_far() const { return out_; }
  uint32_t crc() const { return crc_; }
  Index last_index() const { return last_index_; }

  // Entries that follow on a snapshot record count once the commit index has reached the snapshot.
  // When the log ends before that, they and the record are the front of a write that was never
  // whole. Forgets them, and returns where the record stands; nullopt when there are none, or the
  // record stands before `loose` or in an older segment.
  std::optional<size_t> ForgetUncounted(size_t loose);

  // All records were taken. DataLoss when something between them is missing: the text says what.
  StatusOr<Recovered> Finish(Index applied_floor);
  // The same from the first entry on: see wal/whole_log.h.
  StatusOr<Recovered> FinishWhole();

 private:
  Status TakeMetadata(std::string_view data);
  Status TakeState(std::string_view data);
  Status TakeSnapshot(std::string_view data, size_t at, uint32_t crc_before);
  Status TakeEntry(std::string_view data);
  void NoteUncounted(Index entry);
  Status CheckWhole() const;

  // A snapshot record that contradicts the entries read before it, until the commit index says
  // whether the snapshot counts.
  struct Conflict {
    Index snapshot;
    Index kept_from;  // the least index read behind the record
  };
  // The last snapshot record, and what was known before it.
  struct LastSnapshot {
    size_t at = 0;
    uint32_t crc = 0;
    size_t snapshots = 0;
    std::optional<Conflict> conflict;
    bool in_last_segment = true;
  };
  // Entries follow on a snapshot that the commit index has not reached.
  struct Uncounted {
    LastSnapshot record;
    Index snapshot;
    std::vector<raft::Entry> entries;  // as they were before
  };

  Recovered out_;
  uint32_t crc_ = 0;
  Index last_index_;
  LastSnapshot last_snapshot_;
  std::optional<Conflict> conflict_;
  std::optional<Uncounted> uncounted_;
  bool has_metadata_ = false;
  bool head_of_segment_ = true;
};

}  // namespace quoin::wal
