#!/usr/bin/python3
"""README's second sentence as it is read: stop etcd, start quoin on the same directory; stop quoin, start etcd again. No flag is given;
what leaves no way back happens by consent only."""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from ctl import ctl
from members import Cluster, Member, Skip, cluster_version, equal, finish, quoin_binary, run, said, until

CONSENT = "--keep-cluster-version=false"


def etcd():
    binary = members.etcd_binary()
    if binary is None:
        raise Skip("etcd 3.5 is not to be had here (tools/get-etcd)")
    return binary


def contents(member):
    client = member.client()
    answer = client.hashkv()
    return answer.hash, answer.header.revision, [(kv.key, kv.value) for kv in client.range(b"\0", b"\0").kvs]


def continued_by(cluster, binary):
    """All members stop and go on under another program; what they hold is the same."""
    before = contents(cluster[0])
    for m in cluster:
        m.stop()
    for m in cluster:
        m.binary = binary
        m.start(wait=False)
    for m in cluster:
        m.wait_ready()
    cluster.leader()
    equal(contents(cluster[0]), before)
    cluster[0].client().put(b"by " + os.path.basename(binary).encode() + b"%d" % before[1], b"v")


def there_and_back(count):
    with Cluster(count, binary=etcd()) as c:
        for i in range(50):
            c[i % count].client().put(b"k%d" % i, b"v" * 100)
        for _ in range(2):
            continued_by(c, quoin_binary())
            # The leader has looked, and could have raised the version.
            until(lambda: any(said(m, "the cluster version is kept") for m in c))
            equal({cluster_version(m) for m in c}, {"3.5.0"})
            continued_by(c, etcd())
            equal({cluster_version(m) for m in c}, {"3.5.0"})
            for m in c:
                open(m.log, "w").close()


def member_by_member():
    """One after another leaves for quoin and comes back; none of 3.5 is left in between."""
    with Cluster(3, binary=etcd()) as c:
        for binary in (quoin_binary(), etcd()):
            for m in c:
                m.stop()
                m.binary = binary
                m.start()
                m.client().put(b"from " + m.name.encode(), os.path.basename(binary).encode())
            equal({cluster_version(m) for m in c}, {"3.5.0"})
        c.wait_equal()


def by_consent():
    """The version rises when it is asked for; then 3.5 does not start any more, and quoin goes down again a step at a time."""
    with Member(etcd()) as m:
        m.client().put(b"k", b"v")
        m.stop()
        m.binary, m.flags = quoin_binary(), [CONSENT]
        m.start()
        until(lambda: cluster_version(m) == "3.7.0")
        m.stop()
        m.binary, m.flags = etcd(), []
        m.start(wait=False)
        assert m.process.wait(30) != 0
        assert said(m, "invalid downgrade"), m.log_tail()
        m.binary = quoin_binary()
        m.start()
        equal(ctl(m.endpoint, "downgrade", "enable", "3.5")[::2], (1, "Error: etcdserver: invalid downgrade target version\n"))
        equal(ctl(m.endpoint, "downgrade", "enable", "3.6")[:2], (0, "Downgrade enable success, cluster version 3.7\n"))
        until(lambda: cluster_version(m) == "3.6.0")
        m.stop()
        m.start()
        equal(cluster_version(m), "3.6.0")
        equal(ctl(m.endpoint, "downgrade", "cancel")[:2], (0, "Downgrade cancel success, cluster version 3.6\n"))
        until(lambda: cluster_version(m) == "3.7.0")
        equal(m.client().range(b"k").kvs[0].value, b"v")


run("one member, there and back twice", there_and_back, 1)
run("three members, there and back twice", there_and_back, 3)
run("three members, one after another", member_by_member)
run("up by consent, and down in steps", by_consent)
finish()
