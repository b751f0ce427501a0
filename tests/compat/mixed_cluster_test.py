#!/usr/bin/env python3
"""One cluster of etcd's members and quoin's: a member of either joins the other's cluster as a learner,
votes, leads; all hold the same."""
import concurrent.futures, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from members import Cluster, Skip, cluster_version, equal, etcd_binary, finish, quoin_binary, run, said, until


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
        if snapshot:  # more than the 5,000 entries that 3.5 keeps behind its snapshots
            with concurrent.futures.ThreadPoolExecutor(32) as pool:
                list(pool.map(lambda i: client.put(b"more", b"v"), range(5200)))
        quoin = c.join(learner=True)
        revision = client.range(b"k").header.revision
        until(lambda: quoin.client().status().raftAppliedIndex >= client.status().raftAppliedIndex)
        # A learner answers only what is read from itself.
        equal(len(quoin.client().range(b"k", b"l", serializable=True).kvs), 200)
        equal(said(quoin, "installed snapshot from leader"), snapshot)
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
        equal(len(c[0].client().range(b"\0", b"\0").kvs), 253 + snapshot)


def etcd_joins_quoin(snapshot):
    """The one member of 3.5 that the cluster began with keeps its version at 3.5, so that others of 3.5 may join."""
    etcd = etcd_binary()
    if etcd is None:
        raise Skip("etcd 3.5 cannot be fetched")
    cluster = Cluster(3, binary=[quoin_binary(), quoin_binary(), etcd])
    if snapshot:
        for m in cluster.members[:2]:  # what the one who joins lacks is no longer in the log
            m.flags += ["--snapshot-count", "50", "--snapshot-catchup-entries", "10", "--checkpoint-interval", "100ms"]
    with cluster as c:
        oldest = c[2]
        c.lead(c[0])
        client = c[0].client()
        for i in range(200):
            client.put(b"k%03d" % i, b"v" * 50)
        client.compact(100)
        lease = client.lease_grant(3600).ID
        client.put(b"leased", b"v", lease=lease)
        until(lambda: all(cluster_version(m) == "3.5.0" for m in c.members))
        if snapshot:
            until(lambda: said(c[0], "saved snapshot"))
        joined = c.join(binary=etcd, learner=True)
        until(lambda: joined.client().status().raftAppliedIndex >= client.status().raftAppliedIndex)
        equal(said(c[0], "sent database snapshot"), snapshot)
        equal(len(joined.client().range(b"k", b"l", serializable=True).kvs), 200)
        until(lambda: client.member_promote(joined.member_id))
        joined.wait_ready()
        revision = joined.client().put(b"from", b"etcd").header.revision
        equal(c[1].client().range(b"from").kvs[0].value, b"etcd")
        equal(list(joined.client().lease_time_to_live(lease, keys=True).keys), [b"leased"])
        until(lambda: same_hash(c, revision))

        # The member that the cluster began with goes: now the one that joined keeps the version.
        client.member_remove(oldest.client().status().header.member_id)
        oldest.process.wait(30)
        oldest.process = None
        c.members.remove(oldest)
        c.lead(joined)
        for i in range(50):
            c[i % 3].client().put(b"led%d" % i, b"v")
        equal(cluster_version(c[0]), "3.5.0")
        c[0].stop()
        c[0].start()
        revision = c[0].client().put(b"again", b"v").header.revision
        until(lambda: same_hash(c, revision))
        joined.kill()
        c.leader(among=c.members[:2])
        for i in range(100):
            c[i % 2].client().put(b"without%d" % i, b"v")
        joined.start()
        revision = joined.client().put(b"last", b"v").header.revision
        until(lambda: same_hash(c, revision))
        equal(len(c[1].client().range(b"\0", b"\0").kvs), 354)

        # Without the last member of 3.5 the others may rise, and do so by consent.
        until(lambda: c.leader().client().member_remove(joined.member_id))
        joined.process.wait(30)
        joined.process = None
        c.members.remove(joined)
        until(lambda: said(c.leader(), "the cluster version is kept"))
        equal({cluster_version(m) for m in c.members}, {"3.5.0"})
        for m in c.members:
            m.flags.append("--keep-cluster-version=false")
            m.stop()
            m.start()
        until(lambda: [cluster_version(m) for m in c.members] == ["3.7.0"] * 2)
        until(lambda: [m.client().status().storageVersion for m in c.members] == ["3.7.0"] * 2)


def finds_damage(leader, victim):
    """Members 0 and 1 are etcd's, 2 is quoin's; the leader compares all of them every half second."""
    from damage import CORRUPT, VALUE, alarms, damage
    etcd = etcd_binary()
    if etcd is None:
        raise Skip("etcd 3.5 cannot be fetched")
    cluster = Cluster(3, binary=[etcd, etcd, quoin_binary()])
    for m in cluster.members:
        m.flags += ["--corrupt-check-time" if m.binary == quoin_binary() else "--experimental-corrupt-check-time", "500ms"]
    with cluster as c:
        c.lead(c[leader])
        for i in range(20):
            c[i % 3].client().put(b"k%d" % i, b"v")
        c[0].client().put(b"damaged", VALUE)
        until(lambda: said(c[leader], "finished peer corruption check"))
        equal(alarms(c[leader].client()), [])
        member_id = c[victim].client().status().header.member_id
        damage(c[victim])
        if leader == 0:  # 3.5 looks for the id in the header of the answer, where no member says it
            member_id = 0
        equal(until(lambda: alarms(c[leader].client())), [(member_id, CORRUPT)])


def both_make_a_cluster():
    etcd = etcd_binary()
    if etcd is None:
        raise Skip("etcd 3.5 cannot be fetched")
    with Cluster(3, binary=[quoin_binary(), quoin_binary(), etcd], flags=["--log-level", "warn"]) as c:
        for i in range(30):
            c[i % 3].client().put(b"k%d" % i, b"v")
        for m in c.members[:2]:  # whoever led, the version is one that 3.5 knows
            version = cluster_version(m)
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
run("etcd joins quoin by the log", etcd_joins_quoin, False)
run("etcd joins quoin by a snapshot", etcd_joins_quoin, True)
run("etcd finds a damaged member of quoin", finds_damage, 0, 2)
run("quoin finds a damaged member of etcd", finds_damage, 2, 0)
finish()
