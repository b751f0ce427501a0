#include "wal/segment.h"

#include <algorithm>
#include <charconv>

#include "base/wire.h"
#include "raft_types/codec.h"

namespace quoin::wal {
namespace {

std::string Hex16(uint64_t value) {
  std::string out(16, '0');
  for (int i = 15; i >= 0; --i, value >>= 4)
    out[static_cast<size_t>(i)] = "0123456789abcdef"[value & 15];
  return out;
}

std::optional<uint64_t> ParseHex16(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.size() != 16)
    return std::nullopt;
  return value;
}

}  // namespace

std::string SegmentName::text() const {
  return Hex16(sequence) + "-" + Hex16(first_index.value()) + ".wal";
}

std::optional<SegmentName> ParseSegmentName(std::string_view name) {
  constexpr std::string_view kSuffix = ".wal";
  if (name.size() != 33 + kSuffix.size() || !name.ends_with(kSuffix) || name[16] != '-')
    return std::nullopt;
  std::optional<uint64_t> sequence = ParseHex16(name.substr(0, 16));
  std::optional<uint64_t> index = ParseHex16(name.substr(17, 16));
  if (!sequence || !index) return std::nullopt;
  return SegmentName{*sequence, Index(*index)};
}

StatusOr<std::vector<SegmentName>> ListSegments(env::BlockingFileSystem& files,
                                                const std::string& dir) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, files.List(dir));
  std::vector<SegmentName> segments;
  for (const std::string& name : names) {
    if (std::optional<SegmentName> segment = ParseSegmentName(name)) segments.push_back(*segment);
  }
  return segments;  // names sort by sequence
}

std::string WhyApart(const SegmentName& before, const SegmentName& next) {
  if (next.sequence == before.sequence)
    return "two segments have the number " + std::to_string(next.sequence);
  if (next.sequence != before.sequence + 1)
    return "segment " + std::to_string(before.sequence + 1) + " is missing";
  return "";
}

std::string FreeBrokenName(env::BlockingFileSystem& files, const std::string& path) {
  std::string name = path + ".broken";
  for (uint64_t number = 1; files.Exists(name); ++number)
    name = path + ".broken." + std::to_string(number);
  return name;
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

StatusOr<std::string> ReadWhole(env::BlockingFileSystem& files, const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<env::File> file, files.Open(path, env::OpenMode::kRead));
  ASSIGN_OR_RETURN(uint64_t size, file->blocking().Size());
  std::string content(size, '\0');
  ASSIGN_OR_RETURN(size_t got, file->blocking().Read(0, content));
  content.resize(got);
  return content;
}

std::string EncodeMetadata(const Metadata& metadata) {
  std::string out;
  wire::PutUint(out, 1, metadata.node_id);
  wire::PutUint(out, 2, metadata.cluster_id);
  return out;
}

std::optional<Metadata> DecodeMetadata(std::string_view data) {
  Metadata out;
  wire::Reader reader(data);
  for (wire::Field field; reader.Next(field);) {
    if (field.number == 1) out.node_id = field.varint;
    if (field.number == 2) out.cluster_id = field.varint;
  }
  if (!reader.ok()) return std::nullopt;
  return out;
}

std::string EncodeSnapshotRecord(const SnapshotRecord& snapshot) {
  std::string out;
  wire::PutUint(out, 1, snapshot.index.value());
  wire::PutUint(out, 2, snapshot.term.value());
  if (snapshot.conf_state) {
    std::string conf_state;
    raft::EncodeConfState(*snapshot.conf_state, conf_state);
    wire::PutBytes(out, 3, conf_state);
  }
  return out;
}

std::optional<SnapshotRecord> DecodeSnapshotRecord(std::string_view data) {
  SnapshotRecord out;
  wire::Reader reader(data);
  for (wire::Field field; reader.Next(field);) {
    if (field.number == 1) out.index = Index(field.varint);
    if (field.number == 2) out.term = Term(field.varint);
    if (field.number == 3 && field.type == wire::Type::kBytes) {
      StatusOr<raft::ConfState> conf_state = raft::DecodeConfState(field.bytes);
      if (!conf_state.ok()) return std::nullopt;
      out.conf_state = *std::move(conf_state);
    }
  }
  if (!reader.ok()) return std::nullopt;
  return out;
}

}  // namespace quoin::wal
