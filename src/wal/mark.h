// The mark in front of each write: a crc record with data, which says where the write ends and
// which of its sectors hold something (docs/formats/wal.md). Readers that do not know it see the
// chain's value so far and go on.
//
//   data   := check u32, segment u64, offset u64, bytes u32, whole u32, filled    little-endian
//   check  := CRC-32C of the rest of the data, continued from the record's crc
//   whole  := CRC-32C of the write's frames, length fields and types too
//   filled := one bit per 512-byte sector of the file, from the one that the mark begins in: 1 =
//             the write's frames have a byte there that is not zero
//
// A write begins only when the one before is durable, so a mark proves what stands before it.
//
// Value types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wal/record.h"

namespace quoin::wal {

constexpr size_t kSectorBytes = 512;

struct Mark {
  uint64_t offset = 0;      // in the segment, of the mark's frame
  uint64_t records_at = 0;  // where the write's frames begin
  uint64_t end = 0;         // and where they end
  uint32_t whole = 0;
  std::string_view filled;  // points into the segment

  // Whether all of the write is in `segment` as it was written.
  bool IsWhole(std::string_view segment) const;
  // Whether a sector that the write has filled is empty from `from` on: it has not got there.
  // REQUIRES: `from` is within the write, and the segment does not end there.
  bool MissesSector(std::string_view segment, uint64_t from) const;
};

// Appends the mark of a write of `records` whose frame stands at `offset` of segment `sequence`.
void AppendMark(const FrameWriter& chain, uint64_t sequence, uint64_t offset,
                std::string_view records, std::string& out);

// The mark in `frame`, which stands at `offset` of segment `sequence`; nullopt when it is none, or
// not of this place.
std::optional<Mark> ReadMark(const Frame& frame, uint64_t sequence, uint64_t offset);

// Whether a mark stands in `segment` at `from` (a multiple of 8) or behind it.
bool LaterMarkExists(std::string_view segment, uint64_t sequence, size_t from);

}  // namespace quoin::wal
