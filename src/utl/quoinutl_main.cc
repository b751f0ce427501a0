// quoinutl: looks at and mends data directories while no server runs on them.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>

#include "btree/tree.h"
#include "env/posix/posix_env.h"
#include "utl/defragment.h"
#include "utl/directory.h"
#include "utl/report.h"
#include "utl/restore.h"
#include "utl/text.h"
#include "utl/tree_dump.h"
#include "utl/wal_dump.h"

namespace quoin::utl {
namespace {

constexpr int kBadArguments = 128;
constexpr int kBadFormat = 4;

int Fail(const Status& status) {
  fmt::print(stderr, "Error: {}\n", std::string(status.message()));
  return 1;
}

int Unsupported(const std::string& format) {
  fmt::print(stderr, "Error: {} not supported as output format\n", format);
  return kBadFormat;
}

int Dump(env::BlockingFileSystem& files, const std::string& path) {
  NullLogger log;
  StatusOr<Directory> directory = Load(files, path, log);
  if (!directory.ok()) return Fail(directory.status());
  StatusOr<std::string> text = DumpJson(*directory);
  if (!text.ok()) return Fail(text.status());
  fmt::print("{}\n", *text);
  return 0;
}

void PrintLine(std::string_view line) { fmt::print("{}\n", line); }

// The log of a data directory, or of its wal directory.
int DumpWal(env::BlockingFileSystem& files, const std::string& path) {
  const std::string below = path + "/member/wal";
  NullLogger log;
  const Status status = DumpLog(files, files.Exists(below) ? below : path, log, PrintLine);
  return status.ok() ? 0 : Fail(status);
}

int DumpPages(env::BlockingFileSystem& files, const std::string& path) {
  const std::string below = path + "/member/snap/db";
  const Status status = DumpTree(files, files.Exists(below) ? below : path, PrintLine);
  return status.ok() ? 0 : Fail(status);
}

int Defrag(env::BlockingFileSystem& files, const std::string& data_dir) {
  const StatusOr<Defragmented> done = Defragment(files, data_dir);
  if (!done.ok()) {
    return Fail(absl::InternalError(fmt::format("Failed to defragment etcd data[{}] ({})", data_dir,
                                                std::string(done.status().message()))));
  }
  fmt::print(stderr, "defragmented {}: {} before, {} now\n", data_dir,
             HumanBytes(done->bytes_before), HumanBytes(done->bytes_after));
  return 0;
}

// The file's structure, then the whole directory read as a server would read it.
int Check(env::BlockingFileSystem& files, const std::string& path) {
  StatusOr<env::FileInfo> info = files.Stat(path);
  if (!info.ok()) return Fail(info.status());
  const std::string file = info->is_directory ? path + "/member/snap/db" : path;
  if (files.Exists(file)) {
    btree::CheckReport report = btree::CheckFile(files, file);
    for (const std::string& problem : report.problems) fmt::print(stderr, "Error: {}\n", problem);
    if (!report.problems.empty()) return 1;
    fmt::print("{}: sound, {} pages in use, {} free\n", file, report.pages_reachable,
               report.pages_free);
  }
  NullLogger log;
  StatusOr<Directory> directory = Load(files, path, log);
  if (!directory.ok()) return Fail(directory.status());
  if (directory->log) {
    fmt::print("log: sound{}, {} entries, commit {}, data file at {}\n",
               directory->log->repaired ? " but for a torn write at its end" : "",
               directory->log->entries.size(), directory->log->hard_state.commit.value(),
               directory->index_in_file);
  }
  fmt::print("ok: revision {}, index {}\n", directory->machine->store().current_revision(),
             directory->machine->applied_index().value());
  return 0;
}

int PrintStatus(env::BlockingFileSystem& files, const std::string& path,
                const std::string& format) {
  StatusOr<uint64_t> bytes = CheckDigest(files, path, /*required=*/false);
  if (!bytes.ok()) return Fail(bytes.status());
  NullLogger log;
  StatusOr<Directory> directory = Load(files, path, log);
  if (!directory.ok()) return Fail(directory.status());
  StatusOr<SnapshotStatus> status = StatusOf(*directory);
  if (!status.ok()) return Fail(status.status());
  status->total_bytes = *bytes;  // the file's, not that of the tree in memory, which shrank
  const SnapshotStatus& s = *status;
  if (format == "json") {
    fmt::print(
        "{{\"hash\":{},\"revision\":{},\"totalKey\":{},\"totalSize\":{},\"version\":\"{}\"}}\n",
        s.hash, s.revision, s.total_keys, s.total_bytes, s.version);
  } else if (format == "fields") {
    fmt::print(
        "\"Hash\" : {}\n\"Revision\" : {}\n\"Keys\" : {}\n\"Size\" : {}\n\"Version\" : \"{}\"\n",
        s.hash, s.revision, s.total_keys, s.total_bytes, s.version);
  } else if (format == "simple") {
    fmt::print("{:x}, {}, {}, {}, {}\n", s.hash, s.revision, s.total_keys,
               HumanBytes(s.total_bytes), s.version);
  } else if (format == "table") {
    fmt::print("{}", Table({"hash", "revision", "total keys", "total size", "storage version"},
                           {fmt::format("{:x}", s.hash), fmt::to_string(s.revision),
                            fmt::to_string(s.total_keys), HumanBytes(s.total_bytes), s.version}));
  } else {
    return Unsupported(format);
  }
  return 0;
}

int HashKv(env::BlockingFileSystem& files, const std::string& path, int64_t revision,
           const std::string& format) {
  NullLogger log;
  StatusOr<Directory> directory = Load(files, path, log);
  if (!directory.ok()) return Fail(directory.status());
  EpochDomain::ReaderSlot slot(directory->tree->epochs());
  StatusOr<mvcc::HashResult> hash = directory->machine->store().HashByRevision(revision, slot);
  if (!hash.ok()) return Fail(hash.status());
  const mvcc::HashResult& h = *hash;
  if (format == "simple") {
    fmt::print("{}, {}, {}\n", h.hash, h.hash_revision, h.compact_revision);
  } else if (format == "json") {
    fmt::print("{{\"hash\":{},\"hashRevision\":{},\"compactRevision\":{}}}\n", h.hash,
               h.hash_revision, h.compact_revision);
  } else if (format == "fields") {
    fmt::print("\"Hash\" : {}\n\"Hash revision\" : {}\n\"Compact revision\" : {}\n", h.hash,
               h.hash_revision, h.compact_revision);
  } else if (format == "table") {
    fmt::print("{}", Table({"hash", "hash revision", "compact revision"},
                           {fmt::to_string(h.hash), fmt::to_string(h.hash_revision),
                            fmt::to_string(h.compact_revision)}));
  } else {
    return Unsupported(format);
  }
  return 0;
}

// "a=http://h1:2380,b=http://h2:2380,a=…"
bool ParseCluster(const std::string& text, std::map<std::string, std::vector<std::string>>& out) {
  for (const std::string& part : CLI::detail::split(text, ',')) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0) return false;
    out[part.substr(0, equals)].push_back(part.substr(equals + 1));
  }
  return !out.empty();
}

