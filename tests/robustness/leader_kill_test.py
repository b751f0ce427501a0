#!/usr/bin/python3
"""The leader of a loaded cluster is killed with -9, or stopped gracefully, again and again: nothing acknowledged is lost,
all members reach an equal HashKV, and the time without an acknowledged write stays short.

  leader_kill_test.py [--members N] [--rounds N] [--graceful] [--seed S]

The gaps are printed, not judged: on a loaded machine they say more about the machine. docs/reliability.md has those of a
quiet one.
"""
import argparse, random, sys, time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
from load import Load
from members import Cluster, finish, run

FLAGS = ["--snapshot-count", "2000", "--checkpoint-interval", "300ms"]


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def rounds(count, members, graceful, seed):
    print("seed %s, %d members, %d rounds" % (seed, members, count), flush=True)
    r = random.Random(seed)
    gaps = []
    with Cluster(members, flags=FLAGS) as cluster:
        load = Load(cluster.endpoints, seed, timeout=0.5)
        for number in range(count):
            leader = cluster.leader()
            load.start()
            load.wait_acknowledged(r.randrange(50, 300))
            if graceful:
                leader.stop()
            else:
                leader.kill()
            load.wait_acknowledged(50)
            leader.start()
            load.wait_acknowledged(50)
            load.stop()
            gaps.append(load.longest_gap())
            cluster.wait_equal()
            for member in cluster:
                load.check(member.endpoint)
            if sys.stdout.isatty() or number % 10 == 9 or number == count - 1:
                print("round %d: %d writes acknowledged, revision %d, gap p50 %.2f p99 %.2f max %.2f s" % (
                    number + 1, load.acknowledged, load.highest, quantile(gaps, 0.5), quantile(gaps, 0.99), max(gaps)),
                    flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--graceful", action="store_true", help="SIGTERM instead of SIGKILL")
    parser.add_argument("--seed", default=str(int(time.time())))
    arguments = parser.parse_args()
    run("leader %s under load, %d members, %d rounds" % (
        "stopped" if arguments.graceful else "killed", arguments.members, arguments.rounds),
        rounds, arguments.rounds, arguments.members, arguments.graceful, arguments.seed)
    finish()
