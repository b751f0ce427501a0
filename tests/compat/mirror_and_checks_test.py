#!/usr/bin/python3
"""make-mirror, check perf and check datascale of quoinctl, beside etcdctl's where that is here.

check perf takes a minute: that is its measure. Whether this machine passes it is not asked, only that the verdict and the
exit code say the same."""
import os, pty, re, signal, subprocess, sys, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, Skip, equal, finish, quoin_binary, run, until

QUOINCTL = os.path.join(members.BIN, "quoinctl")
ETCDCTL = (members.etcd_binary() or "") + "ctl"


def environment(endpoint):
    env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
    env.update(ETCDCTL_API="3", ETCDCTL_ENDPOINTS=endpoint)
    return env


def ctl(endpoint, *arguments, program=QUOINCTL, seconds=250):
    done = subprocess.run([program, *arguments], env=environment(endpoint), capture_output=True, text=True, timeout=seconds)
    return done.returncode, done.stdout, done.stderr


class Mirror:
    """A running make-mirror."""

    def __init__(self, program, source, *arguments):
        self.process = subprocess.Popen([program, "make-mirror", *arguments], env=environment(source.endpoint),
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def end(self):
        guard = threading.Timer(60, self.process.kill)
        guard.start()
        out, err = self.process.communicate()
        guard.cancel()
        return self.process.returncode, out, err


def content(member):
    return {kv.key: kv.value for kv in member.client().range(b"\0", b"\0").kvs}


def mirrors(program, keys):
    cases = [(["--prefix", "app/"], lambda key: key if key.startswith(b"app/") else None),
             (["--prefix", "app/", "--dest-prefix", "copy/"], lambda key: key.replace(b"app/", b"copy/", 1) if key.startswith(b"app/") else None),
             (["--prefix", "app/", "--no-dest-prefix"], lambda key: key[4:] if key.startswith(b"app/") else None),
             (["--dest-prefix", "x/"], lambda key: b"x/" + key), ([], lambda key: key)]
    for flags, renamed in cases:
        keys, many = 110, keys
        with Member(quoin_binary()) as source, Member(quoin_binary()) as destination:
            client = source.client()
            for i in range(many):  # the first time more than two pages
                client.put(b"app/%04d" % i, b"%d" % i)
            client.put(b"other", b"1")
            wanted = {renamed(k): v for k, v in content(source).items() if renamed(k)}
            with Mirror(program, source, destination.endpoint, *flags) as mirror:
                until(lambda: content(destination) == wanted)
                client.put(b"app/new", b"1")
                client.put(b"app/new", b"2")
                client.delete(b"app/0000", b"app/0100")
                wanted = {renamed(k): v for k, v in content(source).items() if renamed(k)}
                until(lambda: content(destination) == wanted)
                mirror.process.send_signal(signal.SIGINT)
                code, out, err = mirror.end()
                assert code != 0, (code, out, err)  # it never ends by itself


def mirror_from_a_revision():
    with Member(quoin_binary()) as source, Member(quoin_binary()) as destination:
        client = source.client()
        at = [client.put(b"k/%d" % i, b"v").header.revision for i in range(10)]
        with Mirror(QUOINCTL, source, destination.endpoint, "--prefix", "k/", "--rev", str(at[6]), "--max-txn-ops", "2"):
            until(lambda: sorted(content(destination)) == [b"k/7", b"k/8", b"k/9"])
            client.delete(b"k/", b"k0")
            until(lambda: content(destination) == {})
        client.compact(client.put(b"k/x", b"1").header.revision)
        with Mirror(QUOINCTL, source, destination.endpoint, "--prefix", "k/", "--rev", str(at[0])) as mirror:
            code, out, err = mirror.end()
            equal(code, 1, err)
            equal(err.splitlines()[-1], "Error: etcdserver: mvcc: required revision has been compacted")


def mirrors_fail():
    with Member(quoin_binary()) as source, Member(quoin_binary()) as destination:
        source.client().put(b"k", b"v")
        code, out, err = ctl(source.endpoint, "make-mirror", destination.endpoint, "--dest-prefix", "a", "--no-dest-prefix")
        equal((code, err), (128, "Error: `--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one\n"))
        with Mirror(QUOINCTL, source, destination.endpoint) as mirror:
            until(lambda: content(destination) == {b"k": b"v"})
            destination.stop()
            source.client().put(b"k", b"w")
            code, out, err = mirror.end()
            assert code == 1 and err.splitlines()[-1].startswith("Error: "), (code, err)


def scale():
    with Member(quoin_binary()) as m:
        code, out, err = ctl(m.endpoint, "check", "datascale", "--auto-compact", "--auto-defrag")
        lines = out.splitlines()
        equal((code, err), (0, ""), out)
        equal(lines[0], "Start data scale check for work load [10000 key-value pairs, 1024 bytes per key-value, 50 concurrent "
                        "clients].")
        wanted = [r"Compacting with revision (\d+)", r"Compacted with revision (\d+)", 'Defragmenting "%s"' % m.endpoint,
                  'Defragmented "%s"' % m.endpoint, r"PASS: Approximate system memory used : -?\d+\.\d\d MB\."]
        equal(len(lines), 1 + len(wanted), out)
        for line, want in zip(lines[1:], wanted):
            assert re.fullmatch(want, line), (line, want)
        equal(content(m), {}, "what it left")
        equal(m.client().range(b"x").header.revision, 10002, "10,000 puts and the deletion")


def scale_on_a_terminal():
    with Member(quoin_binary()) as m:
        child, terminal = pty.fork()
        if child == 0:
            os.execve(QUOINCTL, [QUOINCTL, "check", "datascale"], environment(m.endpoint))
        shown = b""
        while True:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
        equal(os.waitpid(child, 0)[1], 0, shown)
        assert re.search(rb"\r\x1b\[K\d+ of 10000 pairs \(\d+%\)", shown), shown
        assert re.search(rb"\r\x1b\[KPASS: Approximate", shown), shown


def refusals():
    with Member(quoin_binary()) as m:
        m.client().put(b"/etcdctl-check-perf/x", b"1")
        text = 'Error: prefix "/etcdctl-check-perf/" has keys. Delete with %setcdctl del --prefix /etcdctl-check-perf/%s first'
        for program in [QUOINCTL] + [ETCDCTL] * os.path.exists(ETCDCTL):
            for arguments, quote in ((["perf"], "'"), (["datascale", "--prefix", "/etcdctl-check-perf/"], "")):
                code, out, err = ctl(m.endpoint, "check", *arguments, program=program)
                equal((code, out, err.splitlines()[-1]), (3, "", text % (quote, quote)), arguments)
            code, out, err = ctl(m.endpoint, "check", "perf", "--load", "q", program=program)
            equal((code, out, err.splitlines()[-1]), (4, "", "Error: unknown load option q"))


def perf():
    with Member(quoin_binary()) as m:
        code, out, err = ctl(m.endpoint, "check", "perf", "--load", "small")
        lines = out.splitlines()
        equal(len(lines), 4, out)
        assert re.fullmatch(r"PASS: Throughput is \d+ writes/s|FAIL: Throughput too low: \d+ writes/s", lines[0]), out
        assert re.fullmatch(r"PASS: Slowest request took \d+\.\d{6}s|Slowest request took too long: \d+\.\d{6}s", lines[1]), out
        assert re.fullmatch(r"PASS: Stddev is \d+\.\d{6}s|Stddev too high: \d+\.\d{6}s", lines[2]), out
        good = all(line.startswith("PASS") for line in lines[:3])
        equal((lines[3], code), ("PASS", 0) if good else ("FAIL", 1), out)
        written = m.client().range(b"x").header.revision - 2
        assert 60 * 150 * 0.1 < written <= 60 * 150 + 50, "%d writes" % written
        equal(content(m), {}, "what it left")


run("make-mirror", mirrors, QUOINCTL, 2100)
if os.path.exists(ETCDCTL):
    run("etcdctl's make-mirror, by the same test", mirrors, ETCDCTL, 110)
run("make-mirror from a revision on", mirror_from_a_revision)
run("make-mirror without a destination", mirrors_fail)
run("check datascale", scale)
run("check datascale on a terminal", scale_on_a_terminal)
run("checks that are refused", refusals)
run("check perf", perf)
finish()
