// The table of commands.
#include "cli/program.h"
#include "utl/invocation.h"

namespace quoin::utl {
namespace {

using cli::FlagSpec;
using cli::FlagType;

constexpr std::string_view kLook = "Looking";
constexpr std::string_view kChange = "Changing";
constexpr std::string_view kThisProgram = "This program";

constexpr FlagSpec kGlobal[] = {
    {"write-out", FlagType::kString, "simple",
     "output format of snapshot status and hashkv: simple, fields, json or table", 'w'},
    {"timeout", FlagType::kDuration, "10s",
     "how long to wait for a data file that another process uses; 0 = for ever"},
};

constexpr FlagSpec kDumpFlags[] = {
    {"wal", FlagType::kBool, "", "the log instead, record by record, as it lies on the disk"},
    {"tree", FlagType::kBool, "", "the data file instead: pages, buckets, revisions"},
};
constexpr FlagSpec kHashFlags[] = {
    {"rev", FlagType::kInt, "0", "hash up to this revision; 0 = all"},
};
constexpr FlagSpec kDataDirFlag[] = {
    {"data-dir", FlagType::kString, "", "of a member that does not run"},
};
constexpr FlagSpec kMigrateFlags[] = {
    {"data-dir", FlagType::kString, "", "of a member that does not run"},
    {"target-version", FlagType::kString, "", "version that is to read it, as in 3.6; from 3.5 on"},
    {"force", FlagType::kBool, "", "set the version although the log says that it does not fit"},
};
constexpr FlagSpec kRepairFlags[] = {
    {"data-dir", FlagType::kString, "", "of a member that does not run"},
    {"wal-dir", FlagType::kString, "", "of its log, where that is not below the data directory"},
    {"cut", FlagType::kBool, "", "do what is only shown otherwise"},
};
constexpr FlagSpec kRestoreFlags[] = {
    {"data-dir", FlagType::kString, "", "where to; default <name>.etcd"},
    {"wal-dir", FlagType::kString, "", "where to put the log; default below the data directory"},
    {"name", FlagType::kString, "default", "the member's name"},
    {"initial-cluster", FlagType::kString, "default=http://localhost:2380",
     "all members: name=peer URL, comma separated"},
    {"initial-cluster-token", FlagType::kString, "etcd-cluster",
     "what the cluster's id is made of"},
    {"initial-advertise-peer-urls", FlagType::kString, "http://localhost:2380",
     "this member's peer URLs, as --initial-cluster has them"},
    {"skip-hash-check", FlagType::kBool, "",
     "for a copy of a member's data file, which has no digest"},
    {"bump-revision", FlagType::kInt, "0", "how far to raise the latest revision"},
    {"mark-compacted", FlagType::kBool, "", "goes with --bump-revision: watchers start anew"},
    {"initial-memory-map-size", FlagType::kInt, "0",
     "has nothing to do here: files are not mapped"},
};

constexpr Command kSnapshotCommands[] = {
    {.name = "status",
     .arguments = "<file>",
     .summary = "Shows hash, revision, keys, size and version of a snapshot file",
     .examples = "snapshot status backup.db -w table",
     .run = cli::In<RunSnapshotStatus>},
    {.name = "restore",
     .arguments = "<file>",
     .summary = "Makes a new data directory out of a snapshot file",
     .help =
         "The file must be a whole database, and the directories must be free: both are checked "
         "first.\nA failure leaves nothing behind.",
     .examples = "snapshot restore backup.db --data-dir ./anew",
     .flags = kRestoreFlags,
     .run = cli::In<RunSnapshotRestore>},
    {.name = "save",
     .arguments = "<file>",
     .summary = "Is a command of quoinctl",
     .run = cli::In<RunSnapshotSave>,
     .hidden = true},
};

constexpr Command kTopCommands[] = {
    {.name = "check",
     .arguments = "<directory or file>",
     .summary = "Checks data file and log, and that they fit each other",
     .group = kLook,
     .run = cli::In<RunCheck>},
    {.name = "dump",
     .arguments = "<directory or file>",
     .summary = "Shows all that is in it, as JSON; with --wal or --tree as text",
     .group = kLook,
     .flags = kDumpFlags,
     .run = cli::In<RunDump>},
    {.name = "hashkv",
     .arguments = "<file>",
     .summary = "Shows the hash over a data file's key history",
     .group = kLook,
     .flags = kHashFlags,
     .run = cli::In<RunHashKv>},
    {.name = "snapshot",
     .summary = "Snapshot files",
     .group = kLook,
     .children = kSnapshotCommands},
    {.name = "defrag",
     .summary = "Writes a data file anew, without free pages",
     .examples = "defrag --data-dir ./m0.etcd",
     .group = kChange,
     .flags = kDataDirFlag,
     .run = cli::In<RunDefrag>},
    {.name = "migrate",
     .summary = "Makes a directory readable for another version",
     .help = "Below 3.6 a data file names no version. A version that the log has entries for which "
             "it\ndoes not know is refused.",
     .examples = "migrate --data-dir ./m0.etcd --target-version 3.5",
     .group = kChange,
     .flags = kMigrateFlags,
     .run = cli::In<RunMigrate>},
    {.name = "repair",
     .summary = "Says what a damaged log would cost, and mends it",
     .help = "For a log that no server starts with. Without --cut nothing is changed: it says what "
             "can be kept\nand what would be lost, and exits with 1. With other members alive, "
             "adding this one anew loses nothing.",
     .examples = "repair --data-dir ./m0.etcd\nrepair --data-dir ./m0.etcd --cut",
     .group = kChange,
     .flags = kRepairFlags,
     .run = cli::In<RunRepair>},
    {.name = "version",
     .summary = "Shows this program's version",
     .group = kThisProgram,
     .run = cli::In<RunVersion>},
    {.name = "options",
     .summary = "Shows the options that every command takes",
     .group = kThisProgram,
     .run = cli::RunOptions},
    {.name = "completion",
     .arguments = "<bash|zsh|fish|powershell>",
     .summary = "Prints a completion script for a shell",
     .group = kThisProgram,
     .run = cli::RunCompletion},
};

constexpr std::string_view kNotes =
    "Options used most\n"
    "  -w, --write-out  simple, fields, json or table\n"
    "  --timeout        how long to wait for a data file that another process uses (default 10s)\n"
    "\n"
    "Exit codes\n"
    "  0 done   1 failed   4 unsupported output format   128 bad arguments\n";

constexpr Command kRoot = {
    .name = "quoinutl",
    .summary =
        "Looks at and mends data directories of quoin and etcd while no server runs on them.",
    .children = kTopCommands};

}  // namespace

const cli::Program& TheProgram() {
  static const cli::Program program = {kRoot, kGlobal, kNotes,
                                       "Every command takes these options, before or after its "
                                       "name."};
  return program;
}

}  // namespace quoin::utl
