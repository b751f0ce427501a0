#!/usr/bin/python3
"""Random load, kill -9 at a random moment, again and again on one directory: nothing acknowledged is lost, the revision
never goes back, and quoinutl finds the directory sound.

  kill9_test.py [--rounds N] [--seed S]
"""
import argparse, os, random, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from load import Load
from members import Member, finish, run


def check_directory(member):
    tool = os.path.join(members.BIN, "quoinutl")
    done = subprocess.run([tool, "check", member.data_dir], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError("quoinutl check: %s%s" % (done.stdout, done.stderr))


def rounds(count, seed):
    print("seed %s, %d rounds" % (seed, count), flush=True)
    r = random.Random(seed)
    with Member(members.quoin_binary(), flags=["--snapshot-count", "2000", "--checkpoint-interval", "300ms"]) as member:
        load = Load([member.endpoint], seed)
        for number in range(count):
            load.start()
            time.sleep(r.uniform(0.05, 1.0))  # the random moment
            member.kill()
            load.stop()
            check_directory(member)
            member.start()
            load.check(member.endpoint)
            if sys.stdout.isatty() or number % 20 == 19:
                print("round %d: %d writes acknowledged, revision %d" % (number + 1, load.acknowledged, load.highest),
                      flush=True)
        if load.acknowledged < count:
            raise AssertionError("only %d writes in %d rounds: this proved nothing" % (load.acknowledged, count))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", default=str(int(time.time())))
    arguments = parser.parse_args()
    run("kill -9 under load, %d rounds" % arguments.rounds, rounds, arguments.rounds, arguments.seed)
    finish()
