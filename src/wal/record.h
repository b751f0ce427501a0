// Records and frames of the log (docs/formats/wal.md).
//
//   frame  := length field i64 little-endian, record, padding to a multiple of 8
//   length field: low 56 bits = record bytes; top byte = 0x80 | padding when there is padding
//   (1–7), else 0
//   record := 1 type, 2 crc, 3 data (in crc records absent, or a mark: wal/mark.h)
//
// Each record carries the running CRC-32C over the data of all records up to and including its own.
// A crc record carries the chain's value so far, whatever its data; every segment begins with one.
//
// Value types.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace quoin::wal {

enum class RecordType : uint8_t { kMetadata = 1, kEntry = 2, kState = 3, kCrc = 4, kSnapshot = 5 };

// Appends framed records to a buffer and carries the chain.
class FrameWriter {
 public:
  explicit FrameWriter(uint32_t crc = 0) : crc_(crc) {}
  void Append(RecordType type, std::string_view data, std::string& out);
  void AppendCrc(std::string& out) const;
  void AppendCrc(std::string_view data, std::string& out) const;
  // How long a crc record with so much data is, with its length field and padding.
  size_t CrcFrameBytes(size_t data_bytes) const;
  uint32_t crc() const { return crc_; }
  void set_crc(uint32_t crc) { crc_ = crc; }

 private:
  uint32_t crc_;
};

struct Record {
  RecordType type;
  uint32_t crc = 0;
  std::string_view data;  // points into the segment
};

// One frame at the front of `bytes`.
struct Frame {
  enum class Kind : uint8_t {
    kEnd,  // nothing, or a zero length field
    kRecord,
    kOverrun,    // the length reaches beyond the bytes
    kMalformed,  // a length that fits, but no record inside
  };
  Kind kind = Kind::kEnd;
  size_t bytes = 0;  // with length field and padding (kRecord, kMalformed)
  Record record{RecordType::kCrc, 0, {}};
};
Frame ParseFrame(std::string_view bytes);

}  // namespace quoin::wal
