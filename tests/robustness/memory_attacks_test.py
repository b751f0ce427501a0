#!/usr/bin/python3
"""What clients can make a server hold: at most 64 MiB more for each attack, the process lives, another client goes on.

--judge: how much longer another client's Puts take meanwhile (p99, median of 5 pairs); by hand, on a quiet machine.
"""
import os, signal, statistics, subprocess, sys, threading, time, types

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import attacks
import members
from members import Member, equal, finish, run

GROWTH_MIB_MAX = 64
RATIO_MAX = 2.0

ATTACKS = {
    "5,000 unread Ranges on one connection": attacks.unread_ranges,
    "800 stalled Ranges of 20 MB": attacks.stalled_big_ranges,
    "200 sockets that are not read": attacks.unread_sockets,
    "bombs of headers": attacks.header_bombs,
    "100,000 silent calls": attacks.silent_calls,
    "1,000 requests without an end": attacks.half_requests,
    "40 Ranges of 20 MB sorted by value": attacks.sorted_ranges,
    "400 watches with keys of 1 MB": attacks.watched_keys,
}


class Filled(Member):
    def __enter__(self):
        self.other = self.client()
        attacks.fill(self.other)
        return self


class Watched:
    """The member's memory while the block runs: how far it grew, at its height."""

    def __init__(self, member):
        self._member, self._stop = member, threading.Event()
        self.before = self.most = attacks.anonymous_mib(member)
        self._thread = threading.Thread(target=self._look)

    def _look(self):
        while not self._stop.wait(0.05):  # a poll of another process
            self.look()

    def look(self):
        self.most = max(self.most, attacks.anonymous_mib(self._member))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def judge(self):
        equal(self._member.process.poll(), None, "exit code of the server")
        grown = self.most - self.before
        print("  %.0f MiB, at most %.0f: +%.0f" % (self.before, self.most, grown), flush=True)
        assert grown <= GROWTH_MIB_MAX, "the server grew by %.0f MiB" % grown


def goes_on(member):
    member.other.put(b"other", b"goes on")
    equal(member.other.range(b"other").kvs[0].value, b"goes on")


def bounded(attack):
    with Filled(members.quoin_binary()) as member:
        with Watched(member) as memory:
            for _ in attack(member):
                memory.look()
                goes_on(member)
        memory.judge()
        goes_on(member)


def watches():
    """What is written is kept anyway (10 MB, in the log, the cache, a checkpoint): so it is written once before."""
    with Filled(members.quoin_binary()) as member:
        for i in range(100):
            member.other.put(b"watched", b"%04d" % i + b"w" * 100_000)
        with Watched(member) as memory:
            for _ in attacks.unread_watches(member, member.other):
                memory.look()
                goes_on(member)
        memory.judge()


def stalled_disk(megabytes, value_bytes):
    disk = attacks.StallableDisk()
    with Filled(members.quoin_binary(), prefix=disk.prefix) as member:
        with Watched(member) as memory, disk.stall():
            for _ in attacks.puts_without_end(member, megabytes, value_bytes):
                memory.look()
        memory.judge()
        # The disk is back: what was taken is written, and there is room.
        members.until(lambda: member.other.put(b"other", b"goes on"), 60)


def silent_quorum():
    with members.Cluster(2) as cluster:
        member, silent = cluster.leader(), cluster.followers()[0]
        member.other = member.client()
        goes_on(member)
        with Watched(member) as memory:
            silent.process.send_signal(signal.SIGSTOP)
            try:
                for _ in attacks.waiting_ranges(member):
                    memory.look()
            finally:
                silent.process.send_signal(signal.SIGCONT)
        memory.judge()
        members.until(lambda: member.other.put(b"other", b"goes on"), 60)


def p99_ms(client, seconds):
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        client.put(b"judge", b"x" * 100)
        times.append(time.monotonic() - began)
    return sorted(times)[int(len(times) * 0.99)] * 1000


class Attacker:
    """A process of its own, so that it takes nothing from who measures but the machine; attacks again and again."""

    def __init__(self, name, member):
        address = [str(member.process.pid), member.host, str(member.client_port)]
        self._process = subprocess.Popen(["nice", sys.executable, __file__, "--attack", name] + address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()


def attack_for_ever(name, pid, host, port):
    process = types.SimpleNamespace(pid=int(pid))
    member = types.SimpleNamespace(process=process, host=host, client_port=int(port))
    while True:
        for _ in ATTACKS[name](member):
            pass


def judge():
    worst = 0.0
    for name in ATTACKS:
        ratios = []
        for _ in range(5):
            with Filled(members.quoin_binary()) as member:
                quiet = p99_ms(member.other, 3)
                with Attacker(name, member):
                    attacked = p99_ms(member.other, 5)
                equal(member.process.poll(), None, "exit code of the server")
                ratios.append(attacked / quiet)
        ratio = statistics.median(ratios)
        worst = max(worst, ratio)
        print("%-40s Put p99 %.2f times (%s)" % (name, ratio, " ".join("%.2f" % r for r in ratios)), flush=True)
    return 0 if worst <= RATIO_MAX else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["--judge"]:
        sys.exit(judge())
    if sys.argv[1:2] == ["--attack"]:
        attack_for_ever(*sys.argv[2:])
    for name, attack in ATTACKS.items():
        run(name, lambda attack=attack: bounded(attack))
    run("watches of clients that do not read", watches)
    run("linearizable Ranges while the quorum is silent", silent_quorum)
    run("a log disk that stalls, Puts of 100 kB", lambda: stalled_disk(300, 100_000))
    run("a log disk that stalls, Puts of 200 bytes", lambda: stalled_disk(20, 200))
    finish()
