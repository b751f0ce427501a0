#!/usr/bin/python3
"""Random load, kill -9 at a random moment, again and again on one directory: nothing acknowledged is lost, the revision
never goes back, and quoinutl finds the directory sound.

  kill9_test.py [--rounds N] [--seed S]
"""
import argparse, os, random, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, finish, run

WRITERS, KEYS = 8, 200


class Load:
    """Writers that remember, per key, the last acknowledged value and those whose outcome is unknown."""

    def __init__(self, member, seed):
        import etcdapi, grpc
        self.api, self.grpc, self.member = etcdapi, grpc, member
        self.acknowledged = {}    # key -> (mod_revision, value or None)
        self.unknown = {}         # key -> values sent after it without an answer (None = a delete)
        self.highest = 0
        self.seed, self.number, self.stop = seed, 0, threading.Event()
        self.acknowledged_count = 0

    def run_until_killed(self, seconds):
        self.stop.clear()
        threads = [threading.Thread(target=self._write, args=(w,)) for w in range(WRITERS)]
        for t in threads:
            t.start()
        time.sleep(seconds)  # the random moment
        self.member.kill()
        self.stop.set()
        for t in threads:
            t.join()
        self.number += 1

    def _write(self, writer):
        r = random.Random("%s/%d/%d" % (self.seed, self.number, writer))
        client = self.member.client()
        count = 0
        while not self.stop.is_set():
            key = b"w%d-%d" % (writer, r.randrange(KEYS // WRITERS))  # each writer owns its keys
            value = None if r.random() < 0.1 else b"%d.%d.%d" % (self.number, writer, count) + b"x" * r.choice([0, 10, 500])
            count += 1
            try:
                if value is None:
                    answer = client.delete(key)
                elif r.random() < 0.2:
                    op = self.api.rpc.RequestOp(request_put=self.api.rpc.PutRequest(key=key, value=value))
                    answer = client.txn(success=[op])
                else:
                    answer = client.put(key, value, timeout=5)
            except self.grpc.RpcError:
                self.unknown.setdefault(key, []).append(value)
                if self.stop.wait(0.001):
                    return
                continue
            self.acknowledged[key] = (answer.header.revision, value)
            self.unknown.pop(key, None)
            self.highest = max(self.highest, answer.header.revision)
            self.acknowledged_count += 1

    def check(self):
        answer = self.member.client().range(b"w", b"x", timeout=30)
        if answer.header.revision < self.highest:
            raise AssertionError("revision went back: %d after %d was acknowledged" % (answer.header.revision, self.highest))
        self.highest = answer.header.revision
        found = {kv.key: kv.value for kv in answer.kvs}
        for key, (revision, value) in self.acknowledged.items():
            possible = [value] + self.unknown.get(key, [])
            if found.get(key) not in possible:
                raise AssertionError("key %r: acknowledged %r at revision %d, found %r, unknown outcomes %r" %
                                     (key, value, revision, found.get(key), self.unknown.get(key)))
        # What survived of the unknown is known from now on.
        for key in self.unknown:
            self.acknowledged[key] = (answer.header.revision, found.get(key))
        self.unknown.clear()


def check_directory(member):
    tool = os.path.join(members.BIN, "quoinutl")
    done = subprocess.run([tool, "check", member.data_dir], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError("quoinutl check: %s%s" % (done.stdout, done.stderr))


def rounds(count, seed):
    print("seed %s, %d rounds" % (seed, count), flush=True)
    r = random.Random(seed)
    with Member(members.quoin_binary(), flags=["--snapshot-count", "2000", "--checkpoint-interval", "300ms"]) as member:
        load = Load(member, seed)
        for number in range(count):
            load.run_until_killed(r.uniform(0.05, 1.0))
            check_directory(member)
            member.start()
            load.check()
            if sys.stdout.isatty() or number % 20 == 19:
                print("round %d: %d writes acknowledged, revision %d" % (number + 1, load.acknowledged_count, load.highest),
                      flush=True)
        if load.acknowledged_count < count:
            raise AssertionError("only %d writes in %d rounds: this proved nothing" % (load.acknowledged_count, count))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", default=str(int(time.time())))
    arguments = parser.parse_args()
    run("kill -9 under load, %d rounds" % arguments.rounds, rounds, arguments.rounds, arguments.seed)
    finish()