int RunRestore(RestoreOptions options, const std::string& initial_cluster,
               const std::string& advertise) {
  if ((options.bump_revision > 0) != options.mark_compacted) {
    fmt::print(stderr,
               "Error: --mark-compacted required if --bump-revision is set, and only then\n");
    return kBadArguments;
  }
  if (!ParseCluster(initial_cluster, options.initial_cluster)) {
    fmt::print(stderr, "Error: --initial-cluster is not name=url[,name=url]\n");
    return kBadArguments;
  }
  std::vector<std::string> own = options.initial_cluster[options.name];
  std::vector<std::string> advertised = CLI::detail::split(advertise, ',');
  std::sort(own.begin(), own.end());
  std::sort(advertised.begin(), advertised.end());
  if (!own.empty() && own != advertised) {
    return Fail(absl::InvalidArgumentError(
        fmt::format("--initial-cluster has {} for {}, but --initial-advertise-peer-urls={}",
                    fmt::join(own, ","), options.name, fmt::join(advertised, ","))));
  }
  if (own.empty()) options.initial_cluster.erase(options.name);
  if (options.data_dir.empty()) options.data_dir = options.name + ".etcd";
  NullLogger log;
  std::unique_ptr<env::Env> env = env::NewPosixEnv();
  Status status = Restore(*env, options, log);
  if (!status.ok()) return Fail(status);
  fmt::print(stderr, "restored snapshot {} into {}\n", options.snapshot, options.data_dir);
  return 0;
}

