#include "wal/tail.h"

#include <algorithm>

#include "base/crc32c.h"
#include "raft_types/codec.h"
#include "wal/mark.h"
#include "wal/record.h"
#include "wal/segment.h"

namespace quoin::wal {
namespace {

constexpr size_t kAlignment = 8;

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

// Where the records that follow one another from `at` on stop to be of one chain, and whether there
// are two writes among them.
struct Run {
  size_t end = 0;
  bool two_writes = false;
};

Run RunFrom(std::string_view segment, size_t at) {
  Run run{at, false};
  bool write_ended = false;
  uint32_t crc = 0;
  while (true) {
    const Frame frame = ParseFrame(segment.substr(run.end));
    if (!IsPlausible(frame)) return run;
    if (run.end != at && Crc32c(crc, frame.record.data) != frame.record.crc) return run;
    run.two_writes |= write_ended;
    write_ended = frame.record.type == RecordType::kState;
    crc = frame.record.crc;
    run.end += frame.bytes;
  }
}

// A copy with this content, or a name that no copy has yet.
struct CopyName {
  std::string path;
  bool there = false;
};

StatusOr<CopyName> FindCopyName(env::BlockingFileSystem& files, const Tail& tail) {
  CopyName name{tail.path + ".broken", false};
  for (uint64_t number = 1; files.Exists(name.path); ++number) {
    ASSIGN_OR_RETURN(const std::string content, ReadWhole(files, name.path));
    if (content == tail.content) return CopyName{name.path, true};
    name.path = tail.path + ".broken." + std::to_string(number);
  }
  return name;
}

// A copy of the file as it is, durable under a name of its own. One that an interrupted repair has
// left is as good.
Status KeepCopy(env::BlockingFileSystem& files, const Tail& tail, const std::string& path) {
  const std::string building = tail.path + ".broken.tmp";
  {
    ASSIGN_OR_RETURN(std::unique_ptr<env::File> copy,
                     files.Open(building, env::OpenMode::kCreateTrunc));
    RETURN_IF_ERROR(copy->blocking().Write(0, tail.content));
    RETURN_IF_ERROR(copy->blocking().Sync());
  }
  return files.Rename(building, path);
}

Status KeepBroken(env::BlockingFileSystem& files, const Tail& tail, Logger& log) {
  ASSIGN_OR_RETURN(const CopyName copy, FindCopyName(files, tail));
  log.Warn("repairing the log: a torn write at its end is cut off; a copy is kept",
           {{"path", tail.path}, {"offset", static_cast<uint64_t>(tail.end)}, {"copy", copy.path}});
  if (!copy.there) RETURN_IF_ERROR(KeepCopy(files, tail, copy.path));
  return files.SyncDirectory(tail.dir);
}

// What is valid, under a mark that fits; the state that is added; and the mark of an empty write,
// which says that all of it was durable before the file got its name.
std::string ValidEnd(const Tail& tail, size_t from) {
  std::string out;
  if (tail.open && tail.open->records_at < tail.end) {
    const std::string_view kept =
        tail.content.substr(tail.open->records_at, tail.end - tail.open->records_at);
    AppendMark(FrameWriter(tail.open->crc), tail.sequence, from, kept, out);
    out.append(kept);
  }
  FrameWriter chain(tail.crc);
  if (tail.state) {
    std::string data, record;
    raft::EncodeHardState(*tail.state, data);
    FrameWriter behind = chain;
    behind.Append(RecordType::kState, data, record);
    AppendMark(chain, tail.sequence, from + out.size(), record, out);
    out.append(record);
    chain = behind;
  }
  AppendMark(chain, tail.sequence, from + out.size(), "", out);
  return out;
}

// Builds the segment anew. Returns where its records end.
StatusOr<size_t> Rebuild(env::BlockingFileSystem& files, const Tail& tail) {
  const std::string building = tail.dir + "/repair.tmp";
  const size_t from = tail.open ? tail.open->offset : tail.end;
  const std::string valid = ValidEnd(tail, from);
  ASSIGN_OR_RETURN(std::unique_ptr<env::File> file,
                   files.Open(building, env::OpenMode::kCreateTrunc));
  env::BlockingFile& out = file->blocking();
  RETURN_IF_ERROR(out.Allocate(std::max(tail.content.size(), from + valid.size())));
  RETURN_IF_ERROR(out.Write(0, tail.content.substr(0, from)));
  RETURN_IF_ERROR(out.Write(from, valid));
  RETURN_IF_ERROR(out.Sync());
  RETURN_IF_ERROR(files.Rename(building, tail.path));
  return from + valid.size();
}

// After a sync that failed the kernel takes its pages for clean: written again they are not.
Status WriteAgain(env::BlockingFileSystem& files, const Tail& tail) {
  ASSIGN_OR_RETURN(std::unique_ptr<env::File> file,
                   files.Open(tail.path, env::OpenMode::kReadWrite));
  if (tail.proven < tail.end) {
    RETURN_IF_ERROR(file->blocking().Write(
        tail.proven, tail.content.substr(tail.proven, tail.end - tail.proven)));
  }
  return file->blocking().Sync();
}

}  // namespace

bool LaterWriteExists(std::string_view segment, size_t from) {
  bool write_ended = false;
  for (size_t at = from; at + 16 <= segment.size();) {
    const Frame frame = ParseFrame(segment.substr(at));
    if (!IsPlausible(frame)) {
      at += kAlignment;
      continue;
    }
    if (write_ended) return true;
    write_ended = frame.record.type == RecordType::kState;
    at += frame.bytes;
  }
  return false;
}

bool RecordsRunToTheEnd(std::string_view segment, size_t from) {
  const size_t last = segment.find_last_not_of('\0');
  if (last == std::string_view::npos) return false;
  for (size_t at = from; at <= last;) {
    const Run run = RunFrom(segment, at);
    if (run.two_writes && run.end > last) return true;
    at = std::max(run.end, at + kAlignment);
  }
  return false;
}

bool HasEmptySector(std::string_view segment, size_t at, size_t bytes) {
  const size_t end = std::min(segment.size(), at + bytes);
  while (at < end) {
    const size_t next = std::min(end, (at / kSectorBytes + 1) * kSectorBytes);
    if (segment.substr(at, next - at).find_first_not_of('\0') == std::string_view::npos)
      return true;
    at = next;
  }
  return false;
}

StatusOr<size_t> Settle(env::BlockingFileSystem& files, const Tail& tail, Logger& log) {
  if (tail.torn) RETURN_IF_ERROR(KeepBroken(files, tail, log));
  size_t end = tail.end;
  if (tail.torn || tail.open || tail.state) {
    ASSIGN_OR_RETURN(end, Rebuild(files, tail));
  } else {
    RETURN_IF_ERROR(WriteAgain(files, tail));
  }
  RETURN_IF_ERROR(files.SyncDirectory(tail.dir));
  RETURN_IF_ERROR(files.SyncDirectory(ParentOf(tail.dir)));
  return end;
}

}  // namespace quoin::wal
