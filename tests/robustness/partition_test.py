#!/usr/bin/python3
"""Split brain and its healing, with real processes on hosts whose links are cut: the minority refuses linearizable reads and
writes, the majority goes on, nothing acknowledged is lost, and after healing all members are equal.

  partition_test.py [--members N] [--rounds N] [--seed S]
"""
import argparse, random, sys, time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
import members
import netns
from members import Cluster, Skip, finish, run


def refused(call):
    """Whether the call ends without an answer."""
    import grpc
    try:
        call()
        return False
    except grpc.RpcError as error:
        return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Trial:
    """A loaded cluster, one cut, and what must hold on both sides of it."""

    def __init__(self, cluster, hosts, load):
        self.cluster, self.hosts, self.load = cluster, hosts, load

    def majority_goes_on(self, majority):
        leader = self.cluster.leader(among=majority)
        self.load.wait_acknowledged(100)
        for member in majority:
            client = member.client()
            client.put(b"majority/" + member.name.encode(), b"x", timeout=20)
            client.range(b"w", b"x", timeout=20)
            client.channel.close()
        return leader

    def minority_refuses(self, minority):
        for member in minority:
            client = member.client()
            if not refused(lambda: client.put(b"minority", b"never", timeout=4)):
                raise AssertionError("%s acknowledged a write without a quorum" % member.name)
            if not refused(lambda: client.range(b"w", b"x", timeout=4)):
                raise AssertionError("%s answered a linearizable read without a quorum" % member.name)
            client.range(b"w", b"x", timeout=10, serializable=True)
            client.channel.close()

    def heals(self):
        self.hosts.heal()
        for member in self.cluster:
            member.wait_ready(60)
        self.load.wait_acknowledged(50)
        self.load.stop()
        self.cluster.wait_equal()
        for member in self.cluster:
            self.load.check(member.endpoint)
        client = self.cluster[0].client()
        members.equal(client.range(b"minority").count in (0, 1), True)
        client.channel.close()

    def split(self, minority):
        self.load.start()
        self.load.wait_acknowledged(50)
        self.hosts.isolate([self.cluster.members.index(m) for m in minority])
        self.majority_goes_on([m for m in self.cluster if m not in minority])
        self.minority_refuses(minority)
        self.heals()


def leader_in_minority(trial, r):
    leader = trial.cluster.leader()
    size = (len(trial.cluster.members) - 1) // 2
    others = r.sample([m for m in trial.cluster if m is not leader], size - 1)
    trial.split([leader] + others)


def follower_in_minority(trial, r):
    trial.split(r.sample(trial.cluster.followers(), (len(trial.cluster.members) - 1) // 2))


def leader_cannot_send(trial, r):
    """What the leader sends is lost, what it hears arrives: another one must take over."""
    leader = trial.cluster.leader()
    trial.load.start()
    trial.load.wait_acknowledged(50)
    at = trial.cluster.members.index(leader)
    for other in range(len(trial.cluster.members)):
        if other != at:
            trial.hosts.cut(at, other)
    successor = trial.majority_goes_on([m for m in trial.cluster if m is not leader])
    members.equal(successor is leader, False, "the old leader leads")
    trial.minority_refuses([leader])
    trial.heals()


def leader_cannot_hear(trial, r):
    """What the others send to the leader is lost: it must step down by itself."""
    leader = trial.cluster.leader()
    trial.load.start()
    trial.load.wait_acknowledged(50)
    at = trial.cluster.members.index(leader)
    for other in range(len(trial.cluster.members)):
        if other != at:
            trial.hosts.cut(other, at)
    trial.majority_goes_on([m for m in trial.cluster if m is not leader])
    trial.minority_refuses([leader])
    trial.heals()


def one_link_cut(trial, r):
    """Two followers, or leader and follower, do not hear each other; a majority still can."""
    a, b = r.sample(range(len(trial.cluster.members)), 2)
    trial.load.start()
    trial.load.wait_acknowledged(50)
    trial.hosts.cut_both(a, b)
    trial.load.wait_acknowledged(200)
    trial.heals()


KINDS = [leader_in_minority, follower_in_minority, leader_cannot_send, leader_cannot_hear, one_link_cut]


def kinds(arguments):
    from load import Load
    r = random.Random(arguments.seed)
    with netns.Hosts(arguments.members) as hosts, Cluster(arguments.members, hosts=hosts) as cluster:
        trial = Trial(cluster, hosts, Load(cluster.endpoints, arguments.seed, timeout=1.0))
        for number in range(arguments.rounds):
            for kind in KINDS:
                print("round %d: %s" % (number + 1, kind.__name__), flush=True)
                kind(trial, r)


def main(arguments):
    try:
        netns.enter()
    except Skip as why:
        print("SKIPPED partitions: %s" % why)
        sys.exit(77)
    print("seed %s, %d members, %d rounds" % (arguments.seed, arguments.members, arguments.rounds), flush=True)
    run("partitions, %d members" % arguments.members, kinds, arguments)
    finish()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", default=str(int(time.time())))
    main(parser.parse_args())
