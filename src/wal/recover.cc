// Reading a log back, and telling a torn write (never synced, may be cut) from damage (was synced,
// must be refused): docs/formats/wal.md, "The end".

#include <algorithm>

#include "wal/mark.h"
#include "wal/missing_end.h"
#include "wal/record.h"
#include "wal/replay.h"
#include "wal/segment.h"
#include "wal/tail.h"
#include "wal/wal.h"
#include "wal/whole_log.h"

namespace quoin::wal {
namespace {

// A mark whose write is not what the mark says, or a mark that is damaged itself: the write was
// torn, or rotted, or another program cut it and went on within it. Value type.
struct OpenMark {
  uint64_t offset = 0;
  uint64_t records_at = 0;
  uint32_t crc = 0;          // the chain's value there
  std::optional<Mark> mark;  // absent: damaged
  // A write of ours has one state record, its last: one before the write's end is not ours.
  bool foreign = false;
};

class LogReader {
 public:
  LogReader(env::BlockingFileSystem& files, const std::string& dir, ReadMode mode, Logger& log)
      : files_(files), dir_(dir), mode_(mode), log_(log) {}

  // `applied_floor`: nullopt reads from the first entry on (wal/whole_log.h).
  StatusOr<Recovered> Run(std::optional<Index> applied_floor) {
    ASSIGN_OR_RETURN(std::vector<SegmentName> segments, ListSegments(files_, dir_));
    if (segments.empty()) return absl::NotFoundError(dir_ + ": no log segments");
    for (size_t i = 0; i < segments.size(); ++i) {
      if (i > 0) {
        const std::string why = WhyApart(segments[i - 1], segments[i]);
        if (!why.empty()) return absl::DataLossError(dir_ + ": " + why);
      }
      last_ = i + 1 == segments.size();
      RETURN_IF_ERROR(ReadSegment(segments[i]));
      // A segment's head was durable before it got its name.
      if (i > 0 && filled_ == 0) return Damage(0, "the segment is empty");
    }
    if (const std::optional<size_t> at = replay_.ForgetUncounted(loose_)) {
      end_ = *at;
      torn_ = true;
    }
    StatusOr<Recovered> out =
        applied_floor ? replay_.Finish(*applied_floor) : replay_.FinishWhole();
    if (absl::IsNotFound(out.status())) return out;
    if (!out.ok()) {
      return absl::DataLossError(path_ + " at offset " + std::to_string(end_) + ": " +
                                 std::string(out.status().message()));
    }
    out->repaired = torn_;
    out->end = {path_, end_, replay_.crc()};
    if (mode_ == ReadMode::kRepair) {
      ASSIGN_OR_RETURN(out->end.offset, Settle(files_, TheTail(), log_));
    }
    return out;
  }

 private:
  Status Damage(size_t offset, const std::string& what) const {
    return absl::DataLossError(path_ + " at offset " + std::to_string(offset) + ": " + what +
                               ". The record before is entry " +
                               std::to_string(replay_.last_index().value()));
  }

  // An error of Replay as damage at its place.
  Status At(size_t offset, const Status& status) const {
    return status.ok() ? status : Damage(offset, std::string(status.message()));
  }

  Tail TheTail() const {
    Tail tail{dir_, path_, sequence_, segment_, proven_, end_, replay_.crc(), torn_, std::nullopt};
    if (open_ && open_->records_at <= end_)
      tail.open = Tail::Open{open_->offset, open_->records_at, open_->crc};
    return tail;
  }

  Status ReadSegment(const SegmentName& name) {
    path_ = dir_ + "/" + name.text();
    sequence_ = name.sequence;
    ASSIGN_OR_RETURN(segment_, ReadWhole(files_, path_));
    replay_.BeginSegment();
    filled_ = segment_.find_last_not_of('\0') + 1;  // npos + 1 = 0
    proven_ = loose_ = 0;
    open_.reset();
    behind_mark_ = false;
    size_t at = 0;
    while (at < filled_) {
      const Frame frame = ParseFrame(std::string_view(segment_).substr(at));
      if (const std::optional<Mark> mark = ReadMark(frame, sequence_, at)) {
        ASSIGN_OR_RETURN(at, TakeMark(frame, *mark));
        continue;
      }
      const Status status = TakeFrame(frame, at);
      if (!status.ok()) {
        if (absl::IsFailedPrecondition(status) || !last_)
          return Damage(at, std::string(status.message()));
        RETURN_IF_ERROR(Judge(frame, at, std::string(status.message())));
        torn_ = true;
        break;
      }
      at += frame.bytes;
      behind_mark_ = false;
    }
    end_ = at;
    if (last_ && !torn_) return JudgeEnd();
    return OkStatus();
  }

