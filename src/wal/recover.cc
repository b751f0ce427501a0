// Reading a log back, and telling a torn tail (never synced, may be cut) from damage (was synced,
// must be refused).
//
// A batch is one write and one sync, and ends with a state record. So whatever lies behind a state
// record was written after everything before that record had been synced: a bad record with a state
// record and more behind it was once durable, and its loss is damage. A bad record in the last
// batch is torn when one of its sectors is empty or its length leads out of the file; otherwise it
// is damage too.

#include <algorithm>

#include "base/check.h"
#include "base/crc32c.h"
#include "raft_types/codec.h"
#include "wal/record.h"
#include "wal/segment.h"
#include "wal/wal.h"

namespace quoin::wal {
namespace {

constexpr size_t kSectorBytes = 512;

bool AllZero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

StatusOr<std::string> ReadWhole(env::BlockingFileSystem& files, const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<env::File> file, files.Open(path, env::OpenMode::kRead));
  ASSIGN_OR_RETURN(uint64_t size, file->blocking().Size());
  std::string content(size, '\0');
  ASSIGN_OR_RETURN(size_t got, file->blocking().Read(0, content));
  content.resize(got);
  return content;
}

// A frame whose record means something, whatever its CRC: for looking behind damage.
bool IsPlausible(const Frame& frame) {
  if (frame.kind != Frame::Kind::kRecord) return false;
  switch (frame.record.type) {
    case RecordType::kEntry: {
      StatusOr<raft::Entry> entry = raft::DecodeEntry(frame.record.data);
      return entry.ok() && entry->index.value() != 0 && entry->term.value() != 0;
    }
    case RecordType::kState: {
      StatusOr<raft::HardState> state = raft::DecodeHardState(frame.record.data);
      return state.ok() && state->term.value() != 0;
    }
    default:
      return false;
  }
}

// Whether a batch ends behind `from` and another one begins after it.
bool LaterBatchExists(std::string_view segment, size_t from) {
  bool batch_ended = false;
  for (size_t at = from; at + 16 <= segment.size();) {
    const Frame frame = ParseFrame(segment.substr(at));
    if (!IsPlausible(frame)) {
      at += 8;
      continue;
    }
    if (batch_ended) return true;
    batch_ended = frame.record.type == RecordType::kState;
    at += frame.bytes;
  }
  return false;
}

// Whether some sector's part of the frame is empty: what a disk that lost power leaves of an
// unfinished write.
bool HasEmptySector(std::string_view segment, size_t at, size_t bytes) {
  const size_t end = std::min(segment.size(), at + bytes);
  while (at < end) {
    const size_t next = std::min(end, (at / kSectorBytes + 1) * kSectorBytes);
    if (AllZero(segment.substr(at, next - at))) return true;
    at = next;
  }
  return false;
}

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
    if (mode_ == ReadMode::kRepair) RETURN_IF_ERROR(CleanTail());
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
    size_t at = 0;
    while (true) {
      const Frame frame = ParseFrame(std::string_view(segment_).substr(at));
      if (frame.kind == Frame::Kind::kEnd) {
        if (AllZero(std::string_view(segment_).substr(at))) break;
        if (!last || LaterBatchExists(segment_, at + 8)) {
          return Damage(
              at, "the length field is zero, but records follow it: synced records would be lost");
        }
        torn_ = true;
        break;
      }
      Status status = frame.kind == Frame::Kind::kRecord ? Take(frame.record)
                                                         : absl::DataLossError("not a record");
      if (!status.ok()) {
        RETURN_IF_ERROR(Judge(frame, at, last, status));
        torn_ = true;
        break;
      }
      at += frame.bytes;
    }
    end_ = at;
    return OkStatus();
  }

  // A bad record: OK when it may be cut off, an error when it must not.
  Status Judge(const Frame& frame, size_t at, bool last, const Status& why) const {
    const std::string reason(why.message());
    if (absl::IsFailedPrecondition(why))
      return Damage(at, reason);  // the chain is fine, the content is not
    if (!last) return Damage(at, reason);
    if (LaterBatchExists(segment_, at + 8)) {
      return Damage(
          at,
          reason +
              ", and good records follow it: this is no torn write, synced records would be lost");
    }
    if (frame.kind == Frame::Kind::kOverrun || HasEmptySector(segment_, at, frame.bytes))
      return OkStatus();
    return Damage(at, reason + "; nothing says that this is a torn write");
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
      case RecordType::kState: {
        StatusOr<raft::HardState> state = raft::DecodeHardState(record.data);
        if (!state.ok()) return absl::FailedPreconditionError(state.status().message());
        out_.hard_state = *state;
        return OkStatus();
      }
      case RecordType::kSnapshot: {
        std::optional<SnapshotRecord> snapshot = DecodeSnapshotRecord(record.data);
        if (!snapshot) return absl::FailedPreconditionError("malformed snapshot record");
        out_.snapshots.push_back(*std::move(snapshot));
        return OkStatus();
      }
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

  // The torn rest goes, after a copy of the file; what follows the end is zeros again.
  Status CleanTail() {
    if (!torn_) return OkStatus();
    log_.Warn(
        "repairing the log: a torn write at its end is cut off; a copy is kept",
        {{"path", path_}, {"offset", static_cast<uint64_t>(end_)}, {"copy", path_ + ".broken"}});
    ASSIGN_OR_RETURN(std::unique_ptr<env::File> copy,
                     files_.Open(path_ + ".broken", env::OpenMode::kCreateTrunc));
    RETURN_IF_ERROR(copy->blocking().Write(0, segment_));
    RETURN_IF_ERROR(copy->blocking().Sync());
    ASSIGN_OR_RETURN(std::unique_ptr<env::File> file,
                     files_.Open(path_, env::OpenMode::kReadWrite));
    RETURN_IF_ERROR(file->blocking().Resize(end_));
    RETURN_IF_ERROR(file->blocking().Resize(std::max(segment_.size(), end_)));
    RETURN_IF_ERROR(file->blocking().Sync());
    return files_.SyncDirectory(dir_);
  }

  env::BlockingFileSystem& files_;
  const std::string dir_;
  const ReadMode mode_;
  Logger& log_;
  Recovered out_;
  std::string path_;     // of the segment being read, afterwards the last one
  std::string segment_;  // its bytes
  size_t end_ = 0;       // where its good records end
  uint32_t crc_ = 0;
  Index last_index_;
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
