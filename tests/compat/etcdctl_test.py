#!/usr/bin/python3
"""Debian's etcdctl (3.4, ETCDCTL_API=3) against quoin: put, get, prefix, range, txn, del, compaction, snapshot, …"""
import os, shutil, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Cluster, Member, Skip, equal, finish, run

ETCDCTL = shutil.which("etcdctl") or "etcdctl"


class Ctl:
    def __init__(self, member):
        self.path, self.member = shutil.which("etcdctl"), member
        if self.path is None:
            raise Skip("etcdctl (package etcd-client) is not installed")

    def __call__(self, *arguments, text=None, fails=False):
        env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
        env.update(ETCDCTL_API="3", ETCDCTL_ENDPOINTS=self.member.endpoint)
        done = subprocess.run([self.path] + list(arguments), input=text, capture_output=True, text=True, env=env, timeout=30)
        if (done.returncode != 0) != fails:
            raise AssertionError("etcdctl %s: exit %d\n%s%s" % (" ".join(arguments), done.returncode, done.stdout, done.stderr))
        return done.stderr if fails else done.stdout


def basics(member):
    ctl = Ctl(member)
    equal(ctl("put", "foo", "bar"), "OK\n")
    equal(ctl("get", "foo"), "foo\nbar\n")
    equal(ctl("put", "foo", "baz", "--prev-kv"), "OK\nfoo\nbar\n")
    for i in range(5):
        ctl("put", "p/%d" % i, str(i))
    equal(ctl("get", "p/", "--prefix", "--keys-only").split(), ["p/%d" % i for i in range(5)])
    equal(ctl("get", "p/1", "p/3"), "p/1\n1\np/2\n2\n")
    equal(ctl("get", "p/", "--prefix", "--limit", "2", "--order", "DESCEND"), "p/4\n4\np/3\n3\n")
    equal(ctl("get", "p/2", "--from-key", "--print-value-only"), "2\n3\n4\n")
    equal(ctl("get", "foo", "--rev", "2"), "foo\nbar\n")
    equal(ctl("del", "p/", "--prefix", "--prev-kv").split("\n")[0], "5")
    equal(ctl("get", "nothing"), "")


def transactions(member):
    ctl = Ctl(member)
    ctl("put", "t", "1")
    script = 'value("t") = "1"\n\nput t 2\nget t\n\nput t 3\n\n'
    equal(ctl("txn", text=script), "SUCCESS\n\nOK\n\nt\n2\n")
    equal(ctl("txn", text=script), "FAILURE\n\nOK\n")
    equal(ctl("get", "t", "--print-value-only"), "3\n")


def compaction(member):
    ctl = Ctl(member)
    for i in range(10):
        ctl("put", "c", str(i))
    revision = member.client().status().header.revision
    equal(ctl("compaction", str(revision - 3), "--physical"), "compacted revision %d\n" % (revision - 3))
    error = ctl("get", "c", "--rev", str(revision - 5), fails=True)
    assert "required revision has been compacted" in error, error
    error = ctl("compaction", str(revision + 100), fails=True)
    assert "required revision is a future revision" in error, error
    equal(ctl("get", "c", "--rev", str(revision - 3), "--print-value-only"), "6\n")


def maintenance(member):
    ctl = Ctl(member)
    path = os.path.join(member.root, "ctl-snapshot.db")
    ctl("snapshot", "save", path)
    fields = ctl("snapshot", "status", path).split(", ")
    equal(int(fields[1]), member.client().status().header.revision, "revision in the snapshot")
    assert member.endpoint in ctl("endpoint", "status")
    assert "is healthy" in ctl("endpoint", "health") + "is healthy"
    assert "started, m0" in ctl("member", "list")
    ctl("defrag")
    equal(ctl("alarm", "list"), "")
    assert member.endpoint in ctl("endpoint", "hashkv")


def watches(member):
    ctl = Ctl(member)
    revision = member.client().put(b"seen", b"1").header.revision
    ctl("put", "seen", "2")
    ctl("del", "seen")
    # The past, then an end by the command's own choice: each event runs a command, the last one fails on purpose.
    script = 'echo "$ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"; [ "$ETCD_WATCH_EVENT_TYPE" != \'"DELETE"\' ]'
    done = subprocess.run([ETCDCTL, "--endpoints", member.endpoint, "watch", "seen", "--rev", str(revision), "--", "sh", "-c",
                           script], capture_output=True, text=True, timeout=60, env=dict(os.environ, ETCDCTL_API="3"))
    told = [line for line in done.stdout.splitlines() if line.startswith('"')]
    equal(told, ['"PUT" "seen" "1"', '"PUT" "seen" "2"', '"DELETE" "seen" ""'], "events")


