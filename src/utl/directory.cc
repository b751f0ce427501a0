#include "utl/directory.h"

#include <openssl/evp.h>

#include "base/check.h"
#include "raft_types/codec.h"

namespace quoin::utl {
namespace {

constexpr size_t kDigestBytes = 32;
constexpr size_t kReadBytes = 1 << 20;
constexpr size_t kCompactionSlice = 100000;

// Entries that are committed and not yet in the data file.
Status Replay(Directory& directory, const std::string& path) {
  state::StateMachine& machine = *directory.machine;
  Index commit = std::max(directory.log->hard_state.commit, machine.applied_index());
  for (const raft::Entry& entry : directory.log->entries) {
    if (entry.index <= machine.applied_index()) continue;
    // What the only voter has in its log is committed, though the commit index may not say so yet.
    const raft::ConfState members = machine.membership().ConfigurationState();
    if (members.voters == std::vector{NodeId(directory.log->metadata.node_id)})
      commit = entry.index;
    if (entry.index > commit) break;
    if (entry.type == raft::EntryType::kNormal) {
      StatusOr<state::Command> command = state::ParseCommand(entry.data);
      if (!command.ok()) {
        return absl::DataLossError(path + ": log entry " + std::to_string(entry.index.value()) +
                                   ": " + std::string(command.status().message()));
      }
      machine.Apply(entry.index, entry.term, *command, /*want_result=*/false);
    } else {
      machine.ApplyConfChange(entry.index, entry.term, state::ParseLoggedChange(entry));
      machine.SetConfState(machine.membership().ConfigurationState());
    }
    machine.Publish();
  }
  return OkStatus();
}

}  // namespace

StatusOr<Directory> Load(env::BlockingFileSystem& files, const std::string& path, Logger& log) {
  ASSIGN_OR_RETURN(env::FileInfo info, files.Stat(path));
  Directory out;
  const std::string file = info.is_directory ? path + "/member/snap/db" : path;
  const std::string wal = path + "/member/wal";
  StatusOr<env::FileInfo> db = files.Stat(file);
  const bool has_db = db.ok() && db->size > 0;
  if (info.is_directory) {
    if (!wal::Exists(files, wal)) return absl::DataLossError(wal + ": no log");
    if (!has_db) {
      ASSIGN_OR_RETURN(wal::Recovered found,
                       wal::Recover(files, wal, wal::ReadMode::kReadOnly, Index(), log));
      if (found.start.index.value() != 0) {
        return absl::DataLossError(
            file + ": missing or empty, and the log starts after a snapshot at index " +
            std::to_string(found.start.index.value()));
      }
    }
  }
  btree::Options options;
  options.read_only = true;
  ASSIGN_OR_RETURN(out.tree, btree::Tree::Open(files, file, options));
  state::Options state_options;
  state_options.purpose = state::Options::Purpose::kLook;
  ASSIGN_OR_RETURN(out.machine, state::StateMachine::Open(*out.tree, state_options, log));
  out.index_in_file = out.machine->applied_index().value();
  if (info.is_directory) {
    ASSIGN_OR_RETURN(out.log, wal::Recover(files, wal, wal::ReadMode::kReadOnly,
                                           out.machine->applied_index(), log));
    if (out.machine->applied_index() < out.log->start.index) {
      return absl::DataLossError(file + ": database file (index " +
                                 std::to_string(out.index_in_file) +
                                 ") does not match with snapshot (index " +
                                 std::to_string(out.log->start.index.value()) + ")");
    }
    RETURN_IF_ERROR(Replay(out, path));
  }
  do {
    out.machine->Publish();  // ends the writer's guard: a compaction waits for readers
  } while (!out.machine->CompactionSlice(kCompactionSlice));
  out.machine->Publish();
  return out;
}

StatusOr<uint64_t> CheckDigest(env::BlockingFileSystem& files, const std::string& path,
                               bool required) {
  ASSIGN_OR_RETURN(std::unique_ptr<env::File> file, files.Open(path, env::OpenMode::kRead));
  ASSIGN_OR_RETURN(uint64_t size, file->blocking().Size());
  if (size % 512 != kDigestBytes) {
    if (required)
      return absl::InvalidArgumentError("snapshot missing hash but --skip-hash-check=false");
    return size;
  }
  const uint64_t content = size - kDigestBytes;
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  CHECK_EQ(EVP_DigestInit_ex(context, EVP_sha256(), nullptr), 1);
  std::string buffer(kReadBytes, '\0');
  Status status;
  for (uint64_t at = 0; at < content && status.ok();) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(kReadBytes, content - at));
    StatusOr<size_t> got = file->blocking().Read(at, std::span<char>(buffer.data(), wanted));
    status = got.status();
    if (status.ok()) EVP_DigestUpdate(context, buffer.data(), *got);
    at += wanted;
  }
  std::string digest(kDigestBytes, '\0'), stored(kDigestBytes, '\0');
  EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(digest.data()), nullptr);
  EVP_MD_CTX_free(context);
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(file->blocking().Read(content, stored).status());
  if (digest != stored)
    return absl::DataLossError(path + ": the SHA-256 at its end is not that of its content");
  return content;
}

}  // namespace quoin::utl
