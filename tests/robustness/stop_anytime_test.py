#!/usr/bin/python3
"""A member that is told to end at any millisecond of its start ends by that signal and by no other, and starts again.

Once everything is closed the member ends itself by the signal that asked for it, as etcd does.
"""
import os, signal, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Cluster, Member, equal, finish, run

MILLISECONDS = range(41)


def stop_at(started, moment):
    """Sends all of them SIGTERM `moment` after the last one was started."""
    time.sleep(max(0.0, moment - time.monotonic()))  # what is tried is this moment: there is no event to wait for
    for member in started:
        member.process.send_signal(signal.SIGTERM)
    for member in started:
        try:
            equal(member.process.wait(60), -signal.SIGTERM, "exit code")
        except AssertionError as error:
            raise AssertionError("%s\n%s" % (error, member.log_tail()))
        member.process = None


def each_millisecond(all_members, fresh):
    for ms in MILLISECONDS:
        for member in all_members:
            if fresh:
                member.data_dir = os.path.join(member.root, "data%d" % ms)
            member.start(wait=False)
        stop_at(all_members, time.monotonic() + ms / 1000)
    for member in all_members:
        member.start(wait=False)
    for member in all_members:
        member.wait_ready()
    all_members[0].client().put(b"after", b"all")
    equal(all_members[-1].client().range(b"after").kvs[0].value, b"all")


def one(fresh):
    with Member(members.quoin_binary(), start=fresh is False) as member:
        if not fresh:
            member.client().put(b"k", b"v")
            member.stop()
        each_millisecond([member], fresh)


def three(fresh):
    with_data = Cluster(3)
    if fresh:
        try:
            each_millisecond(with_data.members, fresh)
        finally:
            with_data.__exit__()
        return
    with with_data as cluster:
        for i in range(20):
            cluster[0].client().put(b"k%d" % i, b"v" * 1000)
        for member in cluster:
            member.stop()
        each_millisecond(cluster.members, fresh)


if __name__ == "__main__":
    run("one member, first start", one, True)
    run("one member, with data", one, False)
    run("three members, first start", three, True)
    run("three members, with data", three, False)
    finish()
