#include "wal/mark.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"

namespace quoin::wal {
namespace {

constexpr size_t kFilledAt = 28;  // in the data

template <typename T>
void Put(T value, char* at) {
  std::memcpy(at, &value, sizeof value);
}

template <typename T>
T Get(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

uint32_t Check(uint32_t chain, std::string_view data) {
  return Crc32c(chain, data.substr(sizeof(uint32_t)));
}

// Calls `each(sector, part)` for the parts of [begin, end) of `segment` by sector, until one
// returns true.
template <typename F>
bool AnySector(std::string_view segment, uint64_t begin, uint64_t end, F each) {
  while (begin < end) {
    const uint64_t stop = std::min(end, (begin / kSectorBytes + 1) * kSectorBytes);
    if (each(begin / kSectorBytes, segment.substr(begin, stop - begin))) return true;
    begin = stop;
  }
  return false;
}

bool AllZero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

bool IsFilled(std::string_view filled, uint64_t i) {
  return (static_cast<unsigned char>(filled[i / 8]) >> (i % 8) & 1) != 0;
}

}  // namespace

bool Mark::IsWhole(std::string_view segment) const {
  if (end > segment.size()) return false;
  return Crc32c(0, segment.substr(records_at, end - records_at)) == whole;
}

bool Mark::MissesSector(std::string_view segment, uint64_t from) const {
  CHECK_GE(from, records_at);
  CHECK_LE(end, segment.size());
  const uint64_t first = offset / kSectorBytes;
  return AnySector(segment, from, end, [&](uint64_t sector, std::string_view part) {
    return IsFilled(filled, sector - first) && AllZero(part);
  });
}

void AppendMark(const FrameWriter& chain, uint64_t sequence, uint64_t offset,
                std::string_view records, std::string& out) {
  CHECK_LE(records.size(), UINT32_MAX);
  const uint64_t first = offset / kSectorBytes;
  // How many bits there are decides how long the mark is, and that where the records stand.
  uint64_t sectors = 0, records_at = offset;
  do {
    sectors = (records_at + records.size() + kSectorBytes - 1) / kSectorBytes - first;
    records_at = offset + chain.CrcFrameBytes(kFilledAt + (sectors + 7) / 8);
  } while ((records_at + records.size() + kSectorBytes - 1) / kSectorBytes - first > sectors);
  std::string data(kFilledAt + (sectors + 7) / 8, '\0');
  Put<uint64_t>(sequence, &data[4]);
  Put<uint64_t>(offset, &data[12]);
  Put<uint32_t>(static_cast<uint32_t>(records.size()), &data[20]);
  Put<uint32_t>(Crc32c(0, records), &data[24]);
  // As if the records stood at 0 of a text that begins where they do in the file.
  const uint64_t shift = records_at % kSectorBytes, base = records_at / kSectorBytes - first;
  for (uint64_t at = 0; at < records.size();) {
    const uint64_t sector = (shift + at) / kSectorBytes;
    const uint64_t stop = std::min<uint64_t>(records.size(), (sector + 1) * kSectorBytes - shift);
    const uint64_t bit = base + sector;
    if (!AllZero(records.substr(at, stop - at)))
      data[kFilledAt + bit / 8] = static_cast<char>(data[kFilledAt + bit / 8] | 1 << (bit % 8));
    at = stop;
  }
  Put<uint32_t>(Check(chain.crc(), data), &data[0]);
  const size_t before = out.size();
  chain.AppendCrc(data, out);
  CHECK_EQ(out.size() - before, records_at - offset);
}

std::optional<Mark> ReadMark(const Frame& frame, uint64_t sequence, uint64_t offset) {
  if (frame.kind != Frame::Kind::kRecord || frame.record.type != RecordType::kCrc)
    return std::nullopt;
  const std::string_view data = frame.record.data;
  if (data.size() < kFilledAt) return std::nullopt;
  if (Get<uint32_t>(data.data()) != Check(frame.record.crc, data)) return std::nullopt;
  if (Get<uint64_t>(&data[4]) != sequence || Get<uint64_t>(&data[12]) != offset)
    return std::nullopt;
  Mark mark;
  mark.offset = offset;
  mark.records_at = offset + frame.bytes;
  mark.end = mark.records_at + Get<uint32_t>(&data[20]);
  mark.whole = Get<uint32_t>(&data[24]);
  mark.filled = data.substr(kFilledAt);
  if (mark.end % 8 != 0) return std::nullopt;
  if ((mark.end + kSectorBytes - 1) / kSectorBytes - offset / kSectorBytes > mark.filled.size() * 8)
    return std::nullopt;
  return mark;
}

bool LaterMarkExists(std::string_view segment, uint64_t sequence, size_t from) {
  const size_t last = segment.find_last_not_of('\0');
  if (last == std::string_view::npos) return false;
  for (size_t at = from; at <= last; at += 8) {
    if (ReadMark(ParseFrame(segment.substr(at)), sequence, at)) return true;
  }
  return false;
}

}  // namespace quoin::wal