// What the commands' flags and arguments are read into.
struct Arguments {
  std::string path, data_dir, format = "simple";
  std::string initial_cluster = "default=http://localhost:2380";
  std::string advertise = "http://localhost:2380";
  int64_t revision = 0;
  bool wal = false, tree = false;
  RestoreOptions restore;
};

void AddDump(CLI::App& app, env::BlockingFileSystem& files, Arguments& a, int& result) {
  CLI::App* dump = app.add_subcommand(
      "dump", "Prints what a directory or snapshot file holds, as JSON; changes nothing");
  dump->add_option("path", a.path, "data directory or file")->required();
  CLI::Option* wal = dump->add_flag(
      "--wal", a.wal, "print the log instead, record by record, as it lies on the disk");
  dump->add_flag("--tree", a.tree, "print the data file instead: pages, buckets, revisions")
      ->excludes(wal);
  dump->callback([&] {
    result = a.wal    ? DumpWal(files, a.path)
             : a.tree ? DumpPages(files, a.path)
                      : Dump(files, a.path);
  });
}

void AddRestore(CLI::App& snapshot, Arguments& a, int& result) {
  RestoreOptions& restore = a.restore;
  CLI::App* make =
      snapshot.add_subcommand("restore", "Makes a new data directory out of a snapshot file");
  make->add_option("file", restore.snapshot)->required();
  make->add_option("--data-dir", restore.data_dir, "where to; default <name>.etcd");
  make->add_option("--wal-dir", restore.wal_dir);
  make->add_option("--name", restore.name)->capture_default_str();
  make->add_option("--initial-cluster", a.initial_cluster)->capture_default_str();
  make->add_option("--initial-cluster-token", restore.cluster_token)->capture_default_str();
  make->add_option("--initial-advertise-peer-urls", a.advertise,
                   "this member's peer URLs, as --initial-cluster has them");
  make->add_flag("--skip-hash-check", restore.skip_hash_check);
  make->add_option("--bump-revision", restore.bump_revision,
                   "how far to raise the latest revision");
  make->add_flag("--mark-compacted", restore.mark_compacted);
  make->callback([&] { result = RunRestore(a.restore, a.initial_cluster, a.advertise); });
}

void AddCommands(CLI::App& app, env::BlockingFileSystem& files, Arguments& a, int& result) {
  app.add_option("-w,--write-out", a.format, "simple, fields, json or table")->configurable(false);
  app.fallthrough();
  AddDump(app, files, a, result);
  CLI::App* check =
      app.add_subcommand("check", "Checks data file and log, and that they fit each other");
  check->add_option("path", a.path, "data directory or file")->required();
  check->callback([&] { result = Check(files, a.path); });
  CLI::App* defrag = app.add_subcommand("defrag", "Writes a data file anew, without free pages");
  defrag->add_option("--data-dir", a.data_dir, "of a member that does not run")->required();
  defrag->callback([&] { result = Defrag(files, a.data_dir); });
  CLI::App* hashkv = app.add_subcommand(
      "hashkv", "Prints hash, hash revision and compact revision of a data file");
  hashkv->add_option("file", a.path)->required();
  hashkv->add_option("--rev", a.revision, "revision up to which to hash; 0 = all");
  hashkv->callback([&] { result = HashKv(files, a.path, a.revision, a.format); });
  app.add_subcommand("version", "Prints the version")->callback([] {
    fmt::print("quoinutl version: 3.7.1\nAPI version: 3.7\n");
  });
  CLI::App* snapshot = app.add_subcommand("snapshot", "Snapshot files");
  snapshot->require_subcommand(1);
  CLI::App* status =
      snapshot->add_subcommand("status", "Prints hash, revision, keys, size and version");
  status->add_option("file", a.path)->required();
  status->callback([&] { result = PrintStatus(files, a.path, a.format); });
  AddRestore(*snapshot, a, result);
  snapshot->fallthrough();
}

int Run(int argc, char** argv) {
  std::unique_ptr<env::FileSystem> fs = env::NewPosixFileSystem();
  CLI::App app(
      "Looks at and mends data directories of quoin and etcd while no server runs on them.",
      "quoinutl");
  app.require_subcommand(1);
  Arguments arguments;
  int result = 0;
  AddCommands(app, fs->blocking(), arguments, result);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    fmt::print(stderr, "Error: {}\n", error.what());
    return 1;
  }
  return result;
}

}  // namespace
}  // namespace quoin::utl

int main(int argc, char** argv) { return quoin::utl::Run(argc, argv); }
