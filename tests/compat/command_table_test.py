#!/usr/bin/python3
"""Every command of etcdctl 3.7 and etcdutl 3.7 beside quoinctl and quoinutl: the table in docs/compatibility.md.

The command lines below run with both programs, each on a server of its own that has seen the same lines. What they print on
stdout and their exit codes decide: a row that says "same" must be equal, one that says otherwise must differ. Where 3.7
changed a command, etcd's 3.5 is no measure: the row then has lines that quoin's output must match, from 3.7's manual.

    tests/compat/command_table_test.py            # compares, and fails when docs/compatibility.md is out of date
    tests/compat/command_table_test.py --write    # writes the table
"""
import os, re, shutil, signal, subprocess, sys, tempfile, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, equal, finish, run

PAGE = os.path.join(members.SOURCE, "docs", "compatibility.md")
BEGIN, END = "<!-- commands: made by tests/compat/command_table_test.py --write -->", "<!-- end of commands -->"
OURS = {"etcdctl": os.path.join(members.BIN, "quoinctl"), "etcdutl": os.path.join(members.BIN, "quoinutl")}

SAME, BETTER, DIFFERS = "same", "better", "differs because"
NOT_BUILT = "it is not built yet, and says so; etcdctl works with quoin's servers, too"


class Line:
    """A command line. text: standard input; until: interrupted with SIGINT once so many lines have been printed;
    expect: what quoin's output must match (3.7's form), instead of being compared with 3.5's."""

    def __init__(self, *arguments, text="", until=None, expect=None, code=None):
        self.arguments, self.text, self.until, self.expect, self.code = arguments, text, until, expect, code