  // Takes a mark and, when its write is whole, the write. Returns where to read on. The frames of
  // a write that is not whole are read one by one: what the chain holds may be another program's.
  StatusOr<size_t> TakeMark(const Frame& frame, Mark mark) {
    if (open_ && open_->mark) {
      return Damage(open_->offset,
                    "a write is not what its mark says, and another write follows: this one was "
                    "durable");
    }
    open_.reset();
    RETURN_IF_ERROR(At(mark.offset, replay_.Take(frame.record, mark.offset)));
    proven_ = mark.offset;
    loose_ = mark.records_at;
    if (!mark.IsWhole(segment_)) Complete(mark);
    if (!mark.IsWhole(segment_)) {
      open_ = OpenMark{mark.offset, mark.records_at, frame.record.crc, mark};
      behind_mark_ = false;
      return mark.records_at;
    }
    size_t at = mark.records_at;
    while (at < mark.end) {
      const Frame inner = ParseFrame(std::string_view(segment_).substr(at, mark.end - at));
      RETURN_IF_ERROR(At(at, TakeRecord(inner, at)));
      at += inner.bytes;
    }
    behind_mark_ = true;
    loose_ = mark.end;
    return mark.end;
  }

  // A file that was cut short within its last record gets it back when it can be proven what that
  // was. It is written out with the rest of the write, in Settle.
  void Complete(Mark& mark) {
    // A copy beside it: another program has cut it, and may have gone on without that record.
    if (!last_ || mark.end <= segment_.size() || files_.Exists(path_ + ".broken")) return;
    const std::optional<MissingEnd> missing =
        FindMissingEnd(segment_, mark, replay_.crc(), replay_.so_far());
    if (!missing) return;
    log_.Warn("the log was cut short within its last record, which is known and is written again",
              {{"path", path_}, {"offset", static_cast<uint64_t>(missing->at)}});
    segment_.resize(missing->at);
    segment_.append(missing->frame);
    filled_ = segment_.find_last_not_of('\0') + 1;
    const Frame frame = ParseFrame(std::string_view(segment_).substr(mark.offset));
    mark = ReadMark(frame, sequence_, mark.offset).value();
  }

  Status TakeRecord(const Frame& frame, size_t at) {
    if (frame.kind == Frame::Kind::kEnd)
      return absl::DataLossError("the length field is zero, but something follows it");
    if (frame.kind != Frame::Kind::kRecord) return absl::DataLossError("not a record");
    return replay_.Take(frame.record, at);
  }

  // A frame outside of a whole write: another program's, a segment's first, a damaged mark, or what
  // is left of a write.
  Status TakeFrame(const Frame& frame, size_t at) {
    RETURN_IF_ERROR(TakeRecord(frame, at));
    const size_t end = at + frame.bytes;
    if (frame.record.type == RecordType::kCrc && !frame.record.data.empty()) {
      if (open_ && open_->mark)
        return absl::FailedPreconditionError("the mark of a write is damaged");
      if (!open_) open_ = OpenMark{at, end, frame.record.crc, std::nullopt};
    } else if (open_ && frame.record.type == RecordType::kState) {
      open_->foreign |= !open_->mark || end < open_->mark->end;
    }
    return OkStatus();
  }

