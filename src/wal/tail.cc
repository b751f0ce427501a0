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

Status Settle(env::BlockingFileSystem& files, const Tail& tail, Logger& log) {
  if (tail.torn) {
    ASSIGN_OR_RETURN(const CopyName copy, FindCopyName(files, tail));
    log.Warn(
        "repairing the log: a torn write at its end is cut off; a copy is kept",
        {{"path", tail.path}, {"offset", static_cast<uint64_t>(tail.end)}, {"copy", copy.path}});
    if (!copy.there) RETURN_IF_ERROR(KeepCopy(files, tail, copy.path));
    RETURN_IF_ERROR(files.SyncDirectory(tail.dir));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<env::File> file,
                   files.Open(tail.path, env::OpenMode::kReadWrite));
  if (tail.torn) {
    RETURN_IF_ERROR(file->blocking().Resize(tail.end));
    RETURN_IF_ERROR(file->blocking().Allocate(std::max(tail.content.size(), tail.end)));
  }
  // After a sync that failed the kernel takes its pages for clean: written again they are not.
  if (tail.proven < tail.end) {
    RETURN_IF_ERROR(file->blocking().Write(
        tail.proven, tail.content.substr(tail.proven, tail.end - tail.proven)));
  }
  RETURN_IF_ERROR(file->blocking().Sync());
  RETURN_IF_ERROR(files.SyncDirectory(tail.dir));
  return files.SyncDirectory(ParentOf(tail.dir));
}

}  // namespace quoin::wal
