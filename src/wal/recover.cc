// Reading a log back, and telling a torn write (never synced, may be cut) from damage (was synced,
// must be refused): docs/formats/wal.md, "The end".

#include <algorithm>

#include "base/check.h"
#include "base/crc32c.h"
#include "raft_types/codec.h"
#include "wal/mark.h"
#include "wal/record.h"
#include "wal/segment.h"
#include "wal/tail.h"
#include "wal/wal.h"

namespace quoin::wal {
namespace {

class LogReader {
 public:
  LogReader(env::BlockingFileSystem& files, const std::string& dir, ReadMode mode, Logger& log)
      : files_(files), dir_(dir), mode_(mode), log_(log) {}

  StatusOr<Recovered> Run(Index applied_floor) {
    ASSIGN_OR_RETURN(std::vector<SegmentName> segments, ListSegments(files_, dir_));
    if (segments.empty()) return absl::NotFoundError(dir_ + ": no log segments");
    for (size_t i = 0; i < segments.size(); ++i) {
      if (i > 0 && segments[i].sequence != segments[i - 1].sequence + 1) {
        return absl::DataLossError(dir_ + ": segment " +
                                   std::to_string(segments[i - 1].sequence + 1) + " is missing");
      }
      RETURN_IF_ERROR(ReadSegment(segments[i], i + 1 == segments.size()));
    }
    RETURN_IF_ERROR(Conclude(applied_floor));
    if (mode_ == ReadMode::kRepair)
      RETURN_IF_ERROR(Settle(files_, {dir_, path_, segment_, proven_, end_, torn_}, log_));
    return std::move(out_);
  }

 private:
  Status Damage(size_t offset, const std::string& what) const {
    return absl::DataLossError(path_ + " at offset " + std::to_string(offset) + ": " + what +
                               ". The record before is entry " +
                               std::to_string(last_index_.value()));
  }

  Status ReadSegment(const SegmentName& name, bool last) {
    path_ = dir_ + "/" + name.text();
    ASSIGN_OR_RETURN(segment_, ReadWhole(files_, path_));
    const std::string_view segment = segment_;
    filled_ = segment.find_last_not_of('\0') + 1;  // npos + 1 = 0
    proven_ = 0;
    bool behind_mark = false;
    size_t at = 0;
    while (at < filled_) {
      const Frame frame = ParseFrame(segment.substr(at));
      if (const std::optional<Mark> mark = ReadMark(frame, name.sequence, at)) {
        ASSIGN_OR_RETURN(const bool whole, TakeWrite(frame.record, *mark, last));
        if (!whole) {
          torn_ = true;
          break;
        }
        at = mark->end;
        behind_mark = true;
        continue;
      }
      const Status status = TakeUnmarked(frame);
      if (!status.ok()) {
        if (absl::IsFailedPrecondition(status) || !last)
          return Damage(at, std::string(status.message()));
        RETURN_IF_ERROR(
            Judge(frame, name.sequence, at, behind_mark, std::string(status.message())));
        torn_ = true;
        break;
      }
      at += frame.bytes;
      behind_mark = false;
    }
    end_ = at;
    return OkStatus();
  }

  // A write with a mark is there as a whole, or (false) torn, or damaged.
  StatusOr<bool> TakeWrite(const Record& record, const Mark& mark, bool last) {
    RETURN_IF_ERROR(At(mark.offset, Take(record)));
    proven_ = mark.offset;
    const std::string_view segment = segment_;
    if (!mark.IsWhole(segment)) {
      const size_t bad = FirstBadFrame(mark);
      if (!last || filled_ > mark.end)
        return Damage(bad, "a bad record, and another write follows: this one was durable");
      if (mark.end > segment.size()) return Damage(bad, "the file ends within a write");
      if (!mark.MissesSector(segment))
        return Damage(bad, "a bad record, but no sector of this write is missing");
      return false;
    }
    size_t at = mark.records_at;
    while (at < mark.end) {
      const Frame frame = ParseFrame(segment.substr(at, mark.end - at));
      RETURN_IF_ERROR(At(at, TakeUnmarked(frame)));
      at += frame.bytes;
    }
    return true;
  }

  // Where a write that is not whole breaks, as far as its records tell.
  size_t FirstBadFrame(const Mark& mark) const {
    uint32_t crc = crc_;
    for (size_t at = mark.records_at; at < std::min<size_t>(mark.end, segment_.size());) {
      const Frame frame = ParseFrame(std::string_view(segment_).substr(at));
      if (frame.kind != Frame::Kind::kRecord) return at;
      crc = Crc32c(crc, frame.record.data);
      if (crc != frame.record.crc) return at;
      at += frame.bytes;
    }
    return mark.records_at;
  }

