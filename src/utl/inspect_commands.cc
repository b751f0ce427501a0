// check, dump, hashkv, snapshot status: they change nothing.
#include <fmt/format.h>

#include <ostream>

#include "btree/tree.h"
#include "utl/directory.h"
#include "utl/invocation.h"
#include "utl/report.h"
#include "utl/snapshot_file.h"
#include "utl/text.h"
#include "utl/tree_dump.h"
#include "utl/wal_dump.h"

namespace quoin::utl {
namespace {

// The one argument of most commands; nullptr after printing the error.
const std::string* OneArgument(Invocation& invocation, std::string_view command) {
  if (invocation.arguments().size() == 1) return &invocation.arguments()[0];
  invocation.Fail(ExitCode::kBadArguments,
                  fmt::format("{} requires exactly one argument", command));
  return nullptr;
}

ExitCode DumpContent(Invocation& invocation, const std::string& path) {
  NullLogger log;
  StatusOr<Directory> directory = Load(invocation.files(), path, log);
  if (!directory.ok()) return invocation.Fail(directory.status());
  const StatusOr<std::string> text = DumpJson(*directory);
  if (!text.ok()) return invocation.Fail(text.status());
  invocation.out() << *text << '\n';
  return ExitCode::kOk;
}

// Prints a status as --write-out says.
ExitCode Print(Invocation& invocation, const SnapshotStatus& s) {
  const std::string& format = invocation.format();
  std::ostream& out = invocation.out();
  if (format == "json") {
    out << fmt::format(
        "{{\"hash\":{},\"revision\":{},\"totalKey\":{},\"totalSize\":{},\"version\":\"{}\"}}\n",
        s.hash, s.revision, s.total_keys, s.total_bytes, s.version);
  } else if (format == "fields") {
    out << fmt::format(
        "\"Hash\" : {}\n\"Revision\" : {}\n\"Keys\" : {}\n\"Size\" : {}\n\"Version\" : \"{}\"\n",
        s.hash, s.revision, s.total_keys, s.total_bytes, s.version);
  } else if (format == "simple") {
    out << fmt::format("{:x}, {}, {}, {}, {}\n", s.hash, s.revision, s.total_keys,
                       HumanBytes(s.total_bytes), s.version);
  } else if (format == "table") {
    out << Table({"hash", "revision", "total keys", "total size", "storage version"},
                 {fmt::format("{:x}", s.hash), fmt::to_string(s.revision),
                  fmt::to_string(s.total_keys), HumanBytes(s.total_bytes), s.version});
  } else {
    return invocation.UnsupportedFormat();
  }
  return ExitCode::kOk;
}

ExitCode Print(Invocation& invocation, const mvcc::HashResult& h) {
  const std::string& format = invocation.format();
  std::ostream& out = invocation.out();
  if (format == "simple") {
    out << fmt::format("{}, {}, {}\n", h.hash, h.hash_revision, h.compact_revision);
  } else if (format == "json") {
    out << fmt::format("{{\"hash\":{},\"hashRevision\":{},\"compactRevision\":{}}}\n", h.hash,
                       h.hash_revision, h.compact_revision);
  } else if (format == "fields") {
    out << fmt::format("\"Hash\" : {}\n\"Hash revision\" : {}\n\"Compact revision\" : {}\n", h.hash,
                       h.hash_revision, h.compact_revision);
  } else if (format == "table") {
    out << Table({"hash", "hash revision", "compact revision"},
                 {fmt::to_string(h.hash), fmt::to_string(h.hash_revision),
                  fmt::to_string(h.compact_revision)});
  } else {
    return invocation.UnsupportedFormat();
  }
  return ExitCode::kOk;
}

// A file of its own, a stopped member's, or its directory: a running one holds it.
StatusOr<Directory> LoadStopped(Invocation& invocation, const std::string& path) {
  ASSIGN_OR_RETURN(const env::FileInfo info, invocation.files().Stat(path));
  const std::string file = info.is_directory ? path + "/member/snap/db" : path;
  ASSIGN_OR_RETURN(const auto lock, invocation.Lock(file, /*exclusive=*/false));
  NullLogger log;
  return Load(invocation.files(), path, log);
}

StatusOr<SnapshotStatus> ReadStatus(Invocation& invocation, const std::string& path) {
  RETURN_IF_ERROR(invocation.files().Stat(path).status());
  ASSIGN_OR_RETURN(const auto lock, invocation.Lock(path, /*exclusive=*/false));
  ASSIGN_OR_RETURN(const uint64_t bytes, CheckDatabase(invocation.files(), path));
  RETURN_IF_ERROR(CheckDigest(invocation.files(), path, /*required=*/false).status());
  NullLogger log;
  ASSIGN_OR_RETURN(Directory directory, Load(invocation.files(), path, log));
  ASSIGN_OR_RETURN(SnapshotStatus status, StatusOf(directory));
  status.total_bytes = bytes;  // not that of the tree in memory, which shrank
  return status;
}

}  // namespace

ExitCode RunDump(Invocation& invocation) {
  const std::string* path = OneArgument(invocation, "dump");
  if (path == nullptr) return ExitCode::kBadArguments;
  const bool wal = invocation.flags().Bool("wal"), tree = invocation.flags().Bool("tree");
  if (wal && tree) return invocation.Fail(ExitCode::kBadArguments, "--wal excludes --tree");
  if (!wal && !tree) return DumpContent(invocation, *path);
  const std::string below = *path + (wal ? "/member/wal" : "/member/snap/db");
  const std::string& place = invocation.files().Exists(below) ? below : *path;
  const auto print = [&](std::string_view line) { invocation.out() << line << '\n'; };
  NullLogger log;
  const Status status = wal ? DumpLog(invocation.files(), place, log, print)
                            : DumpTree(invocation.files(), place, print);
  return status.ok() ? ExitCode::kOk : invocation.Fail(status);
}

// The file's structure, then the whole directory read as a server would read it.
ExitCode RunCheck(Invocation& invocation) {
  const std::string* path = OneArgument(invocation, "check");
  if (path == nullptr) return ExitCode::kBadArguments;
  env::BlockingFileSystem& files = invocation.files();
  const StatusOr<env::FileInfo> info = files.Stat(*path);
  if (!info.ok()) return invocation.Fail(info.status());
  const std::string file = info->is_directory ? *path + "/member/snap/db" : *path;
  if (!info->is_directory) {
    if (const auto whole = CheckDatabase(files, file); !whole.ok())
      return invocation.Fail(whole.status());
  }
  if (const StatusOr<env::FileInfo> db = files.Stat(file); db.ok() && db->size > 0) {
    const btree::CheckReport report = btree::CheckFile(files, file);
    for (const std::string& problem : report.problems)
      invocation.err() << "Error: " << problem << '\n';
    if (!report.problems.empty()) return ExitCode::kError;
    invocation.out() << fmt::format("{}: sound, {} pages in use, {} free\n", file,
                                    report.pages_reachable, report.pages_free);
  }
  NullLogger log;
  const StatusOr<Directory> directory = Load(files, *path, log);
  if (!directory.ok()) return invocation.Fail(directory.status());
  if (directory->log) {
    invocation.out() << fmt::format(
        "log: sound{}, {} entries, commit {}, data file at {}\n",
        directory->log->repaired ? " but for a torn write at its end" : "",
        directory->log->entries.size(), directory->log->hard_state.commit.value(),
        directory->index_in_file);
  }
  invocation.out() << fmt::format("ok: revision {}, index {}\n",
                                  directory->machine->store().current_revision(),
                                  directory->machine->applied_index().value());
  return ExitCode::kOk;
}

ExitCode RunHashKv(Invocation& invocation) {
  const std::vector<std::string>& arguments = invocation.arguments();
  if (arguments.size() != 1) {
    return invocation.Fail(ExitCode::kError,
                           fmt::format("accepts 1 arg(s), received {}", arguments.size()));
  }
  if (!invocation.HasFormat()) return ExitCode::kBadFeature;
  StatusOr<Directory> directory = LoadStopped(invocation, arguments[0]);
  if (!directory.ok()) return invocation.Fail(directory.status());
  EpochDomain::ReaderSlot slot(directory->tree->epochs());
  const StatusOr<mvcc::HashResult> hash =
      directory->machine->store().HashByRevision(invocation.flags().Int("rev"), slot);
  if (!hash.ok()) return invocation.Fail(hash.status());
  return Print(invocation, *hash);
}

ExitCode RunSnapshotStatus(Invocation& invocation) {
  const std::string* path = OneArgument(invocation, "snapshot status");
  if (path == nullptr) return ExitCode::kBadArguments;
  if (!invocation.HasFormat()) return ExitCode::kBadFeature;
  const StatusOr<SnapshotStatus> status = ReadStatus(invocation, *path);
  if (!status.ok()) return invocation.Fail(status.status());
  return Print(invocation, *status);
}

}  // namespace quoin::utl
