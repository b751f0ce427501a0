#!/usr/bin/env python3
"""Members that are named by names: one that takes seconds to look up holds nobody up; members that meet at unix sockets."""
import os, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from members import Cluster, HERE, Member, equal, finish, quoin_binary, run


class Elsewhere(Member):
    """A member that listens at one peer URL and is known by another."""

    def __init__(self, name, url, listen=None, environment=(), cwd=None):
        super().__init__(quoin_binary(), name=name, start=False,
                         prefix=["env"] + (["-C", cwd] if cwd else []) + list(environment))
        self.url, self.listen = url.replace("PORT", str(self.peer_port)), listen

    def arguments(self):
        flags = super().arguments()
        flags[flags.index("--initial-advertise-peer-urls") + 1] = self.url
        flags[flags.index("--listen-peer-urls") + 1] = self.listen or self.peer_url
        return flags


class Elsewheres(Cluster):
    def __init__(self, members):
        self.members, self._named = members, len(members)
        for m in members:
            m.initial_cluster = ",".join("%s=%s" % (x.name, x.url) for x in members)
        for m in members:
            m.start(wait=False)
        for m in members:
            m.wait_ready()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for m in self.members:
            m.__exit__()


def a_slow_name_stops_no_heartbeat():
    """A dead follower whose name takes five seconds to look up: the others go on, under the same leader."""
    directory = tempfile.mkdtemp(prefix="quoin-names-")
    library = os.path.join(directory, "slow_names.so")
    subprocess.run(["c++", "-shared", "-fPIC", "-o", library, os.path.join(HERE, "slow_names.cc"), "-ldl"], check=True)
    environment = ["LD_PRELOAD=" + library, "SLOW_NAMES=" + directory]
    members = [Elsewhere("m%d" % i, "http://m%d.slow.test:PORT" % i, environment=environment) for i in range(3)]
    with Elsewheres(members) as c:
        dead = c.followers()[0]
        slow = os.path.join(directory, dead.name + ".slow.test")
        open(slow, "w").close()
        dead.kill()
        leader = c.leader()
        client = leader.client()
        before, writes = client.status(), 0
        while os.path.getsize(slow) < 4:  # look-ups that have come to their end
            client.put(b"k", b"%d" % writes)
            writes += 1
        after = client.status()
        equal((after.leader, after.raftTerm), (before.leader, before.raftTerm), "after %d writes" % writes)
        os.remove(slow)
        dead.start()
        c.wait_equal()
    shutil.rmtree(directory)


def members_meet_at_unix_sockets():
    """Both forms: a path, and etcd's host:port that names a file in the working directory."""
    directory = tempfile.mkdtemp(prefix="quoin-unix-")
    urls = ["unix://" + os.path.join(directory, "a.sock"), "unix://localhost:1", "unix://" + os.path.join(directory, "c.sock")]
    with Elsewheres([Elsewhere("m%d" % i, url, listen=url, cwd=directory) for i, url in enumerate(urls)]) as c:
        leader = c.leader()
        leader.client().put(b"k", b"v")
        c.wait_equal()
        leader.kill()
        new = c.leader()
        equal([kv.value for kv in new.client().range(b"k").kvs], [b"v"], "after the leader's end")
        leader.start()
        c.wait_equal()
        for m in c.members:
            m.stop()
    equal(os.listdir(directory), [], "sockets that are left behind")
    shutil.rmtree(directory)


run("a slow name stops no heartbeat", a_slow_name_stops_no_heartbeat)
run("members meet at unix sockets", members_meet_at_unix_sockets)
finish()
