// The table of commands.
#include "cli/program.h"
#include "ctl/command.h"
#include "ctl/families.h"
#include "ctl/kv_flags.h"

namespace quoin::ctl {
namespace {

constexpr std::string_view kKeys = "Keys";
constexpr std::string_view kCluster = "Cluster";
constexpr std::string_view kMaintenance = "Maintenance";
constexpr std::string_view kProgram = "This program";

constexpr FlagSpec kCompactionFlags[] = {
    {"physical", FlagType::kBool, "", "return only when the old revisions are gone from the store"},
};
constexpr FlagSpec kTxnFlags[] = {
    {"interactive", FlagType::kBool, "", "say which part is read next", 'i'},
};
constexpr FlagSpec kClusterFlag[] = {
    {"cluster", FlagType::kBool, "", "all members of the cluster instead of --endpoints"},
};
constexpr FlagSpec kHashFlags[] = {
    {"rev", FlagType::kInt, "0", "hash up to this revision; 0 = all"},
};
constexpr FlagSpec kMemberListFlags[] = {
    {"consistency", FlagType::kString, "l",
     "linearizable (l), or serializable (s) and perhaps stale"},
};

constexpr FlagSpec kPeerUrlsFlag[] = {
    {"peer-urls", FlagType::kStringList, "", "the member's peer URLs, separated by commas"},
};
constexpr FlagSpec kMemberAddFlags[] = {
    {"peer-urls", FlagType::kStringList, "", "the new member's peer URLs, separated by commas"},
    {"learner", FlagType::kBool, "", "it takes part without a vote until it is promoted"},
};
constexpr FlagSpec kLeaseKeysFlag[] = {
    {"keys", FlagType::kBool, "", "show the keys that hang on it"},
};
constexpr FlagSpec kKeepAliveFlags[] = {
    {"once", FlagType::kBool, "", "renew once and end"},
};
constexpr FlagSpec kWatchFlags[] = {
    {"interactive", FlagType::kBool, "", "read `watch …` lines from standard input", 'i'},
    {"prefix", FlagType::kBool, "", "all keys that begin with <key>"},
    {"rev", FlagType::kInt, "0", "from this revision on; 0 = what happens from now on"},
    {"prev-kv", FlagType::kBool, "", "show what the key was before, too"},
    {"progress-notify", FlagType::kBool, "", "show now and then up to where all is known"},
};
constexpr FlagSpec kLockFlags[] = {
    {"ttl", FlagType::kInt, "10", "seconds after which a lock whose holder is gone is free"},
};
constexpr FlagSpec kElectFlags[] = {
    {"listen", FlagType::kBool, "", "follow the election instead of standing in it", 'l'},
};

constexpr Command kLeaseCommands[] = {
    {.name = "grant",
     .arguments = "<ttl>",
     .summary = "Makes a lease that ends after so many seconds",
     .examples = "lease grant 60",
     .run = cli::In<RunLeaseGrant>},
    {.name = "revoke",
     .arguments = "<id>",
     .summary = "Ends a lease, and deletes the keys that hang on it",
     .run = cli::In<RunLeaseRevoke>},
    {.name = "timetolive",
     .arguments = "<id>",
     .summary = "Shows how long a lease still lives",
     .flags = kLeaseKeysFlag,
     .run = cli::In<RunLeaseTimeToLive>},
    {.name = "list",
     .summary = "Lists the leases, those that end first in front",
     .run = cli::In<RunLeaseList>},
    {.name = "keep-alive",
     .arguments = "<id>",
     .summary = "Renews a lease until it is gone",
     .flags = kKeepAliveFlags,
     .run = cli::In<RunLeaseKeepAlive>},
};

constexpr Command kEndpointCommands[] = {
    {.name = "health",
     .summary = "Checks that each endpoint can commit",
     .help = "Reads a key through consensus and looks for alarms, on every endpoint at once.\n"
             "Exits with 1 when any endpoint is unhealthy.",
     .run = cli::In<RunEndpointHealth>},
    {.name = "status",
     .summary = "Shows each endpoint's member, version, sizes and place in the log",
     .help = "Columns: endpoint, ID, version, storage version, db size, in use, percentage not in "
             "use, quota,\n"
             "is leader, is learner, raft term, raft index, raft applied index, errors, downgrade "
             "target version,\n"
             "downgrade enabled.",
     .examples = "endpoint status --cluster -w table",
     .run = cli::In<RunEndpointStatus>},
    {.name = "hashkv",
     .summary = "Shows a hash over each endpoint's key history",
     .help = "Members that hold the same history up to a revision have the same hash.",
     .examples = "endpoint hashkv --cluster --rev 1000",
     .flags = kHashFlags,
     .run = cli::In<RunEndpointHashKv>},
};

constexpr Command kAlarmCommands[] = {
    {.name = "list", .summary = "Lists the active alarms", .run = cli::In<RunAlarmList>},
    {.name = "disarm",
     .summary = "Takes back all alarms",
     .help = "A member without space raises NOSPACE and the cluster refuses writes until it is "
             "disarmed:\n"
             "make room first (compaction, defrag, deleting keys), then disarm.",
     .run = cli::In<RunAlarmDisarm>},
};

constexpr Command kDowngradeCommands[] = {
    {.name = "validate",
     .arguments = "<version>",
     .summary = "Says whether the cluster may be lowered to a version",
     .run = cli::In<RunDowngradeValidate>},
    {.name = "enable",
     .arguments = "<version>",
     .summary = "Lowers the cluster to a version, one minor below its own",
     .help = "Some seconds later the members may be replaced by such of that version, one by one. "
             "The cluster\n"
             "takes the order back itself when all of them are.",
     .examples = "downgrade enable 3.6",
     .run = cli::In<RunDowngradeEnable>},
    {.name = "cancel",
     .summary = "Takes the order back; the version rises to what all members know",
     .run = cli::In<RunDowngradeCancel>},
};

constexpr Command kMemberCommands[] = {
    {.name = "list",
     .summary = "Lists the members of the cluster",
     .help = "Columns: ID, status, name, peer addresses, client addresses, is learner.",
     .flags = kMemberListFlags,
     .run = cli::In<RunMemberList>},
    {.name = "add",
     .arguments = "<name>",
     .summary = "Announces a new member",
     .help = "Prints the variables to start it with. It counts from now on, so start it soon.",
     .examples = "member add m4 --peer-urls http://10.0.0.4:2380 --learner",
     .flags = kMemberAddFlags,
     .run = cli::In<RunMemberAdd>},
    {.name = "remove",
     .arguments = "<id>",
     .summary = "Removes a member for good",
     .run = cli::In<RunMemberRemove>},
    {.name = "update",
     .arguments = "<id>",
     .summary = "Changes a member's peer URLs",
     .flags = kPeerUrlsFlag,
     .run = cli::In<RunMemberUpdate>},
    {.name = "promote",
     .arguments = "<id>",
     .summary = "Gives a learner its vote",
     .run = cli::In<RunMemberPromote>},
};

constexpr FlagSpec kMirrorFlags[] = {
    {"prefix", FlagType::kString, "", "mirror the keys that begin so; all when it is empty"},
    {"rev", FlagType::kInt, "0", "skip what is there, and follow the changes after this revision"},
    {"max-txn-ops", FlagType::kInt, "128", "operations in one transaction of the destination"},
    {"dest-prefix", FlagType::kString, "", "what stands there in place of --prefix"},
    {"no-dest-prefix", FlagType::kBool, "", "take --prefix away from the keys"},
    {"dest-cert", FlagType::kString, "", "certificate to identify with at the destination"},
    {"dest-key", FlagType::kString, "", "private key of --dest-cert"},
    {"dest-cacert", FlagType::kString, "",
     "authorities that may sign the destination's certificate"},
    {"dest-insecure-transport", FlagType::kBool, "true", "connect to the destination without TLS"},
    {"dest-user", FlagType::kString, "", "name[:password] to log in with at the destination"},
    {"dest-password", FlagType::kString, "",
     "password of --dest-user, which then is the name alone"},
};
constexpr FlagSpec kPerfFlags[] = {
    {"load", FlagType::kString, "s", "s(mall), m(edium), l(arge) or xl"},
    {"prefix", FlagType::kString, "/etcdctl-check-perf/", "where the keys are written"},
    {"auto-compact", FlagType::kBool, "", "compact afterwards"},
    {"auto-defrag", FlagType::kBool, "", "defragment every endpoint afterwards"},
};
constexpr FlagSpec kScaleFlags[] = {
    {"load", FlagType::kString, "s", "s(mall), m(edium), l(arge) or xl"},
    {"prefix", FlagType::kString, "/etcdctl-check-datascale/", "where the keys are written"},
    {"auto-compact", FlagType::kBool, "", "compact afterwards"},
    {"auto-defrag", FlagType::kBool, "", "defragment every endpoint afterwards"},
};
constexpr Command kCheckCommands[] = {
    {.name = "perf",
     .summary = "Writes at a steady rate for a minute, and says whether that was easy",
     .help = "Per load: 150, 1000, 8000 or 15000 writes a second by 50, 200, 500 or 1000 clients.\n"
             "Passes with more than 90 % of them, none slower than 0.5 s, and a standard deviation "
             "of at most 0.1 s.\nThe keys are deleted afterwards.",
     .examples = "check perf --load m",
     .flags = kPerfFlags,
     .run = cli::In<RunCheckPerf>},
    {.name = "datascale",
     .summary = "Says how much memory so many keys take",
     .help =
         "Per load: 10000, 100000, 1000000 or 3000000 pairs of 1024 bytes. Looks at the metrics "
         "of the first\nendpoint before and after. The keys are deleted afterwards.",
     .flags = kScaleFlags,
     .run = cli::In<RunCheckDatascale>},
};

constexpr Command kSnapshotCommands[] = {
    {.name = "save",
     .arguments = "<file>",
     .summary = "Saves one endpoint's store to a file",
     .help =
         "Fetches the whole store of exactly one endpoint as of now. The data goes to <file>.part, "
         "is compared\n"
         "with the digest that the server sends at the end, synced, and then renamed to <file>.\n"
         "There is no time limit unless --command-timeout is given. Exits with 5 on failure.",
     .examples = "snapshot save backup.db --endpoints 10.0.0.1:2379",
     .run = cli::In<RunSnapshotSave>},
    {.name = "status",
     .arguments = "<file>",
     .summary = "Is a command of quoinutl",
     .run = cli::In<RunSnapshotOffline>,
     .hidden = true},
    {.name = "restore",
     .arguments = "<file>",
     .summary = "Is a command of quoinutl",
     .run = cli::In<RunSnapshotOffline>,
     .hidden = true},
};

constexpr std::string_view kTxnHelp =
    "Reads a transaction from standard input: comparisons, requests for when all of them hold, "
    "requests for\n"
    "when not; one per line, a blank line after each of the three parts.\n"
    "\n"
    "  comparison:  target(\"key\") operator \"value\"\n"
    "  target:      ver[sion], c[reate], m[od], val[ue], lease (hexadecimal)\n"
    "  operator:    = != < >\n"
    "  request:     a get, put or del command with its options, quoted like in a shell";

constexpr std::string_view kCompletionHelp =
    "Prints a script for your shell: bash, zsh, fish or powershell. To try it in a running bash:\n"
    "\n"
    "  source <(quoinctl completion bash)";

constexpr Command kTopCommands[] = {
    {.name = "get",
     .arguments = "<key> [range_end]",
     .summary = "Shows a key or a range of keys",
     .help = "With [range_end]: all keys at or after <key> and before it. Keys and values are "
             "printed as they are,\n"
             "one per line; use -w json or --hex for binary data.",
     .examples = "get greeting\nget --prefix app/ --keys-only\nget a c --rev 40 -w json\n"
                 "get --prefix '' --count-only -w fields",
     .group = kKeys,
     .flags = kGetFlags,
     .run = cli::In<RunGet>},
    {.name = "put",
     .arguments = "<key> [value]",
     .summary = "Stores a value under a key",
     .help = "Without [value] it is read from standard input, to its end and as it is. A key or "
             "value that starts\n"
             "with a dash goes after --.",
     .examples = "put greeting hello\nput config <config.json\nput -- key --dashed-value\n"
                 "put session x --lease 694d8b5c2d1f6a07",
     .group = kKeys,
     .flags = kPutFlags,
     .run = cli::In<RunPut>},
    {.name = "del",
     .arguments = "<key> [range_end]",
     .summary = "Deletes a key or a range of keys",
     .help = "Prints how many keys were deleted. With [range_end] and without --range it warns "
             "and waits two\n"
             "seconds first.",
     .examples = "del greeting\ndel --prefix app/\ndel a c --range",
     .group = kKeys,
     .flags = kDeleteFlags,
     .run = cli::In<RunDelete>},
    {.name = "txn",
     .summary = "Runs comparisons and requests as one transaction",
     .help = kTxnHelp,
     .examples = "txn -i\ntxn <transaction.txt",
     .group = kKeys,
     .flags = kTxnFlags,
     .run = cli::In<RunTxn>},
    {.name = "compaction",
     .arguments = "<revision>",
     .summary = "Forgets the history before a revision",
     .help = "Values that are current at <revision> stay. Reads and watches of older revisions "
             "fail from then on.",
     .examples = "compaction 1000 --physical",
     .group = kKeys,
     .flags = kCompactionFlags,
     .run = cli::In<RunCompaction>},
    {.name = "watch",
     .arguments = "<key> [range_end] [-- command…]",
     .summary = "Shows changes as they come",
     .help = "Runs the command behind -- for each event, with ETCD_WATCH_REVISION, "
             "ETCD_WATCH_EVENT_TYPE,\n"
             "ETCD_WATCH_KEY and ETCD_WATCH_VALUE in its environment. Exits with 5 when the server "
             "ends the watch.",
     .examples = "watch --prefix app/\nwatch greeting --rev 1 --prev-kv\n"
                 "watch greeting -- sh -c 'echo $ETCD_WATCH_VALUE'",
     .group = kKeys,
     .flags = kWatchFlags,
     .run = cli::In<RunWatch>},
    {.name = "lease", .summary = "Leases", .group = kKeys, .children = kLeaseCommands},
    {.name = "lock",
     .arguments = "<name> [command…]",
     .summary = "Holds a lock, alone or while a command runs",
     .help = "The command finds ETCD_LOCK_KEY and ETCD_LOCK_REV in its environment, and its exit "
             "code becomes ours.\n"
             "Without one the lock is held until this program is interrupted.",
     .examples = "lock backup ./backup.sh",
     .group = kKeys,
     .flags = kLockFlags,
     .run = cli::In<RunLock>},
    {.name = "elect",
     .arguments = "<name> [proposal]",
     .summary = "Stands in an election, or follows one",
     .examples = "elect site node-1\nelect -l site",
     .group = kKeys,
     .flags = kElectFlags,
     .run = cli::In<RunElect>},
    {.name = "move-leader",
     .arguments = "<id>",
     .summary = "Hands the lead to another member",
     .help = "One of --endpoints must be the leader.",
     .group = kCluster,
     .run = cli::In<RunMoveLeader>},
    {.name = "member",
     .summary = "Members of the cluster",
     .group = kCluster,
     .children = kMemberCommands},
    {.name = "endpoint",
     .summary = "Health, status and hashes of endpoints",
     .group = kCluster,
     .shared_flags = kClusterFlag,
     .children = kEndpointCommands},
    {.name = "alarm",
     .summary = "Alarms of members",
     .group = kMaintenance,
     .children = kAlarmCommands},
    {.name = "defrag",
     .summary = "Gives unused space of the store back",
     .help = "One endpoint after the other. A member of etcd does not answer while it is at it.",
     .examples = "defrag --cluster --command-timeout 1m",
     .group = kMaintenance,
     .flags = kClusterFlag,
     .run = cli::In<RunDefrag>},
    {.name = "downgrade",
     .summary = "Lowers the cluster's version",
     .group = kMaintenance,
     .children = kDowngradeCommands},
    {.name = "check",
     .summary = "Checks of what a cluster can carry",
     .group = kMaintenance,
     .children = kCheckCommands},
    {.name = "make-mirror",
     .arguments = "<destination>",
     .summary = "Copies keys to another cluster, and follows their changes",
     .help = "Runs until it is interrupted. Prints every 30 seconds how many keys it has mirrored.",
     .examples = "make-mirror --prefix app/ 10.0.1.1:2379",
     .group = kMaintenance,
     .flags = kMirrorFlags,
     .run = cli::In<RunMakeMirror>},
    {.name = "snapshot",
     .summary = "Backups",
     .group = kMaintenance,
     .children = kSnapshotCommands},
    {.name = "auth",
     .arguments = "<enable|disable|status>",
     .summary = "Is not built yet",
     .run = cli::In<RunNotBuilt>,
     .hidden = true},
    {.name = "user", .summary = "Is not built yet", .run = cli::In<RunNotBuilt>, .hidden = true},
    {.name = "role", .summary = "Is not built yet", .run = cli::In<RunNotBuilt>, .hidden = true},
    {.name = "version",
     .summary = "Shows this program's version",
     .group = kProgram,
     .run = cli::In<RunVersion>},
    {.name = "options",
     .summary = "Shows the options that every command takes",
     .group = kProgram,
     .run = cli::RunOptions},
    {.name = "completion",
     .arguments = "<bash|zsh|fish|powershell>",
     .summary = "Prints a completion script for a shell",
     .help = kCompletionHelp,
     .group = kProgram,
     .run = cli::RunCompletion},
};

constexpr std::string_view kNotes =
    "Options used most (quoinctl options shows all)\n"
    "  --endpoints <list>  where the servers are (default 127.0.0.1:2379)\n"
    "  -w, --write-out     simple, fields, json, protobuf or table\n"
    "  --user <name[:pw]>  log in\n"
    "\n"
    "Each global option may come from the environment: ETCDCTL_ENDPOINTS, ETCDCTL_WRITE_OUT, …\n"
    "An option on the command line and in the environment at once is an error.\n"
    "\n"
    "Exit codes\n"
    "  0 done   1 failed   2 connection, lease   3 bad input   4 unsupported value or output "
    "format\n"
    "  5 snapshot not saved, watch ended   128 bad arguments\n";

constexpr std::string_view kOptionsNote =
    "Every command takes these options, before or after its name. Each may come from the\n"
    "environment as ETCDCTL_ and its name in capitals with underscores.";

constexpr Command kRoot = {.name = "quoinctl",
                           .summary = "Talks to a cluster of quoin or etcd servers.",
                           .children = kTopCommands};

}  // namespace

const cli::Program& TheProgram() {
  static const cli::Program program = {kRoot, GlobalFlags(), kNotes, kOptionsNote};
  return program;
}

}  // namespace quoin::ctl
