#include "utl/directory.h"

#include "utl/snapshot_file.h"
#include "wal/whole_log.h"

namespace quoin::utl {
namespace {

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

// Reads the log behind a data file at `applied`; from its first entry on when the file ends before
// the log's newest snapshot, or there is none.
StatusOr<wal::Recovered> ReadLog(env::BlockingFileSystem& files, const std::string& file,
                                 const std::string& dir, Index applied, Logger& log) {
  ASSIGN_OR_RETURN(wal::Recovered out,
                   wal::Recover(files, dir, wal::ReadMode::kReadOnly, applied, log));
  if (applied >= out.start.index) return out;
  StatusOr<wal::Recovered> whole = wal::RecoverWhole(files, dir, wal::ReadMode::kReadOnly, log);
  if (!absl::IsNotFound(whole.status())) return whole;
  return absl::DataLossError(file + ": database file (index " + std::to_string(applied.value()) +
                             ") does not match with snapshot (index " +
                             std::to_string(out.start.index.value()) +
                             "): " + std::string(whole.status().message()));
}

}  // namespace

StatusOr<Directory> Load(env::BlockingFileSystem& files, const std::string& path, Logger& log) {
  ASSIGN_OR_RETURN(env::FileInfo info, files.Stat(path));
  Directory out;
  const std::string file = info.is_directory ? path + "/member/snap/db" : path;
  const std::string wal = path + "/member/wal";
  if (!info.is_directory) RETURN_IF_ERROR(CheckDatabase(files, file).status());
  if (info.is_directory && !wal::Exists(files, wal)) return absl::DataLossError(wal + ": no log");
  btree::Options options;
  options.read_only = true;
  ASSIGN_OR_RETURN(out.tree, btree::Tree::Open(files, file, options));
  state::Options state_options;
  state_options.purpose = state::Options::Purpose::kLook;
  ASSIGN_OR_RETURN(out.machine, state::StateMachine::Open(*out.tree, state_options, log));
  out.index_in_file = out.machine->applied_index().value();
  if (info.is_directory) {
    ASSIGN_OR_RETURN(out.log, ReadLog(files, file, wal, out.machine->applied_index(), log));
    RETURN_IF_ERROR(Replay(out, path));
  }
  do {
    out.machine->Publish();  // ends the writer's guard: a compaction waits for readers
  } while (!out.machine->CompactionSlice(kCompactionSlice));
  out.machine->Publish();
  return out;
}

}  // namespace quoin::utl
