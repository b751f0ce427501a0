// A hostile segment: reading it ends with a log or an error, a refusal changes nothing, and what a
// repair leaves behind reads as what the repair returned, after a power failure too.
//
// The first byte decides: the rest is the segment as it is, or a recipe of writes, with marks and
// without, whose records are framed and chained as they should be, followed by bytes to damage.

#include <cstdint>

#include "base/check.h"
#include "env/sim/sim_disk.h"
#include "env/sim/sim_world.h"
#include "raft_types/codec.h"
#include "wal/mark.h"
#include "wal/record.h"
#include "wal/segment.h"
#include "wal/wal.h"

namespace quoin::wal {
namespace {

constexpr char kDir[] = "/member/wal";

// Takes numbers and bytes off the front of the input; zeros when it is empty.
class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(bytes_[0]);
    bytes_.remove_prefix(1);
    return byte;
  }
  std::string_view Bytes(size_t n) {
    const std::string_view out = bytes_.substr(0, n);
    bytes_.remove_prefix(out.size());
    return out;
  }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
};

struct Counters {
  uint64_t index = 1, commit = 0;
};

void AppendRecord(Input& input, Counters& next, FrameWriter& frames, std::string& out) {
  const uint8_t kind = input.Byte();
  std::string data;
  switch (kind % 8) {
    case 0:
      frames.AppendCrc(out);
      return;
    case 1:
      frames.Append(RecordType::kMetadata, EncodeMetadata({1, 2}), out);
      return;
    case 2:
      next.index -= input.Byte() % 4;  // an overwritten tail, or below everything
      [[fallthrough]];
    case 3:
      raft::EncodeEntry({Term(1 + kind / 64), Index(next.index++), raft::EntryType::kNormal,
                         SharedBytes(std::string(input.Byte(), static_cast<char>(kind)))},
                        data);
      frames.Append(RecordType::kEntry, data, out);
      return;
    case 4:
      next.commit += input.Byte() % 3;
      raft::EncodeHardState({Term(4), NodeId(1), Index(next.commit)}, data);
      frames.Append(RecordType::kState, data, out);
      return;
    case 5:
      frames.Append(RecordType::kSnapshot,
                    EncodeSnapshotRecord({Index(input.Byte()), Term(1), std::nullopt}), out);
      return;
    case 6:
      next.index += input.Byte();
      return;
    default:
      frames.Append(static_cast<RecordType>(kind / 8 % 7), input.Bytes(input.Byte() % 32), out);
  }
}

std::string MakeSegment(Input input) {
  if (input.Byte() % 2 == 0) return std::string(input.rest());
  FrameWriter frames;
  std::string out;
  Counters next;
  frames.AppendCrc(out);
  for (uint8_t writes = input.Byte() % 32; writes > 0 && !input.empty(); --writes) {
    const FrameWriter before = frames;
    const uint8_t what = input.Byte();
    std::string records;
    for (int n = what % 8; n > 0; --n) AppendRecord(input, next, frames, records);
    if (what >= 64) AppendMark(before, 0, out.size(), records, out);
    out += records;
  }
  out.append(input.Byte() * 8, '\0');
  while (!input.empty()) {
    const size_t at = (input.Byte() * 256u + input.Byte()) % out.size();
    const uint8_t what = input.Byte();
    if (what == 0) {
      out.replace(at / 512 * 512, 512, std::min<size_t>(512, out.size() - at / 512 * 512), '\0');
    } else {
      out[at] ^= static_cast<char>(what);
    }
  }
  return out;
}

std::string Content(env::SimDisk& disk, const std::string& path) {
  auto file = disk.Open(path, env::OpenMode::kRead, 0600);
  CHECK(file.ok());
  std::string out((*file)->blocking().Size().value(), '\0');
  CHECK((*file)->blocking().Read(0, out).ok());
  return out;
}

void Run(std::string_view bytes) {
  const std::string segment = MakeSegment(Input(bytes));
  env::SimWorld world(1);
  env::SimDisk disk(&world);
  NullLogger log;
  const std::string path = std::string(kDir) + "/" + SegmentName{0, Index(0)}.text();
  CHECK(disk.MakeDirectory(kDir, 0700).ok());
  {
    auto file = disk.Open(path, env::OpenMode::kCreate, 0600);
    CHECK(file.ok() && (*file)->blocking().Write(0, segment).ok());
  }
  const StatusOr<Recovered> read = Recover(disk, kDir, ReadMode::kReadOnly, Index(), log);
  CHECK(Content(disk, path) == segment) << "reading changed the log";
  const StatusOr<Recovered> repaired = Recover(disk, kDir, ReadMode::kRepair, Index(), log);
  CHECK_EQ(read.ok(), repaired.ok());
  if (!repaired.ok()) {
    CHECK(Content(disk, path) == segment) << "a refusal changed the log";
    return;
  }
  for (size_t i = 0; i < repaired->entries.size(); ++i) {
    CHECK(repaired->entries[i].index == repaired->start.index + 1 + i);
  }
  disk.Restart(1);
  const StatusOr<Recovered> again = Recover(disk, kDir, ReadMode::kReadOnly, Index(), log);
  CHECK(again.ok()) << again.status();
  CHECK(!again->repaired && again->entries == repaired->entries);
  CHECK(again->hard_state == repaired->hard_state && again->end.offset == repaired->end.offset);
  CHECK_EQ(again->end.crc, repaired->end.crc);
}

}  // namespace
}  // namespace quoin::wal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  quoin::wal::Run(std::string_view(reinterpret_cast<const char*>(bytes), size));
  return 0;
}