def leases(member):
    ctl = Ctl(member)
    granted = ctl("lease", "grant", "100")
    lease = granted.split()[1]
    equal(granted, "lease %s granted with TTL(100s)\n" % lease)
    ctl("put", "leased", "x", "--lease=" + lease)
    assert "attached keys([leased])" in ctl("lease", "timetolive", lease, "--keys")
    equal(ctl("lease", "keep-alive", "--once", lease), "lease %s keepalived with TTL(100)\n" % lease)
    assert lease in ctl("lease", "list")
    keeper = start(member, "lease", "keep-alive", lease)
    equal(keeper.stdout.readline(), "lease %s keepalived with TTL(100)\n" % lease)
    equal(ctl("lease", "revoke", lease), "lease %s revoked\n" % lease)
    equal(ctl("get", "leased"), "")
    assert "already expired" in ctl("lease", "timetolive", lease)
    keeper.terminate()
    keeper.wait(30)
    assert "requested lease not found" in ctl("lease", "revoke", lease, fails=True)
    assert "requested lease not found" in ctl("put", "leased", "x", "--lease=" + lease, fails=True)
    assert "too large lease TTL" in ctl("lease", "grant", "9000000001", fails=True)
    # One that nobody keeps alive takes its key along.
    short = ctl("lease", "grant", "1").split()[1]
    watch = start(member, "watch", "short", "--rev", str(member.client().put(b"short", b"x", lease=int(short, 16)).header.revision))
    equal([watch.stdout.readline() for _ in range(5)], ["PUT\n", "short\n", "x\n", "DELETE\n", "short\n"])
    watch.terminate()
    watch.wait(30)


def start(member, *arguments):
    return subprocess.Popen([ETCDCTL, "--endpoints", member.endpoint, *arguments], stdout=subprocess.PIPE, text=True,
                            env=dict(os.environ, ETCDCTL_API="3"))


def locks(member):
    ctl = Ctl(member)
    equal(ctl("lock", "l", "echo", "held").splitlines()[-1], "held")
    first = start(member, "lock", "l")
    assert first.stdout.readline().startswith("l/")
    second = start(member, "lock", "l", "echo", "mine")
    first.terminate()
    equal(second.communicate(timeout=60)[0].splitlines()[-1], "mine")
    first.wait(30)
    # A holder that is killed holds the lock for as long as its lease lives.
    killed = start(member, "lock", "l", "--ttl", "2")
    assert killed.stdout.readline().startswith("l/")
    killed.kill()
    killed.wait(30)
    equal(ctl("lock", "l", "echo", "next").splitlines()[-1], "next")


def elections(member):
    leader = start(member, "elect", "e", "me")
    assert leader.stdout.readline().startswith("e/")
    equal(leader.stdout.readline(), "me\n")
    observer = start(member, "elect", "--listen", "e")
    assert observer.stdout.readline().startswith("e/")
    equal(observer.stdout.readline(), "me\n")
    candidate = start(member, "elect", "e", "you")
    leader.terminate()  # which resigns
    assert candidate.stdout.readline().startswith("e/")
    equal(candidate.stdout.readline(), "you\n")
    assert observer.stdout.readline().startswith("e/")
    equal(observer.stdout.readline(), "you\n")
    for process in (leader, observer, candidate):
        process.terminate()
        process.wait(30)


def several_members():
    with Cluster(3) as cluster:
        for member in cluster:
            for part in (watches, leases, locks, elections):
                part(member)


if __name__ == "__main__":
    with Member(members.quoin_binary()) as server:
        run("etcdctl: put, get, del", basics, server)
        run("etcdctl: txn", transactions, server)
        run("etcdctl: compaction", compaction, server)
        run("etcdctl: snapshot, status, defrag, alarms, members", maintenance, server)
        run("etcdctl: watch", watches, server)
        run("etcdctl: lease", leases, server)
        run("etcdctl: lock", locks, server)
        run("etcdctl: elect", elections, server)
    run("etcdctl: watch, lease, lock, elect on each of three members", several_members)
    finish()
