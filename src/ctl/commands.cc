// The table of commands.
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
     .run = RunLeaseGrant},
    {.name = "revoke",
     .arguments = "<id>",
     .summary = "Ends a lease, and deletes the keys that hang on it",
     .run = RunLeaseRevoke},
    {.name = "timetolive",
     .arguments = "<id>",
     .summary = "Shows how long a lease still lives",
     .flags = kLeaseKeysFlag,
     .run = RunLeaseTimeToLive},
    {.name = "list",
     .summary = "Lists the leases, those that end first in front",
     .run = RunLeaseList},
    {.name = "keep-alive",
     .arguments = "<id>",
     .summary = "Renews a lease until it is gone",
     .flags = kKeepAliveFlags,
     .run = RunLeaseKeepAlive},
};

constexpr Command kEndpointCommands[] = {
    {.name = "health",
     .summary = "Checks that each endpoint can commit",
     .help = "Reads a key through consensus and looks for alarms, on every endpoint at once.\n"
             "Exits with 1 when any endpoint is unhealthy.",
     .run = RunEndpointHealth},
    {.name = "status",
     .summary = "Shows each endpoint's member, version, sizes and place in the log",
     .help = "Columns: endpoint, ID, version, storage version, db size, in use, percentage not in "
             "use, quota,\n"
             "is leader, is learner, raft term, raft index, raft applied index, errors, downgrade "
             "target version,\n"
             "downgrade enabled.",
     .examples = "endpoint status --cluster -w table",
     .run = RunEndpointStatus},
    {.name = "hashkv",
     .summary = "Shows a hash over each endpoint's key history",
     .help = "Members that hold the same history up to a revision have the same hash.",
     .examples = "endpoint hashkv --cluster --rev 1000",
     .flags = kHashFlags,
     .run = RunEndpointHashKv},
};

constexpr Command kAlarmCommands[] = {
    {.name = "list", .summary = "Lists the active alarms", .run = RunAlarmList},
    {.name = "disarm",
     .summary = "Takes back all alarms",
     .help = "A member without space raises NOSPACE and the cluster refuses writes until it is "
             "disarmed:\n"
             "make room first (compaction, defrag, deleting keys), then disarm.",
     .run = RunAlarmDisarm},
};

constexpr Command kDowngradeCommands[] = {
    {.name = "validate",
     .arguments = "<version>",
     .summary = "Says whether the cluster may be lowered to a version",
     .run = RunDowngradeValidate},
    {.name = "enable",
     .arguments = "<version>",
     .summary = "Lowers the cluster to a version, one minor below its own",
     .help = "Some seconds later the members may be replaced by such of that version, one by one. "
             "The cluster\n"
             "takes the order back itself when all of them are.",
     .examples = "downgrade enable 3.6",
     .run = RunDowngradeEnable},
    {.name = "cancel",
     .summary = "Takes the order back; the version rises to what all members know",
     .run = RunDowngradeCancel},
};

constexpr Command kMemberCommands[] = {
    {.name = "list",
     .summary = "Lists the members of the cluster",
     .help = "Columns: ID, status, name, peer addresses, client addresses, is learner.",
     .flags = kMemberListFlags,
     .run = RunMemberList},
    {.name = "add",
     .arguments = "<name>",
     .summary = "Announces a new member",
     .help = "Prints the variables to start it with. It counts from now on, so start it soon.",
     .examples = "member add m4 --peer-urls http://10.0.0.4:2380 --learner",
     .flags = kMemberAddFlags,
     .run = RunMemberAdd},
    {.name = "remove",
     .arguments = "<id>",
     .summary = "Removes a member for good",
     .run = RunMemberRemove},
    {.name = "update",
     .arguments = "<id>",
     .summary = "Changes a member's peer URLs",
     .flags = kPeerUrlsFlag,
     .run = RunMemberUpdate},
    {.name = "promote",
     .arguments = "<id>",
     .summary = "Gives a learner its vote",
     .run = RunMemberPromote},
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
     .run = RunSnapshotSave},
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
     .run = RunGet},
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
     .run = RunPut},
    {.name = "del",
     .arguments = "<key> [range_end]",
     .summary = "Deletes a key or a range of keys",
     .help = "Prints how many keys were deleted. With [range_end] and without --range it warns "
             "and waits two\n"
             "seconds first.",
     .examples = "del greeting\ndel --prefix app/\ndel a c --range",
     .group = kKeys,
     .flags = kDeleteFlags,
     .run = RunDelete},
    {.name = "txn",
     .summary = "Runs comparisons and requests as one transaction",
     .help = kTxnHelp,
     .examples = "txn -i\ntxn <transaction.txt",
     .group = kKeys,
     .flags = kTxnFlags,
     .run = RunTxn},
    {.name = "compaction",
     .arguments = "<revision>",
     .summary = "Forgets the history before a revision",
     .help = "Values that are current at <revision> stay. Reads and watches of older revisions "
             "fail from then on.",
     .examples = "compaction 1000 --physical",
     .group = kKeys,
     .flags = kCompactionFlags,
     .run = RunCompaction},
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
     .run = RunWatch},
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
     .run = RunLock},
    {.name = "elect",
     .arguments = "<name> [proposal]",
     .summary = "Stands in an election, or follows one",
     .examples = "elect site node-1\nelect -l site",
     .group = kKeys,
     .flags = kElectFlags,
     .run = RunElect},
    {.name = "move-leader",
     .arguments = "<id>",
     .summary = "Hands the lead to another member",
     .help = "One of --endpoints must be the leader.",
     .group = kCluster,
     .run = RunMoveLeader},
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
     .run = RunDefrag},
    {.name = "downgrade",
     .summary = "Lowers the cluster's version",
     .group = kMaintenance,
     .children = kDowngradeCommands},
    {.name = "snapshot",
     .summary = "Backups",
     .group = kMaintenance,
     .children = kSnapshotCommands},
    {.name = "version",
     .summary = "Shows this program's version",
     .group = kProgram,
     .run = RunVersion},
    {.name = "options",
     .summary = "Shows the options that every command takes",
     .group = kProgram,
     .run = RunOptions},
    {.name = "completion",
     .arguments = "<bash|zsh|fish|powershell>",
     .summary = "Prints a completion script for a shell",
     .help = kCompletionHelp,
     .group = kProgram,
     .run = RunCompletion},
};

}  // namespace

const Command& RootCommand() {
  static const Command root = {.name = "quoinctl",
                               .summary = "Talks to a cluster of quoin or etcd servers.",
                               .children = kTopCommands};
  return root;
}

}  // namespace quoin::ctl
