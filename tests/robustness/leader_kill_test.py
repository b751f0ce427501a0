#!/usr/bin/python3
"""The leader of a loaded cluster is killed with -9, or stopped gracefully, again and again: nothing acknowledged is lost,
all members reach an equal HashKV, and the time without an acknowledged write stays short.

  leader_kill_test.py [--members N] [--rounds N] [--graceful] [--seed S] [--record FILE]

A long run can be made in pieces: each adds its gaps to FILE and prints what all in it come to. The gaps are printed, not judged: on a loaded machine they say more about the machine. docs/reliability.md has those of a
quiet one.
"""
import argparse, json, os, random, sys, time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
from load import Load
from members import Cluster, finish, run

FLAGS = ["--snapshot-count", "2000", "--checkpoint-interval", "300ms"]


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def describe(gaps):
    return "gap p50 %.2f p99 %.2f max %.2f s" % (quantile(gaps, 0.5), quantile(gaps, 0.99), max(gaps))


def record(path, members, graceful, gaps):
    """Adds these to the file, and prints what all of this kind in it come to."""
    with open(path, "a") as f:
        f.write(json.dumps({"members": members, "graceful": graceful, "gaps": [round(g, 3) for g in gaps]}) + "\n")
    with open(path) as f:
        pieces = [p for p in map(json.loads, f) if (p["members"], p["graceful"]) == (members, graceful)]
    whole = [gap for piece in pieces for gap in piece["gaps"]]
    print("%d rounds in %s: %s" % (len(whole), os.path.basename(path), describe(whole)), flush=True)


def rounds(count, members, graceful, seed, path):
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
                print("round %d: %d writes acknowledged, revision %d, %s" % (
                    number + 1, load.acknowledged, load.highest, describe(gaps)), flush=True)
    if path:
        record(path, members, graceful, gaps)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--graceful", action="store_true", help="SIGTERM instead of SIGKILL")
    parser.add_argument("--record", help="a file of gaps, one line a run")
    parser.add_argument("--seed", default=str(int(time.time())))
    arguments = parser.parse_args()
    run("leader %s under load, %d members, %d rounds" % (
        "stopped" if arguments.graceful else "killed", arguments.members, arguments.rounds),
        rounds, arguments.rounds, arguments.members, arguments.graceful, arguments.seed,
        arguments.record)
    finish()
