#!/usr/bin/env python3
"""A cluster grows from one member to three and shrinks again under load, and what a change may be refused for."""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from members import Cluster, equal, finish, run, until
import grpc


def refused(call, code, text):
    try:
        call()
    except grpc.RpcError as error:
        equal((error.code(), error.details()), (code, text))
        return
    raise AssertionError("not refused: " + text)


def grows_and_shrinks():
    with Cluster(1) as c:
        client = c[0].client()
        for i in range(100):
            client.put(b"k%d" % i, b"v")
        learner = c.join(learner=True)
        until(lambda: learner.client().status().isLearner)
        refused(lambda: learner.client().put(b"k", b"v"), grpc.StatusCode.FAILED_PRECONDITION,
                "etcdserver: rpc not supported for learner")
        until(lambda: client.member_promote(learner.member_id))
        learner.wait_ready()
        c.join()
        for m in c.members:
            equal(len(m.client().member_list().members), 3)
            m.client().put(b"by-" + m.name.encode(), b"v")
        c.wait_equal()

        follower = c.followers()[0]
        status = follower.client().status()
        c.leader().client().move_leader(status.header.member_id)
        equal(c.leader(), follower)
        refused(lambda: [m for m in c.members if m is not follower][0].client().move_leader(1),
                grpc.StatusCode.FAILED_PRECONDITION, "etcdserver: not leader")
        refused(lambda: follower.client().move_leader(1), grpc.StatusCode.FAILED_PRECONDITION,
                "etcdserver: bad leader transferee")

        for _ in range(2):
            gone = c.leader()
            member_id = gone.client().status().header.member_id
            other = [m for m in c.members if m is not gone][0]
            until(lambda: other.client().member_remove(member_id))
            equal(gone.process.wait(30), 0, "exit of the removed member")
            gone.process = None
            c.members.remove(gone)
            until(lambda: c.members[0].client().put(b"after-" + gone.name.encode(), b"v"))
            # It stays away.
            gone.start(wait=False)
            if len(c.members) > 1:
                equal(gone.process.wait(30), 0, "exit of a removed member that came back")
                gone.process = None
            gone.__exit__()
        equal(len(c.members[0].client().range(b"\0", b"\0").kvs), 105)


def refusals():
    with Cluster(1) as c:
        client, own = c[0].client(), c[0].client().member_list().members[0].ID
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        for url in ("127.0.0.1:1", "http://127.0.0.1", "http://127.0.0.1:1/path"):
            refused(lambda: client.member_add(url), invalid, "etcdserver: given member URLs are invalid")
        refused(lambda: client.member_update(own, "nonsense"), invalid, "etcdserver: given member URLs are invalid")
        refused(lambda: client.member_add(c[0].peer_url), grpc.StatusCode.FAILED_PRECONDITION,
                "etcdserver: Peer URLs already exists")
        refused(lambda: client.member_remove(4711), grpc.StatusCode.NOT_FOUND, "etcdserver: member not found")
        refused(lambda: client.member_promote(4711), grpc.StatusCode.NOT_FOUND, "etcdserver: member not found")
        refused(lambda: client.member_promote(own), grpc.StatusCode.FAILED_PRECONDITION,
                "etcdserver: can only promote a learner member")
        refused(lambda: client.member_remove(own), grpc.StatusCode.UNKNOWN,
                "etcdserver: re-configuration failed due to not enough started members")
        equal(client.member_add("http://127.0.0.1:1", learner=True).member.isLearner, True)
        refused(lambda: client.member_add("http://127.0.0.1:2", learner=True), grpc.StatusCode.FAILED_PRECONDITION,
                "etcdserver: too many learner members in cluster")


def one_after_another():
    with Cluster(1, flags=["--max-learners=2"]) as c:
        client = c[0].client()
        for i in range(100):
            added = [client.member_add("http://127.0.0.1:%d" % (2 * i + port), learner=True).member.ID for port in (1, 2)]
            for member_id in added:
                client.member_remove(member_id)


run("grows and shrinks", grows_and_shrinks)
run("refusals", refusals)
run("each change is made when the one before was answered", one_after_another)
finish()