L = Line
# program, command, verdict, reason, lines in the order in which they run. {id} is the server's member, {other} one that was
# added, {lease} a lease, {dir} a folder, {dead} an address where nobody listens.
ROWS = [
    ("etcdctl", "put", SAME, "", [L("put", "a", "1"), L("put", "a", "2", "--prev-kv"), L("put", "app/1", "x", "-w", "json"),
                                  L("put", "b", text="from stdin\n"), L("put", "a", "--ignore-value"), L("put"),
                                  L("put", "--", "-d", "-x")]),
    ("etcdctl", "get", SAME, "", [L("get", "a"), L("get", "--prefix", "", "-w", "fields"), L("get", "a", "c", "--keys-only"),
                                  L("get", "app/", "--prefix", "-w", "json"), L("get", "a", "--rev", "2", "--hex"),
                                  L("get", "--from-key", "b", "--limit", "1", "--order", "DESCEND"),
                                  L("get", "a", "--print-value-only"), L("get"), L("get", "a", "--rev", "1000"),
                                  L("get", "a", "-w", "protobuf"), L("get", "a", "-w", "table")]),
    ("etcdctl", "txn", SAME, "", [L("txn", text='value("a") = "2"\n\nput t 1\nget t\n\n\n'), L("txn", "-i", text="\n\n\n"),
                                  L("txn", text="nonsense\n\n\n\n")]),
    ("etcdctl", "del", SAME, "", [L("del", "t", "--prev-kv"), L("del", "nothing"), L("del", "x", "y", "z"), L("del")]),
    ("etcdctl", "watch", SAME, "", [L("watch", "a", "--rev", "1", until=9), L("watch", "app/", "--prefix", "--rev", "1",
                                    "-w", "json", until=1, expect=r'\{"Header":.*,"CancelReason":""\}\n'), L("watch"), L("watch", "a", "b", "--prefix"),
                                    L("watch", "a", "--rev", "1", "--"), L("watch", "a", "--rev", "1", "--", "false"),
                                    L("watch", "a", "--rev", "1", "--", "sh", "-c", "kill -9 $$"),
                                    L("watch", "a", "--rev", "1", "--", "sh", "-c", "cat; exit 1", text="not the command's\n")]),
    ("etcdctl", "compaction", SAME, "", [L("compaction", "3"), L("compaction", "3"), L("compaction", "x"), L("compaction")]),
    ("etcdctl", "lease grant", SAME, "", [L("lease", "grant", "600"), L("lease", "grant", "x"), L("lease", "grant")]),
    ("etcdctl", "lease timetolive", SAME, "", [L("lease", "timetolive", "{lease}"), L("lease", "timetolive", "{lease}",
                                               "--keys"), L("lease", "timetolive", "1f"), L("lease", "timetolive")]),
    ("etcdctl", "lease list", SAME, "", [L("lease", "list")]),
    ("etcdctl", "lease keep-alive", SAME, "", [L("lease", "keep-alive", "{lease}", "--once"), L("lease", "keep-alive",
                                               "{lease}", until=1), L("lease", "keep-alive")]),
    ("etcdctl", "lease revoke", SAME, "", [L("lease", "revoke", "{lease}"), L("lease", "revoke", "{lease}"),
                                           L("lease", "revoke", "zz"), L("lease", "revoke")]),
    ("etcdctl", "lock", SAME, "", [L("lock", "l", "--", "sh", "-c", "exit 7"), L("lock", "l", "echo", "held"), L("lock"),
                                   L("lock", "l", "--", "sh", "-c", "kill -9 $$"), L("lock", "l", "no-such-program"),
                                   L("lock", "l", "cat", text="not the command's\n")]),
    ("etcdctl", "elect", SAME, "", [L("elect", "e", "me", until=2), L("elect", "e"), L("elect"), L("elect", "-l", "e", "me")]),
    ("etcdctl", "alarm list", SAME, "", [L("alarm", "list"), L("alarm", "list", "x")]),
    ("etcdctl", "alarm disarm", SAME, "", [L("alarm", "disarm"), L("alarm", "disarm", "x")]),
    ("etcdctl", "endpoint health", SAME, "", [L("endpoint", "health"), L("endpoint", "health", "--endpoints", "{dead}",
                                              "--command-timeout", "300ms")]),
    ("etcdctl", "endpoint status", SAME, "as 3.7, which shows 16 columns",
     [L("endpoint", "status", expect=r"(?:[^,]*, ){15}[^,]*\n"), L("endpoint", "status", "-w", "protobuf")]),
    ("etcdctl", "endpoint hashkv", SAME, "as 3.7, which shows the revision too",
     [L("endpoint", "hashkv", expect=r"[^,]+, \d+, \d+\n")]),
    ("etcdctl", "member list", SAME, "", [L("member", "list"), L("member", "list", "-w", "table", expect=r"┌[^x]*\n│ +ID +│(?s:.*)")]),
    ("etcdctl", "member add", SAME, "as 3.7, which says that it is a learner", [L("member", "add", "n", "--peer-urls=http://127.0.0.1:9", "--learner",
                                           expect=r'Member +\w+ added as learner to cluster +\w+\n\nETCD_NAME="n"\n(?s:.*)'),
                                         L("member", "add", "n", "--peer-urls=127.0.0.1:1"), L("member", "add", "n"),
                                         L("member", "add", "n", "http://127.0.0.1:9"), L("member", "add")]),
    ("etcdctl", "member update", SAME, "", [L("member", "update", "{other}", "--peer-urls=http://127.0.0.1:8"),
                                            L("member", "update", "1", "--peer-urls=ftp://h:1"), L("member", "update")]),
    ("etcdctl", "member promote", SAME, "", [L("member", "promote", "{other}"), L("member", "promote", "zz")]),
    ("etcdctl", "member remove", SAME, "", [L("member", "remove", "{other}"), L("member", "remove", "1"),
                                            L("member", "remove")]),
    ("etcdctl", "move-leader", SAME, "", [L("move-leader", "1"), L("move-leader", "{id}"), L("move-leader")]),
    ("etcdctl", "downgrade validate", SAME, "as 3.7",
     [L("downgrade", "validate", "3.4", expect=r"Downgrade validate success, cluster version 3\.5(\.0)?\n", code=0),
      L("downgrade", "validate", "3.2", expect="", code=1), L("downgrade", "validate", expect="", code=128)]),
    ("etcdctl", "downgrade enable", SAME, "as 3.7", [L("downgrade", "enable", expect="", code=128),
                                                     L("downgrade", "enable", "3.4", "x", expect="", code=128)]),
    ("etcdctl", "downgrade cancel", SAME, "as 3.7", [L("downgrade", "cancel", expect="", code=1)]),
    ("etcdctl", "defrag", SAME, "as 3.7, which tells the time",
     [L("defrag", expect=r"Finished defragmenting etcd member\[.*\]\. took [0-9.]+\w+\n"), L("defrag", "--endpoints", "{dead}", "--command-timeout", "300ms")]),
    ("etcdctl", "snapshot save", SAME, "", [L("snapshot", "save", "{dir}/copy"), L("snapshot", "save")]),
    ("etcdctl", "check perf", SAME, "but for the bar, which is a line on stderr, and only on a terminal",
     [L("check", "perf", "--load", "q"), L("put", "/etcdctl-check-perf/x", "1"), L("check", "perf")]),
    ("etcdctl", "check datascale", SAME, "but for the bar, which is a line on stderr, and only on a terminal",
     [L("check", "datascale", "--load", "q"), L("check", "datascale", "--prefix", "/etcdctl-check-perf/")]),
    ("etcdctl", "make-mirror", SAME, "what is there is copied in transactions of --max-txn-ops, not key by key",
     [L("make-mirror"), L("make-mirror", "a", "b"), L("make-mirror", "{dead}", "--dest-prefix", "a", "--no-dest-prefix")]),
    ("etcdctl", "auth enable", DIFFERS, NOT_BUILT, [L("auth", "enable", code=1)]),
    ("etcdctl", "auth disable", DIFFERS, NOT_BUILT, [L("auth", "disable", code=1)]),
    ("etcdctl", "auth status", DIFFERS, NOT_BUILT, [L("auth", "status", code=1)]),
] + [("etcdctl", "user " + what, DIFFERS, NOT_BUILT, [L("user", *what.split(), "u", code=1)])
     for what in ("add", "delete", "get", "grant-role", "list", "passwd", "revoke-role")] + [
    ("etcdctl", "role " + what, DIFFERS, NOT_BUILT, [L("role", *what.split(), "r", code=1)])
    for what in ("add", "delete", "get", "grant-permission", "list", "revoke-permission")] + [
    ("etcdctl", "version", SAME, "as 3.7, and a line more", [L("version", expect=r"etcdctl version: 3\.7\.\d\nAPI version: 3\.7\nquoinctl version: .*\n")]),
    ("etcdctl", "options", SAME, "as 3.7: the same flags; the words are our own", [L("options", expect=r"(?s:.*)--endpoints(?s:.*)")]),
    ("etcdctl", "completion", DIFFERS, "the scripts are our own; they know the same commands and flags",
     [L("completion", "bash", code=0)]),
    ("etcdctl", "help", DIFFERS, "the words are our own", [L("help", code=0), L("help", "put", code=0)]),
    ("etcdutl", "snapshot status", BETTER, "checks the digest and every page; a file that is no whole database is refused in every "
     "case; `total keys` counts keys as 3.7 does", [L("snapshot", "status"), L("snapshot", "status", "{dir}/copy", code=0)]),
    ("etcdutl", "snapshot restore", BETTER, "checks the whole file and all targets first; a failure leaves nothing behind",
     [L("snapshot", "restore", "--data-dir", "{dir}/new"), L("snapshot", "restore", "{dir}/empty", "--data-dir", "{dir}/new",
                                                             "--skip-hash-check"),
      L("snapshot", "restore", "{dir}/foreign", "--data-dir", "{dir}/new", "--skip-hash-check", code=1),
      L("snapshot", "restore", "{dir}/copy", "--data-dir", "{dir}/new2"), L("snapshot", "restore", "{dir}/copy", "--data-dir",
                                                                            "{dir}/new2")]),
    ("etcdutl", "defrag", BETTER, "checks the old file and the new one; a directory without a data file is an error, no panic",
     [L("defrag", "--data-dir", "{dir}/new2"), L("defrag", "--data-dir", "{dir}/absent", code=1), L("defrag")]),
    ("etcdutl", "hashkv", SAME, "as 3.7", [L("hashkv", "{dir}/copy", expect=r"\d+, \d+, -?\d+\n"), L("hashkv", expect="", code=1)]),
    ("etcdutl", "migrate", SAME, "as 3.7; it looks at the log in the same way",
     [L("migrate", expect="", code=1), L("migrate", "--data-dir", "{dir}/new2", "--target-version", "3.6", expect="", code=0)]),
    ("etcdutl", "version", SAME, "as 3.7, and a line more",
     [L("version", expect=r"etcdutl version: 3\.7\.\d\nAPI version: 3\.7\nquoinutl version: .*\n")]),
    ("etcdutl", "completion", DIFFERS, "the scripts are our own; they know the same commands and flags",
     [L("completion", "zsh", code=0)]),
]
MORE = [
    ("quoinctl snapshot status, restore", "say that they are in quoinutl (etcdctl had them up to 3.5)"),
    ("quoinutl check", "reads a directory or a file as a server would, and says whether it is sound"),
    ("quoinutl dump", "shows all that is in it; with `--wal` and `--tree` as it lies on the disk"),
    ("quoinutl repair", "for a log that no server starts with: what could be kept, what would be lost; `--cut` does it"),
    ("quoinutl options", "shows the options that every command takes"),
]


