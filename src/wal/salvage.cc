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

void NoteLost(const raft::HardState& state, Salvage& out) {
  raft::HardState highest = out.lost_state.value_or(raft::HardState());
  highest.term = std::max(highest.term, state.term);
  highest.commit = std::max(highest.commit, state.commit);
  out.lost_state = highest;
}

// Notes what a record that is to be lost says.
void NoteLost(const Record& record, Salvage& out) {
  if (record.type == RecordType::kEntry) {
    const StatusOr<raft::Entry> entry = raft::DecodeEntry(record.data);
    if (!entry.ok() || entry->index == Index()) return;
    NoteLost(raft::HardState{entry->term, NodeId(), Index()}, out);
    if (entry->index <= out.last_kept) return;
    if (out.lost_entries == 0 || entry->index < out.lost_first) out.lost_first = entry->index;
    out.lost_last = std::max(out.lost_last, entry->index);
    out.lost_to = std::max(out.lost_to, entry->index);
    ++out.lost_entries;
  } else if (record.type == RecordType::kState) {
    const StatusOr<raft::HardState> state = raft::DecodeHardState(record.data);
    if (state.ok() && state->term != Term()) NoteLost(*state, out);
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

// Takes a segment's records until one is none. Returns where that stands, and why; at the end there
// is no reason.
using Stop = Salvage::Stop;
Stop TakeSegment(const std::string& path, std::string_view segment, Replay& replay) {
  replay.BeginSegment();
  const size_t filled = segment.find_last_not_of('\0') + 1;
  Stop stop{path, 0, replay.crc(), filled == 0 ? "it is empty" : ""};
  while (stop.reason.empty() && stop.offset < filled) {
    const Frame frame = ParseFrame(segment.substr(stop.offset));
    stop.crc = replay.crc();
    if (frame.kind == Frame::Kind::kOverrun) {
      stop.reason = "a record leads out of the file";
    } else if (frame.kind != Frame::Kind::kRecord) {
      stop.reason = "there is no record";
    } else if (const Status status = replay.Take(frame.record, stop.offset); !status.ok()) {
      stop.reason = std::string(status.message());
    } else {
      stop.offset += frame.bytes;
      stop.crc = replay.crc();
    }
  }
  return stop;
}

// The same of the log, which ended at `before` without this segment. `apart`: why that does not
// follow. Of a segment whose first record is none nothing is kept: the log ends with the one
// before.
Stop EndWith(const std::string& path, std::string_view segment, const std::string& apart,
             const Stop& before, Replay& replay) {
  Stop end = before;
  end.reason = apart;
  if (!apart.empty()) return end;
  const Stop stop = TakeSegment(path, segment, replay);
  if (stop.offset > 0 || before.path.empty()) return stop;
  end.reason = path + ": " + stop.reason;
  return end;
}

void TakeKept(Replay replay, Index applied_floor, Salvage& out) {
  out.metadata = replay.so_far().metadata;
  out.kept_state = replay.so_far().hard_state;
  out.entries = replay.so_far().entries;
  out.kept = replay.Finish(applied_floor).status();
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

}  // namespace

StatusOr<Salvage> ReadSalvage(env::BlockingFileSystem& files, const std::string& dir,
                              Index applied_floor) {
  ASSIGN_OR_RETURN(const std::vector<SegmentName> segments, ListSegments(files, dir));
  if (segments.empty()) return absl::NotFoundError(dir + ": no log segments");
  Replay replay;
  Salvage out;
  Stop end;  // of what was read so far
  for (size_t i = 0; i < segments.size(); ++i) {
    const std::string path = dir + "/" + segments[i].text();
    ASSIGN_OR_RETURN(const std::string content, ReadWhole(files, path));
    if (!out.stop) {
      end =
          EndWith(path, content, i == 0 ? "" : WhyApart(segments[i - 1], segments[i]), end, replay);
      out.last_kept = replay.last_index();
      if (end.reason.empty()) continue;
      out.stop = end;
    }
    const bool stops_here = path == out.stop->path;
    ReadLost(content, stops_here ? out.stop->offset : 0, out);
    if (stops_here) continue;
    out.later_segments.push_back(path);
    // Its name says which entry came next when it began.
    const uint64_t next = std::max<uint64_t>(segments[i].first_index.value(), 1);
    out.lost_to = std::max(out.lost_to, Index(next - 1));
  }
  TakeKept(std::move(replay), applied_floor, out);
  if (out.stop && out.metadata == Metadata()) {
    return absl::DataLossError(out.stop->path + " at offset " + std::to_string(out.stop->offset) +
                               ": " + out.stop->reason +
                               ". Nothing stands before it that could be kept");
  }
  return out;
}

Status CutOff(env::BlockingFileSystem& files, const std::string& dir, const Salvage& salvage,
              Term term, Logger& log) {
  const Stop& stop = *salvage.stop;
  ASSIGN_OR_RETURN(const std::string content, ReadWhole(files, stop.path));
  Tail tail;
  tail.dir = dir;
  tail.path = stop.path;
  tail.sequence = SequenceOf(stop.path);
  tail.content = content;
  tail.proven = tail.end = stop.offset;
  tail.crc = stop.crc;
  tail.torn = content.find_last_not_of('\0') + 1 > stop.offset;
  tail.open = OpenMarkAt(content, tail.sequence, stop.offset);
  tail.state = raft::HardState{term, NodeId(), salvage.kept_state.commit};
  // The state comes first, then the last segment: when this is interrupted, what is left is damaged
  // at the same place, and still tells the terms in which there may be a vote.
  RETURN_IF_ERROR(Settle(files, tail, log).status());
  for (auto path = salvage.later_segments.rbegin(); path != salvage.later_segments.rend(); ++path) {
    RETURN_IF_ERROR(files.Rename(*path, FreeBrokenName(files, *path)));
    RETURN_IF_ERROR(files.SyncDirectory(dir));
  }
  return OkStatus();
}

}  // namespace quoin::wal
