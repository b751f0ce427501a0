#!/usr/bin/python3
"""A follower that lost its directory, and one that was away while the log was cut, catch up by a snapshot while small
writes go on at half of the highest rate: it is told how long that took and how the rate of writes was before and meanwhile.

  catch_up.py [--mib N] [--rounds N] [--seconds S] [--judge]

The rates are printed and judged only with --judge (at least 90 % of the rate before): on a loaded machine they say more
about the machine.
"""
import argparse, json, os, statistics, subprocess, sys, threading, time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
import members
from members import Cluster, equal, finish, run, until

VALUE_BYTES = 32768
BEHIND_MAX = 2000  # entries behind the leader at which a member counts as caught up; writes go on meanwhile


def loadgen(endpoint, *options):
    return [os.path.join(members.BIN, "loadgen"), "--json", "--connections", "8", "--streams", "8", "--warmup", "0", *options,
            endpoint]


def highest_rate(endpoint, seconds):
    done = subprocess.run(loadgen(endpoint, "--mode", "put", "--keys", "1000", "--duration", str(seconds)),
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["put"]["per_second"]


class SmallWrites:
    """Paced writes to one member, and how its revision grew."""

    def __init__(self, member, rate):
        self.client, self._stop, self._samples = member.client(), threading.Event(), []
        self._thread = threading.Thread(target=self._sample)
        self._command = loadgen(member.endpoint, "--mode", "put", "--keys", "1000", "--rate", str(rate), "--duration", "100000")

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        self._thread.start()
        return self

    def _sample(self):
        while not self._stop.wait(0.1):
            self._samples.append((time.monotonic(), self.client.status().header.revision))

    def rate(self, start, end):
        """Writes per second between two moments, and in the slowest second of them."""
        taken = [s for s in self._samples if start <= s[0] <= end]
        pieces = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(taken, taken[10:])]
        whole = (taken[-1][1] - taken[0][1]) / (taken[-1][0] - taken[0][0])
        return whole, min(pieces, default=whole)

    def __exit__(self, *_):
        ended = self._process.poll()
        self._process.terminate()
        self._process.wait()
        self._stop.set()
        self._thread.join()
        equal(ended, None, "exit of the load before it was stopped")


def fill(cluster, mib):
    client = cluster.leader().endpoint
    subprocess.run(loadgen(client, "--mode", "fill", "--keys", str(mib * (1 << 20) // VALUE_BYTES), "--value", str(VALUE_BYTES)),
                   stdout=subprocess.DEVNULL, check=True)


def snapshots(member):
    with open(member.log) as log:
        return log.read().count("saved snapshot")


def wiped(cluster, follower):
    """Its directory is gone: it is removed, and a new member takes its place."""
    until(lambda: snapshots(cluster.leader()) > 0, 120)  # the log does not begin at its beginning any more
    member_id = follower.client().status().header.member_id
    follower.kill()
    cluster.members.remove(follower)
    until(lambda: cluster.leader().client().member_remove(member_id))
    return cluster.join(flags=follower.flags, learner=True)


def far_behind(cluster, follower):
    """What it has not got is in nobody's log any more."""
    leader = cluster.leader()
    follower.kill()
    cut = leader.client().status().raftAppliedIndex
    before = snapshots(leader)
    until(lambda: leader.client().status().raftAppliedIndex > cut + 20000, 120)
    until(lambda: snapshots(leader) > before + 1, 120)
    follower.start(wait=False)
    return follower


def catch_up(cluster, leader, member):
    """Seconds from now until it has what the leader has."""
    started = time.monotonic()

    def there():
        status = member.client().status()
        return status.raftAppliedIndex and status.raftAppliedIndex + BEHIND_MAX > leader.client().status().raftAppliedIndex

    until(there, 120)
    return started, time.monotonic()


def one_round(cluster, arguments, lose):
    leader = cluster.leader()
    rate = highest_rate(leader.endpoint, arguments.seconds)
    with SmallWrites(leader, rate / 2) as writes:
        time.sleep(1)  # the load comes up to its rate
        start = time.monotonic()
        time.sleep(arguments.seconds)  # what is measured
        before, _ = writes.rate(start, time.monotonic())
        member = lose(cluster, cluster.followers()[0])
        start, end = catch_up(cluster, leader, member)
        meanwhile, slowest = writes.rate(start, max(end, start + 2))
    if not member.client().status().isLearner:
        member.wait_ready()
    else:
        until(lambda: leader.client().member_promote(member.member_id))
        member.wait_ready()
    assert "installed snapshot from leader" in open(member.log).read(), "it did not need a snapshot"
    equal(cluster.leader(), leader, "leader")
    cluster.wait_equal()
    size = leader.client().status().dbSizeInUse >> 20
    print("%s: %d MiB in use, caught up in %.1f s; highest rate %.0f writes/s, half of it %.0f before, %.0f meanwhile (%.0f %%), "
          "slowest second %.0f" % (lose.__name__, size, end - start, rate, before, meanwhile, 100 * meanwhile / before, slowest),
          flush=True)
    return meanwhile / before


def rounds(arguments):
    with Cluster(3, flags=["--snapshot-count", "5000", "--snapshot-catchup-entries", "500"]) as cluster:
        fill(cluster, arguments.mib)
        for lose in (wiped, far_behind):
            shares = [one_round(cluster, arguments, lose) for _ in range(arguments.rounds)]
            print("%s: median of %d rounds %.0f %% of the rate before" % (lose.__name__, len(shares), 100 * statistics.median(shares)))
            if arguments.judge and statistics.median(shares) < 0.9:
                raise AssertionError("writes were slowed down by a member that caught up")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--judge", action="store_true")
    arguments = parser.parse_args()
    run("%d MiB by snapshot while writes go on" % arguments.mib, rounds, arguments)
    finish()
