#!/usr/bin/python3
"""What watchers are promised, against a model of the store, while members are killed, stopped and started and the past is
compacted: every event in order, once, those of a revision together, with the right previous values; watches that can be
resumed anywhere; no promise of progress that is not true.

  watch_guarantees_test.py [--events N] [--rounds N] [--rate N] [--seed S]

--events: at least so many different events happen, and at least --rounds members are lost; each of them is told to every
watcher that wants it, some of them again and again. --rate: transactions per second, 0 = as many as there can be.
"""
import argparse, json, random, subprocess, sys, threading, time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")
import members
from members import Cluster, finish, run

FLAGS = ["--snapshot-count", "5000", "--checkpoint-interval", "500ms", "--watch-progress-notify-interval", "200ms",
         "--max-request-bytes", "400000", "--quota-backend-bytes", str(8 << 30)]


class Checker:
    """watch_check, and what it says."""

    def __init__(self, endpoints, options):
        command = [members.BIN + "/watch_check", "--seed", str(options.seed), "--events", str(options.events), "--rate",
                   str(options.rate), "--keep", str(options.keep), *endpoints]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self.enough, self.last = threading.Event(), None
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.last = line.strip()
            if self.last == "enough":
                self.enough.set()
            elif "told" in self.last:
                print("  " + self.last, flush=True)

    def check_alive(self):
        if self.process.poll() is not None:
            raise AssertionError("watch_check ended with %d: %s" % (self.process.returncode, self.process.stderr.read()))

    def result(self):
        """Lets it end, and returns its figures."""
        self.process.stdin.close()
        if self.process.wait(180) != 0:
            raise AssertionError("watch_check ended with %d: %s" % (self.process.returncode, self.process.stderr.read()))
        self._reader.join()
        return json.loads(self.last)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()


def lose_one(cluster, r):
    """A member goes, by -9 or gracefully, and comes again."""
    kind = r.choice(["leader killed", "leader killed", "leader stopped", "follower killed"])
    member = cluster.leader() if kind.startswith("leader") else r.choice(cluster.followers())
    member.kill() if kind.endswith("killed") else member.stop()
    time.sleep(r.uniform(0, 1.5))  # how long it is away is part of the case
    member.start()
    return kind


def guarantees(options):
    print("seed %s" % options.seed, flush=True)
    r = random.Random(options.seed)
    kinds = {}
    with Cluster(3, flags=FLAGS) as cluster, Checker(cluster.endpoints, options) as checker:
        rounds = 0
        while rounds < options.rounds or not checker.enough.is_set():
            checker.enough.wait(r.uniform(0, options.pause))
            checker.check_alive()
            kind = lose_one(cluster, r)
            kinds[kind] = kinds.get(kind, 0) + 1
            rounds += 1
        result = checker.result()
        cluster.wait_equal()
    print("%s; %s" % (json.dumps(result), ", ".join("%d %s" % (n, kind) for kind, n in sorted(kinds.items()))), flush=True)
    for what in ("revisions", "acknowledged", "compactions", "fragments", "promises", "ended_by_compaction"):
        assert result[what] > 0, what
    assert result["events"] >= options.events, result
    assert result["streams_opened"] > 10, result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--keep", type=int, default=500, help="revisions that a compaction leaves, at most")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between losses, at most")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    run("watchers of %d events while members come and go" % arguments.events, guarantees, arguments)
    finish()
