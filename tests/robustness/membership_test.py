#!/usr/bin/python3
"""A loaded cluster grows from one member to three and to five, and shrinks to three and to one: nothing acknowledged is
lost, all members of each size reach an equal HashKV, and writes go on through every change.

  membership_test.py [--rounds N] [--seed S]

New members come as learners and are promoted; of those that leave, every second one leads. The gaps are printed, not
judged: on a loaded machine they say more about the machine. docs/reliability.md has those of a quiet one.
"""
import argparse, random, sys, time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
from load import Load
from members import Cluster, equal, finish, run, until

FLAGS = ["--snapshot-count", "2000", "--checkpoint-interval", "300ms"]
SIZES = [3, 5, 3, 1]


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


class Trial:
    def __init__(self, cluster, load, r):
        self.cluster, self.load, self.r = cluster, load, r
        self.gaps = {"grows": [], "a follower leaves": [], "the leader leaves": []}

    def change(self, kind, step):
        """One change of the membership with writes before, during and after it."""
        self.load.wait_acknowledged(50)
        started = time.monotonic()
        step()
        self.load.wait_acknowledged(50)
        self.gaps[kind].append(self.load.gap_since(started))

    def grow(self):
        learner = self.cluster.join(flags=FLAGS, learner=True)
        until(lambda: self.cluster.leader().client().member_promote(learner.member_id))  # once it has caught up
        learner.wait_ready()
        self.load.endpoints = self.cluster.endpoints

    def shrink(self, gone):
        others = [m for m in self.cluster if m is not gone]
        self.load.endpoints = [m.endpoint for m in others]
        member_id = gone.client().status().header.member_id
        until(lambda: others[0].client().member_remove(member_id))
        equal(gone.process.wait(30), 0, "exit of the removed member")
        gone.process = None
        self.cluster.members.remove(gone)
        self.cluster.leader()

    def resize(self, size):
        while len(self.cluster.members) < size:
            self.change("grows", self.grow)
        while len(self.cluster.members) > size:
            leads = len(self.cluster.members) % 2 == 0
            gone = self.cluster.leader() if leads else self.r.choice(self.cluster.followers())
            self.change("the leader leaves" if leads else "a follower leaves", lambda: self.shrink(gone))
        self.check()

    def check(self):
        self.load.stop()
        self.cluster.wait_equal()
        for member in self.cluster:
            equal(len(member.client().member_list().members), len(self.cluster.members), "members")
            self.load.check(member.endpoint)
        self.load.start()

    def report(self):
        print("%d writes acknowledged, %d without an answer, revision %d; longest time without a write, s: %s" % (
            self.load.acknowledged, self.load.unanswered, self.load.highest, "; ".join(
                "%s p50 %.2f max %.2f (%d)" % (kind, quantile(gaps, 0.5), max(gaps), len(gaps))
                for kind, gaps in self.gaps.items())), flush=True)


def rounds(count, seed):
    print("seed %s, %d rounds" % (seed, count), flush=True)
    with Cluster(1, flags=FLAGS) as cluster:
        trial = Trial(cluster, Load(cluster.endpoints, seed, timeout=2.0), random.Random(seed))
        trial.load.start()
        for number in range(count):
            for size in SIZES:
                trial.resize(size)
            if sys.stdout.isatty() or number % 5 == 4 or number == count - 1:
                print("round %d: " % (number + 1), end="")
                trial.report()
        trial.load.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", default=str(int(time.time())))
    arguments = parser.parse_args()
    run("1, 3, 5, 3, 1 members under load, %d rounds" % arguments.rounds, rounds, arguments.rounds, arguments.seed)
    finish()