  // A bad record in the last segment that is in no whole write: OK when it may be cut off, an error
  // when it must not.
  Status Judge(const Frame& frame, size_t at, const std::string& reason) const {
    if (LaterMarkExists(segment_, sequence_, at + 8))
      return Damage(at, reason + ", and a later write follows it: synced records would be lost");
    if (IsInOwnWrite(at)) return JudgeOwnWrite(at, reason);
    // Directly behind a mark or a marked write stands what is ours, unless another program went on
    // there.
    const bool ours = behind_mark_ || (open_ && !open_->mark && !open_->foreign);
    if (behind_mark_ && IsCutEmptyMark(segment_, at, sequence_, replay_.crc())) return OkStatus();
    const bool follows =
        ours ? RecordsRunToTheEnd(segment_, at + 8) : LaterWriteExists(segment_, at + 8);
    if (follows) {
      return Damage(at, reason +
                            ", and good records follow it: this is no torn write, synced records "
                            "would be lost");
    }
    if (ours && frame.kind == Frame::Kind::kEnd) {
      if (HasEmptySector(segment_, at, kSectorBytes - at % kSectorBytes)) return OkStatus();
    } else if (frame.kind == Frame::Kind::kEnd || HasEmptySector(segment_, at, frame.bytes) ||
               (frame.kind == Frame::Kind::kOverrun && !ours)) {
      return OkStatus();
    }
    return Damage(at, reason + "; nothing says that this is a torn write");
  }

  // Whether the bad record at `at` is what a mark was made for, as far as anybody can tell.
  bool IsInOwnWrite(size_t at) const {
    return open_ && open_->mark && at < open_->mark->end && !open_->foreign && !WasCutByOthers();
  }

  // etcd's repair keeps a copy and shortens the file, which then ends with its records. Ours leaves
  // a longer one.
  bool WasCutByOthers() const {
    return segment_.size() < std::max<size_t>(open_->mark->end, filled_ + kSectorBytes) &&
           files_.Exists(path_ + ".broken");
  }

  Status JudgeOwnWrite(size_t at, const std::string& reason) const {
    const Mark& mark = *open_->mark;
    if (filled_ > mark.end)
      return Damage(at, reason + ", and another write follows: this one was durable");
    if (RecordsRunToTheEnd(segment_, at + 8))
      return Damage(at, reason + ", and good records of another program follow it");
    if (mark.end > segment_.size()) return Damage(at, "the file ends within a write");
    if (!mark.MissesSector(segment_, at))
      return Damage(at, reason + ", but no sector of this write is missing");
    return OkStatus();
  }

  // Good records run to the end of all that is in the last segment. What a mark promises beyond is
  // empty: torn off, or cut off by another program.
  Status JudgeEnd() {
    if (!open_ || !open_->mark || !IsInOwnWrite(end_)) return OkStatus();
    if (open_->mark->end > segment_.size()) return Damage(end_, "the file ends within a write");
    torn_ = true;
    return OkStatus();
  }

  env::BlockingFileSystem& files_;
  const std::string dir_;
  const ReadMode mode_;
  Logger& log_;
  Replay replay_;
  // Of the segment being read, afterwards of the last one.
  std::string path_;
  bool last_ = false;  // it is the last one
  uint64_t sequence_ = 0;
  std::string segment_;  // its bytes
  size_t filled_ = 0;    // from here on there are only zeros
  size_t proven_ = 0;    // what stands before was durable when what stands here was written
  size_t loose_ = 0;     // what stands from here on is in no whole write
  size_t end_ = 0;       // where its good records end
  std::optional<OpenMark> open_;
  bool behind_mark_ = false;  // the frame before was the last one of a whole write
  bool torn_ = false;
};

}  // namespace

bool Exists(env::BlockingFileSystem& files, const std::string& dir) {
  StatusOr<std::vector<SegmentName>> segments = ListSegments(files, dir);
  if (!segments.ok()) return !absl::IsNotFound(segments.status());
  return !segments->empty();
}

StatusOr<Recovered> Recover(env::BlockingFileSystem& files, const std::string& dir, ReadMode mode,
                            Index applied_floor, Logger& log) {
  return LogReader(files, dir, mode, log).Run(applied_floor);
}

StatusOr<Recovered> RecoverWhole(env::BlockingFileSystem& files, const std::string& dir,
                                 ReadMode mode, Logger& log) {
  return LogReader(files, dir, mode, log).Run(std::nullopt);
}

}  // namespace quoin::wal