  // Another program's records, a segment's head, or what should be a mark and is none.
  Status TakeUnmarked(const Frame& frame) {
    if (frame.kind == Frame::Kind::kEnd)
      return absl::DataLossError("the length field is zero, but something follows it");
    if (frame.kind != Frame::Kind::kRecord) return absl::DataLossError("not a record");
    if (frame.record.type == RecordType::kCrc && !frame.record.data.empty())
      return absl::DataLossError("the mark of a write is damaged");
    return Take(frame.record);
  }

  // A bad record outside of a marked write, in the last segment: OK when it may be cut off, an
  // error when it must not.
  Status Judge(const Frame& frame, uint64_t sequence, size_t at, bool behind_mark,
               const std::string& reason) const {
    if (LaterMarkExists(segment_, sequence, at + 8))
      return Damage(at, reason + ", and a later write follows it: synced records would be lost");
    // Directly behind a marked write stands the next mark, unless another program went on there.
    const bool follows =
        behind_mark ? RecordsRunToTheEnd(segment_, at + 8) : LaterWriteExists(segment_, at + 8);
    if (follows) {
      return Damage(at, reason +
                            ", and good records follow it: this is no torn write, synced records "
                            "would be lost");
    }
    if (behind_mark && frame.kind == Frame::Kind::kEnd) {
      if (HasEmptySector(segment_, at, kSectorBytes - at % kSectorBytes)) return OkStatus();
    } else if (frame.kind == Frame::Kind::kEnd || HasEmptySector(segment_, at, frame.bytes) ||
               (frame.kind == Frame::Kind::kOverrun && !behind_mark)) {
      return OkStatus();
    }
    return Damage(at, reason + "; nothing says that this is a torn write");
  }

  // An error of Take as damage at its place.
  Status At(size_t offset, const Status& status) const {
    return status.ok() ? status : Damage(offset, std::string(status.message()));
  }

  Status Take(const Record& record) {
    if (record.type == RecordType::kCrc) {
      if (crc_ != 0 && record.crc != crc_) {
        return absl::FailedPreconditionError(
            "the segment does not continue the one before it (crc mismatch)");
      }
      crc_ = record.crc;
      return OkStatus();
    }
    const uint32_t crc = Crc32c(crc_, record.data);
    if (crc != record.crc) {
      return absl::DataLossError("crc mismatch: expected " + std::to_string(record.crc) +
                                 ", computed " + std::to_string(crc));
    }
    crc_ = crc;
    switch (record.type) {
      case RecordType::kMetadata:
        return TakeMetadata(record.data);
      case RecordType::kEntry:
        return TakeEntry(record.data);
      case RecordType::kState:
        return TakeState(record.data);
      case RecordType::kSnapshot:
        return TakeSnapshot(record.data);
      case RecordType::kCrc:
        break;
    }
    return OkStatus();
  }

  Status TakeMetadata(std::string_view data) {
    std::optional<Metadata> metadata = DecodeMetadata(data);
    if (!metadata) return absl::FailedPreconditionError("malformed metadata");
    if (has_metadata_ && *metadata != out_.metadata) {
      return absl::FailedPreconditionError(
          "the metadata says another member or cluster than the segments before");
    }
    out_.metadata = *metadata;
    has_metadata_ = true;
    return OkStatus();
  }

  Status TakeState(std::string_view data) {
    StatusOr<raft::HardState> state = raft::DecodeHardState(data);
    if (!state.ok()) return absl::FailedPreconditionError(state.status().message());
    if (state->term < out_.hard_state.term || state->commit < out_.hard_state.commit) {
      return absl::FailedPreconditionError(
          "the state goes back from term " + std::to_string(out_.hard_state.term.value()) +
          ", commit " + std::to_string(out_.hard_state.commit.value()) + " to term " +
          std::to_string(state->term.value()) + ", commit " +
          std::to_string(state->commit.value()));
    }
    out_.hard_state = *state;
    if (conflict_ && conflict_->snapshot <= state->commit) {
      // "Discard the entire log": figure 13. What was read behind the record stays.
      std::erase_if(out_.entries,
                    [&](const raft::Entry& entry) { return entry.index < conflict_->kept_from; });
      conflict_.reset();
    }
    return OkStatus();
  }

