// The end of a write whose file was cut short: what can be proven of it (docs/formats/wal.md, "The
// end").
//
// Thread: any; pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "wal/mark.h"
#include "wal/wal.h"

namespace quoin::wal {

// `segment` ends within the write of `mark`, in front of which the chain's value is `crc` and
// `before` has been read. When all that is missing is the write's state record, or a part of it,
// returns that record's frame: the one state for which the mark's checksum of the whole write
// holds. The write is complete once it stands behind the whole frames, at *at. nullopt when an
// entry is missing, or nothing fits.
struct MissingEnd {
  size_t at = 0;      // where the frame begins in the segment
  std::string frame;  // with the part of it that is there
};
std::optional<MissingEnd> FindMissingEnd(std::string_view segment, const Mark& mark, uint32_t crc,
                                         const Recovered& before);

// Whether what stands at `at`, up to the segment's end, is the beginning of the mark of an empty
// write, and cannot be that of any other: then nothing is missing.
bool IsCutEmptyMark(std::string_view segment, size_t at, uint64_t sequence, uint32_t crc);

}  // namespace quoin::wal
