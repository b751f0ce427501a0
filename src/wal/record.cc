#include "wal/record.h"

#include <cstring>

#include "base/crc32c.h"
#include "base/wire.h"

namespace quoin::wal {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kLengthMask = (uint64_t{1} << 56) - 1;

size_t PaddingOf(size_t bytes) { return (8 - bytes % 8) % 8; }

void AppendFrame(RecordType type, uint32_t crc, const std::string_view* data, std::string& out) {
  char head[24];
  char* at = head;
  *at++ = 1 << 3;
  *at++ = static_cast<char>(type);
  *at++ = 2 << 3;
  at = wire::PutVarint(at, crc);
  if (data != nullptr) {
    *at++ = 3 << 3 | 2;
    at = wire::PutVarint(at, data->size());
  }
  const size_t record_bytes = static_cast<size_t>(at - head) + (data != nullptr ? data->size() : 0);
  const size_t padding = PaddingOf(record_bytes);
  uint64_t length = record_bytes;
  if (padding != 0) length |= (0x80 | uint64_t{padding}) << 56;
  out.append(reinterpret_cast<const char*>(&length), kLengthBytes);
  out.append(head, static_cast<size_t>(at - head));
  if (data != nullptr) out.append(*data);
  out.append(padding, '\0');
}

std::optional<Record> ParseRecord(std::string_view bytes) {
  Record record{RecordType::kCrc, 0, {}};
  bool has_type = false;
  wire::Reader reader(bytes);
  for (wire::Field field; reader.Next(field);) {
    if (field.number == 1) {
      if (field.type != wire::Type::kVarint || field.varint < 1 || field.varint > 5)
        return std::nullopt;
      record.type = static_cast<RecordType>(field.varint);
      has_type = true;
    } else if (field.number == 2) {
      if (field.type != wire::Type::kVarint || field.varint > UINT32_MAX) return std::nullopt;
      record.crc = static_cast<uint32_t>(field.varint);
    } else if (field.number == 3) {
      if (field.type != wire::Type::kBytes) return std::nullopt;
      record.data = field.bytes;
    }
  }
  if (!reader.ok() || !has_type) return std::nullopt;
  return record;
}

}  // namespace

void FrameWriter::Append(RecordType type, std::string_view data, std::string& out) {
  crc_ = Crc32c(crc_, data);
  AppendFrame(type, crc_, &data, out);
}

void FrameWriter::AppendCrc(std::string& out) const {
  AppendFrame(RecordType::kCrc, crc_, nullptr, out);
}

void FrameWriter::AppendCrc(std::string_view data, std::string& out) const {
  AppendFrame(RecordType::kCrc, crc_, &data, out);
}

size_t FrameWriter::CrcFrameBytes(size_t data_bytes) const {
  const size_t record_bytes =
      3 + wire::VarintSize(crc_) + 1 + wire::VarintSize(data_bytes) + data_bytes;
  return kLengthBytes + record_bytes + PaddingOf(record_bytes);
}

Frame ParseFrame(std::string_view bytes) {
  Frame frame;
  if (bytes.size() < kLengthBytes) {
    if (bytes.find_first_not_of('\0') != std::string_view::npos) frame.kind = Frame::Kind::kOverrun;
    return frame;
  }
  uint64_t field;
  std::memcpy(&field, bytes.data(), kLengthBytes);
  if (field == 0) return frame;
  const uint64_t length = field & kLengthMask;
  const uint64_t top = field >> 56;
  const uint64_t padding = (top & 0x80) != 0 ? top & 0x7 : 0;
  if (length > bytes.size() - kLengthBytes || length + padding > bytes.size() - kLengthBytes) {
    frame.kind = Frame::Kind::kOverrun;
    return frame;
  }
  frame.bytes = kLengthBytes + length + padding;
  frame.kind = Frame::Kind::kMalformed;
  if (frame.bytes % 8 != 0 || length == 0) {
    frame.bytes = (frame.bytes + 7) / 8 * 8;
    return frame;
  }
  if (std::optional<Record> record = ParseRecord(bytes.substr(kLengthBytes, length))) {
    frame.kind = Frame::Kind::kRecord;
    frame.record = *record;
  }
  return frame;
}

}  // namespace quoin::wal
