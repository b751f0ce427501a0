#!/usr/bin/python3
"""What quoinutl answers to command lines: exit codes and texts beside etcdutl's, files that are no snapshots, targets that
are not free, versions to migrate to, and that it ends when its work is done."""
import hashlib, os, pty, re, shutil, struct, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, Skip, equal, finish, quoin_binary, run

QUOINUTL = os.path.join(members.BIN, "quoinutl")
QUOINCTL = os.path.join(members.BIN, "quoinctl")
ETCDUTL = (members.etcd_binary() or "") + "utl"


def utl(*arguments, program=QUOINUTL, cwd=None):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


def require(condition, what):
    if not condition:
        raise AssertionError(what)


class Folder:
    """A directory of its own, with a member's snapshot file in it and the member's directory beside it."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="quoin-test-")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def of(self, name):
        return os.path.join(self.path, name)

    def write(self, name, content):
        with open(self.of(name), "wb") as f:
            f.write(content)
        return self.of(name)

    def read(self, name):
        with open(self.of(name), "rb") as f:
            return f.read()

    def with_member(self):
        with Member(quoin_binary(), data_dir=self.of("member")) as m:
            client = m.client()
            for i in range(200):
                client.put(b"key/%03d" % (i % 50), b"%d " % i + b"v" * 500)
            subprocess.run([QUOINCTL, "--endpoints", m.endpoint, "snapshot", "save", self.of("snapshot")], check=True,
                           capture_output=True, timeout=60)
            m.stop()
        return self


def other_database():
    """A sound database of bbolt's that holds nothing: another program's, or a new one."""
    def meta(page, txid):
        body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, 4096, 0, 3, 0, 2, 4, txid)
        check = 0xCBF29CE484222325
        for byte in body:
            check = (check ^ byte) * 0x100000001B3 & (1 << 64) - 1
        return (struct.pack("<QHHI", page, 4, 0, 0) + body + struct.pack("<Q", check)).ljust(4096, b"\0")
    free = struct.pack("<QHHI", 2, 0x10, 0, 0).ljust(4096, b"\0")
    leaf = struct.pack("<QHHI", 3, 2, 0, 0).ljust(4096, b"\0")
    return meta(0, 0) + meta(1, 1) + free + leaf


def no_snapshots():
    """A file that is not a whole database is none to any command, whatever the flags, and nothing is made of it."""
    with Folder() as folder:
        folder.with_member()
        good = folder.read("snapshot")
        content = good[:-32]
        digest = hashlib.sha256
        files = {"empty": b"", "text": b"hello\n", "foreign": bytes(range(256)) * 400, "other": other_database(),
                 "half": content[:len(content) // 2 // 4096 * 4096], "zeros": bytes(len(content)),
                 "empty with a digest": digest(b"").digest(),
                 "half with a digest": content[:8192] + digest(content[:8192]).digest()}
        os.mkdir(folder.of("directory"))
        for name in list(files) + ["directory", "absent"]:
            path = folder.write(name, files[name]) if name in files else folder.of(name)
            for arguments in (["snapshot", "status"], ["hashkv"], ["dump"], ["dump", "--tree"], ["check"],
                              ["snapshot", "restore", "--data-dir", folder.of("new/deep")],
                              ["snapshot", "restore", "--skip-hash-check", "--data-dir", folder.of("new/deep")],
                              ["snapshot", "restore", "--skip-hash-check", "--data-dir", folder.of("new"), "--wal-dir",
                               folder.of("wal/deep"), "--bump-revision", "7", "--mark-compacted"]):
                if arguments == ["dump", "--tree"] and name == "other":
                    continue  # shows the pages of any file of this format
                code, out, err = utl(*arguments, path)
                equal((code, out), (1, ""), "%s of %s: %s" % (" ".join(arguments), name, err))
                require(err.splitlines()[-1].startswith("Error: "), err)
                require(not os.path.exists(folder.of("new")) and not os.path.exists(folder.of("wal")),
                        "%s of %s made something" % (" ".join(arguments), name))
            if name in files:  # as a member's data file
                db = folder.of("member/member/snap/db")
                os.rename(db, db + ".kept")
                shutil.copy(path, db)
                for arguments in (["defrag"], ["migrate", "--target-version", "3.6"]):
                    code, _, err = utl(*arguments, "--data-dir", folder.of("member"))
                    require(code == 1 and "invalid database" in err, "%s on %s: %s" % (arguments[0], name, err))
                equal(folder.read("member/member/snap/db"), files[name], "the file itself")
                os.rename(db + ".kept", db)
        code, _, err = utl("snapshot", "status", folder.of("empty"))
        equal(err, "Error: invalid database: %s: the file is empty\n" % folder.of("empty"))


def digests():
    with Folder() as folder:
        folder.with_member()
        good = folder.read("snapshot")
        bad = folder.write("bad", good[:-1] + bytes([good[-1] ^ 1]))
        numbers = lambda b: "[%s]" % " ".join(str(x) for x in b)
        want = "Error: expected sha256 %s, got %s\n" % (numbers(good[-32:-1] + bytes([good[-1] ^ 1])), numbers(good[-32:]))
        for arguments in (["snapshot", "status", bad], ["snapshot", "restore", bad, "--data-dir", folder.of("new")]):
            code, _, err = utl(*arguments)
            equal((code, err.splitlines(True)[-1]), (1, want), " ".join(arguments))
        code, _, err = utl("snapshot", "restore", folder.write("bare", good[:-32]), "--data-dir", folder.of("new"))
        equal((code, err.splitlines()[-1]), (1, "Error: snapshot missing hash but --skip-hash-check=false"))
        require(not os.path.exists(folder.of("new")), "nothing is made")
        equal(utl("snapshot", "restore", bad, "--skip-hash-check", "--data-dir", folder.of("new"))[0], 0, "skipped")
        equal(utl("check", folder.of("new"))[0], 0, "what was restored")


def sizes():
    """The size of a copied data file is that of its content; what the member has reserved behind it is not."""
    with Folder() as folder:
        folder.with_member()
        shutil.copy(folder.of("member/member/snap/db"), folder.of("copy"))
        tree = utl("dump", "--tree", folder.of("copy"))[1]
        pages = int(re.search(r"(\d+) pages to the high-water mark, the newest", tree).group(1))
        with open(folder.of("copy"), "ab") as f:
            f.write(bytes(1 << 20))
        for program in (QUOINUTL, ETCDUTL):
            if os.path.exists(program):
                code, out, err = utl("snapshot", "status", folder.of("copy"), "-w", "json", program=program)
                equal(code, 0, err)
                equal(int(re.search(r'"totalSize":(\d+)', out).group(1)), pages * 4096, program)
        equal(utl("snapshot", "restore", folder.of("copy"), "--skip-hash-check", "--data-dir", folder.of("new"))[0], 0)
        require(os.path.getsize(folder.of("new/member/snap/db")) < 1 << 20, "the reserve was copied, too")


def targets():
    """What stands in the way is found before anything is made; a failure takes away what was made."""
    with Folder() as folder:
        folder.with_member()
        snapshot = folder.of("snapshot")
        os.mkdir(folder.of("full"))
        folder.write("full/x", b"")
        os.mkdir(folder.of("free"))
        not_empty = 'Error: data-dir "%s" not empty or could not be read'
        cases = [(["--data-dir", folder.of("full")], not_empty % folder.of("full")),
                 (["--data-dir", snapshot], not_empty % snapshot),
                 (["--data-dir", folder.of("new"), "--wal-dir", folder.of("full")], 'Error: wal-dir "%s" exists' % folder.of("full")),
                 (["--data-dir", folder.of("new"), "--wal-dir", folder.of("free")], 'Error: wal-dir "%s" exists' % folder.of("free")),
                 (["--data-dir", folder.of("new"), "--name", "zz"],
                  'Error: couldn\'t find local name "zz" in the initial cluster configuration'),
                 (["--data-dir", folder.of("new"), "--initial-cluster", "nonsense"],
                  "Error: URL scheme must be http, https, unix, or unixs: "),
                 (["--data-dir", folder.of("new"), "--initial-advertise-peer-urls", "http://localhost:1"],
                  "Error: --initial-cluster has default=http://localhost:2380 but missing from "
                  '--initial-advertise-peer-urls=http://localhost:1 (resolved urls: "http://localhost:1" != '
                  '"http://localhost:2380")'),
                 (["--data-dir", folder.of("new"), "--initial-advertise-peer-urls", "localhost:1"],
                  "Error: URL scheme must be http, https, unix, or unixs: localhost:1")]
        before = sorted(os.listdir(folder.path))
        for program in [QUOINUTL] + [ETCDUTL] * os.path.exists(ETCDUTL):
            for arguments, want in cases:
                code, _, err = utl("snapshot", "restore", snapshot, *arguments, program=program)
                equal((code, err.splitlines()[-1]), (1, want), arguments)
                equal(sorted(os.listdir(folder.path)), before, "what stands there")
        # Fails late: a file stands where the log's directory would go.
        code, _, err = utl("snapshot", "restore", snapshot, "--data-dir", folder.of("new/deep"), "--wal-dir",
                           folder.of("snapshot/wal"))
        equal(code, 1, err)
        equal(sorted(os.listdir(folder.path)), before, "after a late failure")
        code, _, err = utl("snapshot", "restore", snapshot, "--data-dir", folder.of("free"), "--wal-dir",
                           folder.of("snapshot/wal"))
        equal((code, os.listdir(folder.of("free"))), (1, []), "a directory that was there stays, empty")
        # An empty directory will do, and so will one in which a restore was killed.
        os.makedirs(folder.of("free/member.tmp/snap"))
        folder.write("free/member.tmp/snap/db", b"half")
        code, _, err = utl("snapshot", "restore", snapshot, "--data-dir", folder.of("free"), "--wal-dir", folder.of("logs/wal"))
        equal((code, os.listdir(folder.of("free")), os.listdir(folder.of("free/member")), os.listdir(folder.of("logs"))),
              (0, ["member"], ["snap"], ["wal"]), err)
        require("\tinfo\trestored snapshot\t{" in err, err)
        code, _, err = utl("snapshot", "restore", snapshot, cwd=folder.path)
        equal((code, os.listdir(folder.of("default.etcd"))), (0, ["member"]), "by default: " + err)
        # The log's place below the data directory, said in full.
        code, _, err = utl("snapshot", "restore", snapshot, "--data-dir", folder.of("said"), "--wal-dir",
                           folder.of("said/member/wal"))
        equal((code, sorted(os.listdir(folder.of("said/member")))), (0, ["snap", "wal"]), err)
        equal(utl("check", folder.of("said"))[0], 0)


# Command lines that need no file, with the exit code and the first line on stderr of etcdutl 3.7.
LINES = [
    ("", 0, None), ("help", 0, None), ("--help", 0, None), ("snapshot", 0, None), ("snapshot nonsense", 0, None),
    ("version", 0, None), ("version x", 0, None), ("snapshot status --help", 0, None),
    ("nonsense", 1, 'Error: unknown command "nonsense" for "%s"'),
    ("--nonsense", 1, "Error: unknown flag: --nonsense"), ("snapshot status --nonsense", 1, "Error: unknown flag: --nonsense"),
    ("-w", 1, "Error: flag needs an argument: 'w' in -w"),
    ("snapshot status", 128, "Error: snapshot status requires exactly one argument"),
    ("snapshot status a b", 128, "Error: snapshot status requires exactly one argument"),
    ("snapshot restore --data-dir d", 128, "Error: snapshot restore requires exactly one argument"),
    ("snapshot restore a b --data-dir d", 128, "Error: snapshot restore requires exactly one argument"),
    ("snapshot restore a --data-dir d --bump-revision 5", 128, "Error: --mark-compacted required if --revision-bump > 0"),
    ("snapshot restore a --data-dir d --mark-compacted", 128, "Error: --mark-compacted required if --revision-bump > 0"),
    ("snapshot status absent", 1, "Error: stat absent: no such file or directory"),
    ("snapshot status absent -w nonsense", 4, "Error: unsupported output format"),
    ("defrag", 1, 'Error: required flag(s) "data-dir" not set'),
]
# What etcdutl 3.5 does not have; the texts are 3.7's.
NEWER = [
    ("hashkv", 1, "Error: accepts 1 arg(s), received 0"), ("hashkv a b", 1, "Error: accepts 1 arg(s), received 2"),
    ("migrate", 1, 'Error: required flag(s) "data-dir", "target-version" not set'),
    ("migrate --data-dir d --target-version 3", 128, 'Error: wrong target version format, expected "X.Y", got "3"'),
    ("migrate --data-dir d --target-version 3.4", 128, 'Error: target version "3.4" not supported. Minimal "3.5"'),
    ("snap stat", 128, "Error: snapshot status requires exactly one argument"),
    ("hashkv absent --timeout x", 1, 'Error: invalid argument "x" for "--timeout" flag: time: invalid duration "x"'),
    ("check", 128, "Error: check requires exactly one argument"),
    ("snapshot save x", 128, "Error: a running member gives its snapshot to `quoinctl snapshot save <file>`"),
    ("completion bash", 0, None), ("completion zsh", 0, None), ("completion fish", 0, None),
    ("completion powershell", 0, None), ("options", 0, None),
]


def lines():
    with tempfile.TemporaryDirectory() as folder:
        for line, want, text in LINES + NEWER:
            code, out, err = utl(*line.split(), cwd=folder)
            equal((code, err.split("\n")[0] if text else err), (want, text.replace("%s", "quoinutl") if text else ""), line)
            require(bool(out) == (want == 0), "%s: output %r" % (line, out))
            equal(os.listdir(folder), [], line)
        out = utl("version")[1]
        require(out.startswith("etcdutl version: 3.7.1\nAPI version: 3.7\n"), out)
        require("Usage\n" in utl()[1] and utl()[1] == utl("help")[1] == utl("-h")[1], "help")
        for shell in ("bash", "zsh", "fish", "powershell"):
            text = utl("completion", shell)[1]
            require("quoinutl" in text and "quoinctl" not in text and "restore" in text, shell)


def lines_beside_etcdutl():
    if not os.path.exists(ETCDUTL):
        raise Skip("no etcdutl here (tools/get-etcd)")
    with tempfile.TemporaryDirectory() as folder:
        for line, want, text in LINES:
            code, _, err = utl(*line.split(), program=ETCDUTL, cwd=folder)
            equal((code, err.split("\n")[0]), (want, text.replace("%s", "etcdutl") if text else ""), line)


def ends():
    """Scripts wait for a line, for the end of the output, and for the program with all its children."""
    with Folder() as folder:
        folder.with_member()
        for name in ("pipe", "terminal", "shell"):
            shutil.copytree(folder.of("member"), folder.of(name))
        words = "finished defragmenting directory"
        code, _, err = utl("defrag", "--data-dir", folder.of("pipe"))
        require(code == 0 and words in err, err)
        code, _, err = utl("defrag", "--data-dir", folder.of("pipe"))  # nothing is left to do
        require(code == 0 and words in err, err)
        child, terminal = pty.fork()
        if child == 0:
            os.execv(QUOINUTL, [QUOINUTL, "defrag", "--data-dir", folder.of("terminal")])
        shown = b""
        while True:  # a terminal's end is an error; a process that hangs is ended by the runner
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
        equal(os.waitpid(child, 0)[1], 0, shown)
        require(words.encode() in shown, shown)
        done = subprocess.run(["sh", "-c", '"$0" defrag --data-dir "$1" & wait; echo all ended', QUOINUTL,
                               folder.of("shell")], capture_output=True, text=True, timeout=120)
        equal(done.stdout, "all ended\n", done.stderr)
        equal(utl("check", folder.of("shell"))[0], 0)


def locked():
    """A data file that another process holds is waited for as long as --timeout says."""
    import fcntl
    with Folder() as folder:
        folder.with_member()
        db = folder.of("member/member/snap/db")
        with open(db) as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for arguments in (["snapshot", "status", db], ["hashkv", db], ["defrag", "--data-dir", folder.of("member")],
                              ["migrate", "--data-dir", folder.of("member"), "--target-version", "3.6"]):
                code, _, err = utl(*arguments, "--timeout", "60ms")
                require(code == 1 and "timeout: cannot lock %s" % db in err, "%s: %s" % (arguments, err))
            waiting = subprocess.Popen([QUOINUTL, "hashkv", db, "--timeout", "0"], stdout=subprocess.PIPE)
            other = subprocess.Popen([QUOINUTL, "hashkv", db], stdout=subprocess.PIPE)
            fcntl.flock(held, fcntl.LOCK_UN)
            equal((waiting.wait(60), other.wait(60)), (0, 0), "once it is free")
            equal(waiting.stdout.read(), other.stdout.read())


def migrations():
    with Folder() as folder:
        folder.with_member()
        member, db = folder.of("member"), folder.of("member/member/snap/db")

        def to(version, *flags, code=0):
            got, _, err = utl("migrate", "--data-dir", member, "--target-version", version, *flags)
            equal(got, code, err)
            return err

        def stored():
            return utl("snapshot", "status", db, "-w", "simple")[1].strip().split(", ", 4)[4:]

        was = stored()[0]
        require("storage version up-to-date" in to(was[:3]), "the same version")
        to("3.6")
        equal(stored(), ["3.6.0"])
        to("3.5")
        require(stored() in ([], [""]), stored())
        require("storage version up-to-date" in to("3.5"), "none means 3.5")
        equal(to("3.9", code=1), 'Error: version "3.9.0" is not supported\n')
        to("3.7")
        equal(stored(), ["3.7.0"])
        with Member(quoin_binary(), data_dir=member, start=False) as m:
            m.start()
            equal(m.client().range(b"key/001").kvs[0].value[:3], b"151", "what was there")


run("files that are no snapshots", no_snapshots)
run("digests that do not fit", digests)
run("sizes of copied data files", sizes)
run("targets of a restore", targets)
run("command lines", lines)
run("the same command lines with etcdutl", lines_beside_etcdutl)
run("it ends when its work is done", ends)
run("locked data files", locked)
run("migrate", migrations)
finish()
