#!/usr/bin/env python3
"""Three real members: they elect, replicate, lose their leader, come back, catch up by snapshot, join and leave."""
import os, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from members import Cluster, equal, finish, run


def keys(client, start=b"\0", end=b"\0"):
    return {kv.key: kv.value for kv in client.range(start, end).kvs}


def every_member_serves():
    with Cluster(3) as c:
        for i, m in enumerate(c.members):
            equal(m.client().put(b"k%d" % i, b"v").header.revision, i + 2)
            for other in c.members:
                equal(len(keys(other.client())), i + 1, "a linearizable read on " + other.name)
        statuses = [m.client().status() for m in c.members]
        equal(len({s.leader for s in statuses}), 1, "leaders")
        equal(len({s.header.member_id for s in statuses}), 3, "members")
        equal(len({s.header.cluster_id for s in statuses}), 1, "clusters")
        names = [[m.name for m in each.client().member_list().members] for each in c.members]
        equal([sorted(n) for n in names], [["m0", "m1", "m2"]] * 3, "member lists")


def leader_is_killed_and_comes_back():
    with Cluster(3) as c:
        old = c.leader()
        old.client().put(b"before", b"1")
        old.kill()
        new = c.leader()
        assert new is not old
        new.client().put(b"after", b"2")
        old.start()
        c.wait_equal()
        equal(keys(old.client()), {b"before": b"1", b"after": b"2"})


def minority_refuses():
    with Cluster(3, flags=["--heartbeat-interval", "20", "--election-timeout", "200"]) as c:
        leader = c.leader()
        for m in c.followers():
            m.kill()
        import grpc
        for call in (lambda: leader.client().put(b"k", b"v"), lambda: leader.client().range(b"k")):
            try:
                call()
                raise AssertionError("a minority answered")
            except grpc.RpcError as error:
                assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED), error


def far_follower_catches_up_by_snapshot():
    with Cluster(3, flags=["--snapshot-count", "100", "--snapshot-catchup-entries", "10"]) as c:
        follower = c.followers()[0]
        follower.kill()
        client = c.leader().client()
        # The leader keeps the log for a follower that it has just heard. The second snapshot after
        # that time is over lets go of it.
        deadline, heard_until, n, due = time.monotonic() + 60, time.monotonic() + 3, 0, None
        while True:
            saved = open(c.leader().log).read().count("saved snapshot")
            if due is None and time.monotonic() > heard_until:
                due = saved + 2
            if due is not None and saved >= due:
                break
            assert time.monotonic() < deadline, "no snapshot was saved"
            client.put(b"k%06d" % n, b"x" * 100)
            n += 1
        for i in range(100):
            client.put(b"last%d" % i, b"y")
        follower.start()
        c.wait_equal()
        equal(len(keys(follower.client())), n + 100)
        assert "installed snapshot from leader" in open(follower.log).read(), "it did not need a snapshot"
        follower.kill()
        follower.start()
        c.wait_equal()


def orderly_stop_hands_over():
    with Cluster(3) as c:
        old = c.leader()
        others = c.followers()
        equal(old.stop(), -15, "exit")
        assert "leadership transfer finished" in open(old.log).read()
        new = c.leader(among=others)
        new.client().put(b"k", b"v")
        old.start()
        c.wait_equal()


def wiped_member_is_refused():
    with Cluster(3) as c:
        m = c.followers()[0]
        m.kill()
        subprocess.run(["rm", "-rf", m.data_dir], check=True)
        for state in ("new", "existing"):
            m.initial_state = state
            m.start(wait=False)
            equal(m.process.wait(30), 1, "exit with " + state)
            m.process = None
            assert "has already been bootstrapped" in m.log_tail(), m.log_tail()
        c.leader().client().put(b"k", b"v")


def majority_is_lost_for_good():
    with Cluster(3) as c:
        c[0].client().put(b"k", b"v")
        c.wait_equal()
        for m in c.members:
            m.kill()
        c[1].flags.append("--force-new-cluster")
        c[1].start()
        equal(keys(c[1].client()), {b"k": b"v"})
        equal(len(c[1].client().member_list().members), 1)
        c[1].client().put(b"alone", b"v")
        c[1].stop()
        c[1].flags.remove("--force-new-cluster")
        c[1].start()
        equal(keys(c[1].client()), {b"k": b"v", b"alone": b"v"})


for test in (every_member_serves, leader_is_killed_and_comes_back, minority_refuses,
             far_follower_catches_up_by_snapshot, orderly_stop_hands_over, wiped_member_is_refused,
             majority_is_lost_for_good):
    run(test.__name__, test)
finish()
