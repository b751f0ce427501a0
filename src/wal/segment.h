// Segment files: their names, and the small records that stand in them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "env/blocking.h"
#include "wal/wal.h"

namespace quoin::wal {

// "%016x-%016x.wal": sequence number, index of the first entry that may be inside. Value type.
struct SegmentName {
  uint64_t sequence = 0;
  Index first_index;
  std::string text() const;
};
std::optional<SegmentName> ParseSegmentName(std::string_view name);
// Those of `dir`, ascending.
StatusOr<std::vector<SegmentName>> ListSegments(env::BlockingFileSystem& files,
                                                const std::string& dir);

// Why `next` is not the segment behind `before`; empty: it is.
std::string WhyApart(const SegmentName& before, const SegmentName& next);
// `path` with `.broken`, or a number behind that: a name that nothing has yet.
std::string FreeBrokenName(env::BlockingFileSystem& files, const std::string& path);

// The directory that `path` is in.
std::string ParentOf(const std::string& path);
StatusOr<std::string> ReadWhole(env::BlockingFileSystem& files, const std::string& path);

std::string EncodeMetadata(const Metadata& metadata);
std::optional<Metadata> DecodeMetadata(std::string_view data);
std::string EncodeSnapshotRecord(const SnapshotRecord& snapshot);
std::optional<SnapshotRecord> DecodeSnapshotRecord(std::string_view data);

}  // namespace quoin::wal
