#!/usr/bin/python3
"""A member's directory changes hands in place, again and again: quoin, etcd 3.5, quoin; each reads the log that the other
went on with, marks in front of writes and all, and the cluster's members hold the same."""
import os, signal, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Cluster, Skip, equal, etcd_binary, finish, quoin_binary, run, until


def same_hash(cluster, revision):
    return len({m.client().hashkv(revision).hash for m in cluster.members}) == 1


def swapped(cluster, member, binary, end):
    """The member ends by signal `end`, and the other program goes on in its directory."""
    member.stop(end)
    member.binary = binary
    member.start(wait=False)
    member.wait_ready()
    cluster.leader()


def hand_over_and_back(value, flags):
    etcd = etcd_binary()
    if etcd is None:
        raise Skip("etcd 3.5 cannot be fetched")
    # One member of 3.5 from the start keeps the cluster at a version that 3.5 serves.
    with Cluster(3, binary=[quoin_binary(), quoin_binary(), etcd], flags=["--log-level", "warn"] + flags) as c:
        member, count = c[0], 0
        for round, end in enumerate([signal.SIGTERM, signal.SIGKILL] * 3):
            for i in range(60):
                until(lambda: c[i % 2].client().put(b"k%d" % count, value))
                count += 1
            swapped(c, member, etcd if round % 2 == 0 else quoin_binary(), end)
            revision = until(lambda: member.client().put(b"round", b"%d" % round)).header.revision
            until(lambda: same_hash(c, revision))
            equal(member.client().range(b"k", b"l", count_only=True).count, count)


run("small writes", hand_over_and_back, b"v" * 20, [])
run("with snapshots", hand_over_and_back, b"v" * 20, ["--snapshot-count", "25"])
run("over segments", hand_over_and_back, os.urandom(1 << 20), ["--quota-backend-bytes", str(1 << 30)])
finish()
