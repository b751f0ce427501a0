#include "wal/testing/etcd_log.h"

#include <algorithm>

#include "base/crc32c.h"
#include "raft_types/codec.h"
#include "wal/mark.h"
#include "wal/record.h"

namespace quoin::wal {
namespace {

constexpr size_t kLengthBytes = 8;

// The test for a torn record: its bytes behind the length, sector by sector of the file.
bool LooksTorn(std::string_view bytes, size_t at, size_t frame_bytes) {
  const size_t end = std::min(bytes.size(), at + frame_bytes);
  for (size_t from = at + kLengthBytes; from < end;) {
    const size_t to = std::min(end, (from / kSectorBytes + 1) * kSectorBytes);
    if (bytes.substr(from, to - from).find_first_not_of('\0') == std::string_view::npos)
      return true;
    from = to;
  }
  return false;
}

}  // namespace

std::optional<EtcdLog> EtcdLog::Open(std::string bytes) {
  EtcdLog log;
  while (true) {
    const Frame frame = ParseFrame(std::string_view(bytes).substr(log.end));
    if (frame.kind == Frame::Kind::kEnd) {
      std::fill(bytes.begin() + static_cast<ptrdiff_t>(log.end), bytes.end(), '\0');
      break;
    }
    bool bad = frame.kind != Frame::Kind::kRecord;
    if (!bad && frame.record.type == RecordType::kCrc) {
      if (log.crc != 0 && frame.record.crc != log.crc) return std::nullopt;
      log.crc = frame.record.crc;
    } else if (!bad) {
      const uint32_t crc = Crc32c(log.crc, frame.record.data);
      bad = crc != frame.record.crc;
      if (!bad) log.crc = crc;
    }
    if (bad) {
      if (frame.kind != Frame::Kind::kOverrun && !LooksTorn(bytes, log.end, frame.bytes))
        return std::nullopt;
      log.broken = bytes;
      bytes.resize(log.end);
      break;
    }
    log.end += frame.bytes;
  }
  log.bytes = std::move(bytes);
  return log;
}

void EtcdLog::Append(const Writer::Batch& batch) {
  FrameWriter frames(crc);
  std::string records;
  for (const raft::Entry& entry : batch.entries) {
    std::string data;
    raft::EncodeEntry(entry, data);
    frames.Append(RecordType::kEntry, data, records);
  }
  if (batch.hard_state) {
    std::string data;
    raft::EncodeHardState(*batch.hard_state, data);
    frames.Append(RecordType::kState, data, records);
  }
  bytes.resize(std::max(bytes.size(), end + records.size()));
  bytes.replace(end, records.size(), records);
  end += records.size();
  crc = frames.crc();
}

}  // namespace quoin::wal