  // A snapshot whose last entry the log holds with another term replaces the log, once it counts.
  Status TakeSnapshot(std::string_view data) {
    std::optional<SnapshotRecord> snapshot = DecodeSnapshotRecord(data);
    if (!snapshot) return absl::FailedPreconditionError("malformed snapshot record");
    const std::vector<raft::Entry>& entries = out_.entries;
    if (!entries.empty() && snapshot->index >= entries.front().index &&
        snapshot->index <= entries.back().index) {
      const raft::Entry& held = entries[snapshot->index - entries.front().index];
      if (held.term != snapshot->term) conflict_ = Conflict{snapshot->index, Index(UINT64_MAX)};
    }
    out_.snapshots.push_back(*std::move(snapshot));
    return OkStatus();
  }

  // An entry at an index that is there already replaces it and all after it: an overwritten,
  // uncommitted tail.
  Status TakeEntry(std::string_view data) {
    StatusOr<raft::Entry> entry = raft::DecodeEntry(data);
    if (!entry.ok()) return absl::FailedPreconditionError(entry.status().message());
    std::vector<raft::Entry>& entries = out_.entries;
    const bool after_snapshot =
        !out_.snapshots.empty() && entry->index == out_.snapshots.back().index + 1;
    if (!entries.empty()) {
      const Index first = entries.front().index, next = entries.back().index + 1;
      if (entry->index > next) {
        if (!after_snapshot) {
          return absl::FailedPreconditionError(
              "entry " + std::to_string(entry->index.value()) + " follows entry " +
              std::to_string(next.value() - 1) + ": entries are missing");
        }
        entries.clear();
      } else if (entry->index < first) {
        entries.clear();
      } else {
        entries.resize(entry->index - first);
      }
    }
    last_index_ = entry->index;
    if (conflict_) conflict_->kept_from = std::min(conflict_->kept_from, entry->index);
    entries.push_back(*std::move(entry));
    return OkStatus();
  }

  Status Conclude(Index applied_floor) {
    if (!has_metadata_)
      return absl::DataLossError(path_ + ": the log says nowhere whose it is (no metadata record)");
    for (const SnapshotRecord& snapshot : out_.snapshots) {
      if (snapshot.index <= out_.hard_state.commit && snapshot.index >= out_.start.index)
        out_.start = snapshot;
    }
    std::vector<raft::Entry>& entries = out_.entries;
    if (!entries.empty() && entries.front().index > out_.start.index + 1) {
      return absl::DataLossError(
          dir_ + ": the log begins with entry " + std::to_string(entries.front().index.value()) +
          ", but the newest snapshot ends at " + std::to_string(out_.start.index.value()) +
          ": entries between are missing");
    }
    std::erase_if(entries,
                  [&](const raft::Entry& entry) { return entry.index <= out_.start.index; });
    const Index last = entries.empty() ? out_.start.index : entries.back().index;
    if (out_.hard_state.commit > last) {
      return absl::DataLossError(path_ + " at offset " + std::to_string(end_) +
                                 ": the log ends with entry " + std::to_string(last.value()) +
                                 ", but entry " + std::to_string(out_.hard_state.commit.value()) +
                                 " was committed");
    }
    if (applied_floor > last) {
      return absl::DataLossError(
          path_ + " at offset " + std::to_string(end_) + ": the log ends with entry " +
          std::to_string(last.value()) + ", but the data file holds what came up to entry " +
          std::to_string(applied_floor.value()) + ": a part of the log is gone");
    }
    out_.repaired = torn_;
    out_.end = {path_, end_, crc_};
    return OkStatus();
  }

  // A snapshot record that contradicts the entries read before it, until the commit index says
  // whether the snapshot counts.
  struct Conflict {
    Index snapshot;
    Index kept_from;  // the least index read behind the record
  };

  env::BlockingFileSystem& files_;
  const std::string dir_;
  const ReadMode mode_;
  Logger& log_;
  Recovered out_;
  std::string path_;     // of the segment being read, afterwards the last one
  std::string segment_;  // its bytes
  size_t filled_ = 0;    // from here on there are only zeros
  size_t proven_ = 0;    // what stands before was durable when what stands here was written
  size_t end_ = 0;       // where its good records end
  uint32_t crc_ = 0;
  Index last_index_;
  std::optional<Conflict> conflict_;
  bool has_metadata_ = false;
  bool torn_ = false;
};

}  // namespace

bool Exists(env::BlockingFileSystem& files, const std::string& dir) {
  StatusOr<std::vector<SegmentName>> segments = ListSegments(files, dir);
  return segments.ok() && !segments->empty();
}

StatusOr<Recovered> Recover(env::BlockingFileSystem& files, const std::string& dir, ReadMode mode,
                            Index applied_floor, Logger& log) {
  return LogReader(files, dir, mode, log).Run(applied_floor);
}

}  // namespace quoin::wal
