#!/usr/bin/env python3
"""One cluster of etcd's members and quoin's: a quoin member joins etcd 3.5 as a learner, votes, leads; both hold the same."""
import http.client, json, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from members import Cluster, Skip, equal, etcd_binary, finish, quoin_binary, run, until


def same_hash(cluster, revision):
    hashes = {m.name: m.client().hashkv(revision).hash for m in cluster.members}
    return len(set(hashes.values())) == 1


def quoin_joins_etcd(snapshot):
    etcd = etcd_binary()
    if etcd is None:
        raise Skip("etcd 3.5 cannot be fetched")
    with Cluster(2, binary=etcd, flags=["--log-level", "warn"] + (["--snapshot-count", "50"] if snapshot else [])) as c:
        client = c.leader().client()
        for i in range(200):
            client.put(b"k%03d" % i, b"v" * 50)
        quoin = c.join(learner=True)
        revision = client.range(b"k").header.revision
        until(lambda: quoin.client().status().raftAppliedIndex >= client.status().raftAppliedIndex)
        # A learner answers only what is read from itself.
        equal(len(quoin.client().range(b"k", b"l", serializable=True).kvs), 200)
        until(lambda: client.member_promote(quoin.member_id))
        quoin.wait_ready()
        revision = quoin.client().put(b"from", b"quoin").header.revision
        equal(c[0].client().range(b"from").kvs[0].value, b"quoin")
        until(lambda: same_hash(c, revision))
        # It leads, and members of 3.5 follow; one of them starts anew, with attributes of the old form.
        c.leader().client().move_leader(quoin.member_id)
        equal(c.leader(), quoin)
        for i in range(50):
            c[i % 3].client().put(b"led%d" % i, b"v")
        c[0].stop()
        c[0].start()
        revision = c[1].client().put(b"last", b"v").header.revision
        until(lambda: same_hash(c, revision))
        quoin.stop()
        quoin.start()
        revision = quoin.client().put(b"again", b"v").header.revision
        until(lambda: same_hash(c, revision))
        equal(len(c[0].client().range(b"\0", b"\0").kvs), 253)


def both_make_a_cluster():
    etcd = etcd_binary()
    if etcd is None:
        raise Skip("etcd 3.5 cannot be fetched")
    with Cluster(3, binary=[quoin_binary(), quoin_binary(), etcd], flags=["--log-level", "warn"]) as c:
        for i in range(30):
            c[i % 3].client().put(b"k%d" % i, b"v")
        for m in c.members[:2]:  # whoever led, the version is one that 3.5 knows
            page = http.client.HTTPConnection(m.host, m.client_port, timeout=5)
            page.request("GET", "/version")
            version = json.loads(page.getresponse().read())["etcdcluster"]
            assert version in ("3.5.0", "3.0.0"), version
        leader = c.leader()
        c.leader().kill()
        c.leader()
        leader.start()
        revision = leader.client().put(b"last", b"v").header.revision
        until(lambda: same_hash(c, revision))


run("both make a new cluster", both_make_a_cluster)
run("quoin joins etcd by the log", quoin_joins_etcd, False)
run("quoin joins etcd by a snapshot", quoin_joins_etcd, True)
finish()
