#include "wal/salvage.h"

#include <algorithm>

#include "base/crc32c.h"
#include "raft_types/codec.h"
#include "wal/mark.h"
#include "wal/record.h"
#include "wal/replay.h"
#include "wal/segment.h"
#include "wal/tail.h"

namespace quoin::wal {
namespace {

constexpr size_t kAlignment = 8;

// Notes what a record that is to be lost says.
void NoteLost(const Record& record, Salvage& out) {
  if (record.type == RecordType::kEntry) {
    const StatusOr<raft::Entry> entry = raft::DecodeEntry(record.data);
    if (!entry.ok() || entry->index == Index() || entry->index <= out.last_kept) return;
    if (out.lost_entries == 0 || entry->index < out.lost_first) out.lost_first = entry->index;
    out.lost_last = std::max(out.lost_last, entry->index);
    ++out.lost_entries;
  } else if (record.type == RecordType::kState) {
    const StatusOr<raft::HardState> state = raft::DecodeHardState(record.data);
    if (!state.ok() || state->term == Term()) return;
    raft::HardState highest = out.lost_state.value_or(raft::HardState());
    highest.term = std::max(highest.term, state->term);
    highest.commit = std::max(highest.commit, state->commit);
    out.lost_state = highest;
  }
}

// Looks through bytes that are to be lost for records: two that follow one another in one chain are
// believed, a single one may be anything.
void ReadLost(std::string_view segment, size_t from, Salvage& out) {
  const size_t filled = segment.find_last_not_of('\0') + 1;  // npos + 1 = 0
  if (filled <= from) return;
  out.lost_bytes += filled - from;
  for (size_t at = from; at < filled;) {
    const Frame frame = ParseFrame(segment.substr(at));
    if (frame.kind != Frame::Kind::kRecord) {
      at += kAlignment;
      continue;
    }
    const Frame next = ParseFrame(segment.substr(at + frame.bytes));
    const bool is_crc = next.record.type == RecordType::kCrc;
    const bool chained =
        next.kind == Frame::Kind::kRecord &&
        Crc32c(frame.record.crc, is_crc ? std::string_view() : next.record.data) == next.record.crc;
    const bool ends = next.kind == Frame::Kind::kEnd && at + frame.bytes >= filled;
    if (chained || ends) NoteLost(frame.record, out);
    at += chained || ends ? frame.bytes : kAlignment;
  }
}

// Takes a segment's records until one is none. Returns where that stands, and why; nullopt at the
// end.
using Stop = Salvage::Stop;
std::optional<Stop> TakeSegment(const std::string& path, std::string_view segment, Replay& replay) {
  replay.BeginSegment();
  const size_t filled = segment.find_last_not_of('\0') + 1;
  for (size_t at = 0; at < filled;) {
    const Frame frame = ParseFrame(segment.substr(at));
    if (frame.kind == Frame::Kind::kOverrun)
      return Stop{path, at, "a record leads out of the file"};
    if (frame.kind != Frame::Kind::kRecord) return Stop{path, at, "there is no record"};
    if (const Status status = replay.Take(frame.record, at); !status.ok())
      return Stop{path, at, std::string(status.message())};
    at += frame.bytes;
  }
  return std::nullopt;
}

uint64_t SequenceOf(const std::string& path) {
  const std::optional<SegmentName> name = ParseSegmentName(path.substr(path.find_last_of('/') + 1));
  return name ? name->sequence : 0;
}

// The mark of the write in which the log stops: it fits no more when the rest is cut off.
std::optional<Tail::Open> OpenMarkAt(std::string_view segment, uint64_t sequence, size_t stop) {
  std::optional<Tail::Open> open;
  for (size_t at = 0; at < stop;) {
    const Frame frame = ParseFrame(segment.substr(at));
    if (frame.kind != Frame::Kind::kRecord) break;
    if (const std::optional<Mark> mark = ReadMark(frame, sequence, at)) {
      open.reset();
      if (mark->records_at <= stop && (mark->end > stop || !mark->IsWhole(segment)))
        open = Tail::Open{mark->offset, mark->records_at, frame.record.crc};
    }
    at += frame.bytes;
  }
  return open;
}

// The chain's value where the log stops.
StatusOr<uint32_t> ChainAt(env::BlockingFileSystem& files, const std::string& dir,
                           const Stop& stop) {
  ASSIGN_OR_RETURN(const std::vector<SegmentName> segments, ListSegments(files, dir));
  Replay replay;
  for (const SegmentName& name : segments) {
    const std::string path = dir + "/" + name.text();
    ASSIGN_OR_RETURN(std::string content, ReadWhole(files, path));
    if (path == stop.path) content.resize(std::min<size_t>(content.size(), stop.offset));
    if (const std::optional<Stop> changed = TakeSegment(path, content, replay)) {
      return absl::DataLossError(path + " has changed at offset " +
                                 std::to_string(changed->offset));
    }
    if (path == stop.path) return replay.crc();
  }
  return absl::DataLossError(stop.path + " is gone");
}

}  // namespace

StatusOr<Salvage> ReadSalvage(env::BlockingFileSystem& files, const std::string& dir) {
  ASSIGN_OR_RETURN(const std::vector<SegmentName> segments, ListSegments(files, dir));
  if (segments.empty()) return absl::NotFoundError(dir + ": no log segments");
  Replay replay;
  Salvage out;
  for (size_t i = 0; i < segments.size(); ++i) {
    const std::string path = dir + "/" + segments[i].text();
    ASSIGN_OR_RETURN(const std::string content, ReadWhole(files, path));
    if (out.stop) {
      out.later_segments.push_back(path);
      ReadLost(content, 0, out);
      continue;
    }
    const bool follows = i == 0 || segments[i].sequence == segments[i - 1].sequence + 1;
    out.stop = follows ? TakeSegment(path, content, replay)
                       : Stop{path, 0, "the segment before it is missing"};
    out.metadata = replay.so_far().metadata;
    out.last_kept = replay.last_index();
    out.kept_state = replay.so_far().hard_state;
    if (!out.stop) continue;
    if (out.metadata == Metadata()) {
      return absl::DataLossError(path + " at offset " + std::to_string(out.stop->offset) + ": " +
                                 out.stop->reason +
                                 ". Nothing stands before it that could be kept");
    }
    ReadLost(content, out.stop->offset, out);
  }
  return out;
}

Status CutOff(env::BlockingFileSystem& files, const std::string& dir, const Salvage& salvage,
              Logger& log) {
  ASSIGN_OR_RETURN(const uint32_t crc, ChainAt(files, dir, *salvage.stop));
  // The last one first: when this is interrupted, what is left is a log with the same damage.
  for (auto path = salvage.later_segments.rbegin(); path != salvage.later_segments.rend(); ++path) {
    std::string aside = *path + ".broken";
    for (int number = 1; files.Exists(aside); ++number)
      aside = *path + ".broken." + std::to_string(number);
    RETURN_IF_ERROR(files.Rename(*path, aside));
    RETURN_IF_ERROR(files.SyncDirectory(dir));
  }
  const Stop& stop = *salvage.stop;
  ASSIGN_OR_RETURN(const std::string content, ReadWhole(files, stop.path));
  Tail tail;
  tail.dir = dir;
  tail.path = stop.path;
  tail.sequence = SequenceOf(stop.path);
  tail.content = content;
  tail.proven = tail.end = stop.offset;
  tail.crc = crc;
  tail.torn = true;
  tail.open = OpenMarkAt(content, tail.sequence, stop.offset);
  return Settle(files, tail, log).status();
}

}  // namespace quoin::wal
