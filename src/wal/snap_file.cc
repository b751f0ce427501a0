// .snap files: snappb.snapshot {1 crc, 2 data = raftpb.Snapshot}, crc = CRC-32C of data
// (docs/formats/snap.md).

#include "base/crc32c.h"
#include "base/wire.h"
#include "raft_types/codec.h"
#include "wal/wal.h"

namespace quoin::wal {
namespace {

std::string Hex16(uint64_t value) {
  std::string out(16, '0');
  for (int i = 15; i >= 0; --i, value >>= 4)
    out[static_cast<size_t>(i)] = "0123456789abcdef"[value & 15];
  return out;
}

}  // namespace

Status WriteSnapFile(env::BlockingFileSystem& files, const std::string& snap_dir,
                     const raft::Snapshot& snapshot) {
  std::string data, content;
  raft::EncodeSnapshot(snapshot, data);
  wire::PutUint(content, 1, Crc32c(0, data));
  wire::PutBytes(content, 2, data);
  const std::string building = snap_dir + "/tmp-snap";
  {
    ASSIGN_OR_RETURN(std::unique_ptr<env::File> file,
                     files.Open(building, env::OpenMode::kCreateTrunc, 0644));
    RETURN_IF_ERROR(file->blocking().Write(0, content));
    RETURN_IF_ERROR(file->blocking().Sync());
  }
  const std::string name = Hex16(snapshot.metadata.term.value()) + "-" +
                           Hex16(snapshot.metadata.index.value()) + ".snap";
  RETURN_IF_ERROR(files.Rename(building, snap_dir + "/" + name));
  return files.SyncDirectory(snap_dir);
}

StatusOr<raft::Snapshot> ReadSnapFile(env::BlockingFileSystem& files, const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<env::File> file, files.Open(path, env::OpenMode::kRead));
  ASSIGN_OR_RETURN(uint64_t size, file->blocking().Size());
  std::string content(size, '\0');
  ASSIGN_OR_RETURN(size_t got, file->blocking().Read(0, content));
  uint32_t crc = 0;
  std::string_view data;
  wire::Reader reader(std::string_view(content).substr(0, got));
  for (wire::Field field; reader.Next(field);) {
    if (field.number == 1) crc = static_cast<uint32_t>(field.varint);
    if (field.number == 2) data = field.bytes;
  }
  if (!reader.ok() || data.empty()) return absl::DataLossError(path + ": not a snapshot file");
  if (Crc32c(0, data) != crc) return absl::DataLossError(path + ": crc mismatch");
  return raft::DecodeSnapshot(data);
}

}  // namespace quoin::wal