class Side:
    """One program of each kind, its server, and its folder."""

    def __init__(self, programs, server, folder):
        self.programs, self.server, self.folder = programs, server, folder
        self.names = {"dir": folder, "dead": "127.0.0.1:%d" % members.free_port(), "lease": "0", "other": "0"}
        os.makedirs(folder)
        with open(os.path.join(folder, "empty"), "w"):
            pass
        with open(os.path.join(folder, "foreign"), "wb") as f:
            f.write(bytes(range(256)) * 400)

    def run(self, program, line):
        arguments = [a.format(**self.names) if "{" in a else a for a in line.arguments]
        env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
        env.update(ETCDCTL_API="3", ETCDCTL_ENDPOINTS=self.server.endpoint)
        if "--endpoints" in arguments:
            del env["ETCDCTL_ENDPOINTS"]
        process = subprocess.Popen([self.programs[program], *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=env, cwd=self.folder,
                                   bufsize=0)  # lines that are read ahead would be lost to communicate()
        guard = threading.Timer(100, process.kill)  # against a program that hangs
        guard.start()
        if line.until is None:
            out, err = process.communicate(line.text.encode())
        else:
            out = b"".join(process.stdout.readline() for _ in range(line.until))
            process.send_signal(signal.SIGINT)
            rest, err = process.communicate()
            out += rest
        guard.cancel()
        out = out.decode(errors="replace")
        self.note(line, out)
        return process.returncode, out, err.decode(errors="replace")

    def note(self, line, out):
        if line.arguments[:2] == ("lease", "grant") and "granted" in out:
            self.names["lease"] = out.split()[1]
        if line.arguments[:2] == ("member", "add") and "added" in out:
            self.names["other"] = out.split()[1]
        if line.arguments == ("member", "list"):
            self.names["id"] = out.split(",")[0]

    def plain(self, out):
        """Without what differs between two servers and two runs: ids, ports, times."""
        for text in (self.server.endpoint, self.server.peer_url, self.names["dead"], self.folder):
            out = out.replace(text, "<place>")
        out = re.sub(r" *( |\b)[0-9a-f]{14,16}\b", r"\1<id>", out)  # padded to 16
        out = re.sub(r'("?(?:cluster_id|member_id|raft_term|ClusterID|MemberID|RaftTerm)"? ?: ?)\d+', r"\1<n>", out)
        out = re.sub(r"(took[ =]+|remaining\()[0-9.]+(?:m|µ|n)?s", r"\1<time>", out)
        return re.sub(r"[\x00-\x08\x0e-\x1f\ufffd].*", "<bytes>", out, flags=re.S) if "\ufffd" in out else out


def compare(ours, theirs, program, command, verdict, lines):
    differs = False
    for line in lines:
        what = "%s %s" % (program, " ".join(line.arguments))
        code, out, err = ours.run(program, line)
        if line.expect is not None:
            theirs.run(program, line)  # for what it changes
            assert re.fullmatch(line.expect, out), "%s: %r is not as 3.7 has it\n%s" % (what, out, err)
            if line.code is not None:
                equal(code, line.code, what)
            continue
        want_code, want, want_err = theirs.run(program, line)
        same = (code, ours.plain(out)) == (want_code, theirs.plain(want))
        if line.code is not None:
            equal(code, line.code, "%s\n%s%s" % (what, out, err))
            first = lambda text: [x for x in text.split("\n") if x.startswith("Error: ")][:1]
            differs = differs or not same or first(err) != first(want_err)
            continue
        equal((code, ours.plain(out)), (want_code, theirs.plain(want)), "%s\n%s--- etcd's:\n%s" % (what, err, want_err))
    if verdict != SAME:
        assert differs, "%s %s is said to be other than etcd's, and is the same" % (program, command)


def table():
    text = [BEGIN, "", "| command | quoin's is | |", "|---|---|---|"]
    text += ["| %s %s | %s | %s |" % (program, command, verdict, reason) for program, command, verdict, reason, _ in ROWS]
    text += ["", "Beside these:", "", "| command | what for |", "|---|---|"]
    text += ["| %s | %s |" % row for row in MORE]
    return "\n".join(text + ["", END])


def page_is_up_to_date():
    with open(PAGE) as f:
        page = f.read()
    found = page[page.index(BEGIN):page.index(END) + len(END)]
    if found != table():
        raise AssertionError("docs/compatibility.md is out of date: tests/compat/command_table_test.py --write")


def every_command_has_a_row():
    """The commands that the programs themselves list."""
    for program, own in OURS.items():
        listed = set(re.findall(r"^  ([a-z][a-z-]*)  ", subprocess.run([own], capture_output=True, text=True).stdout, re.M))
        rows = {command.split()[0] for name, command, *_ in ROWS if name == program}
        extra = {name.split()[1].rstrip(",") for name, _ in MORE if name.startswith(os.path.basename(own))}
        equal(listed - rows - extra, set(), "commands of %s without a row" % own)


def write():
    with open(PAGE) as f:
        page = f.read()
    with open(PAGE, "w") as f:
        f.write(page[:page.index(BEGIN)] + table() + page[page.index(END) + len(END):])


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    run("docs/compatibility.md says what the test says", page_is_up_to_date)
    run("every command has a row", every_command_has_a_row)
    etcd = members.etcd_binary()
    if etcd is None or not os.path.exists(etcd + "ctl") or not os.path.exists(etcd + "utl"):
        print("SKIPPED the comparison: etcd 3.5 is not to be had here (tools/get-etcd)")
        finish()
    folder = tempfile.mkdtemp(prefix="quoin-test-")
    with Member(etcd) as first, Member(etcd) as second:
        theirs = Side({"etcdctl": etcd + "ctl", "etcdutl": etcd + "utl"}, first, os.path.join(folder, "theirs"))
        ours = Side(OURS, second, os.path.join(folder, "ours"))
        for side in (theirs, ours):
            side.run("etcdctl", Line("member", "list"))
        for program, command, verdict, _, lines in ROWS:
            run("%s %s: %s" % (program, command, verdict), compare, ours, theirs, program, command, verdict, lines)
    shutil.rmtree(folder, ignore_errors=True)
    finish()
