#!/usr/bin/python3
"""A member that hangs takes no client down: stopped processes, listeners that say nothing, connections that swallow everything,
with one member and three; quoinctl is the client."""
import os, re, select, signal, socket, sys, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from ctl import Command, ctl
from members import Cluster, Member, equal, finish, quoin_binary, run, until


class Silence:
    """A port that takes connections and never says a word."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self._listener.getsockname()[1]
        return self

    def __exit__(self, *_):
        self._listener.close()


class Link:
    """A way to a member on which connections can be made to swallow everything; later ones work."""

    def __init__(self, member):
        self._target = ("127.0.0.1", member.client_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._pairs, self._lock = [], threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self):
        """What goes through the connections of now is lost from now on; they stay open."""
        with self._lock:
            for pair in self._pairs:
                pair["swallows"] = True

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            pair = {"swallows": False, "ends": (client, socket.create_connection(self._target))}
            with self._lock:
                self._pairs.append(pair)
            threading.Thread(target=self._carry, args=(pair,), daemon=True).start()

    def _carry(self, pair):
        a, b = pair["ends"]
        try:
            while True:
                for source in select.select([a, b], [], [])[0]:
                    data = source.recv(65536)
                    if not pair["swallows"]:
                        if not data:
                            raise OSError
                        (b if source is a else a).sendall(data)
                    elif not data:
                        raise OSError
        except OSError:
            a.close()
            b.close()


class Stopped:
    """A member whose process hangs."""

    def __init__(self, member):
        self._process = member.process

    def __enter__(self):
        self._process.send_signal(signal.SIGSTOP)

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGCONT)


def revision(endpoint):
    return int(re.search(r'"revision":(\d+)', ctl(endpoint, "get", "x", "-w", "json")[1]).group(1))


def good(got, want, what=""):
    equal((got[0], got[1]), (0, want), "%s %s" % (what, got[2]))


def commands_over_three(cluster):
    """Reads and writes go past the hung one, a write once."""
    for hung in (cluster.followers()[0], cluster.leader()):
        others = [m for m in cluster if m is not hung]
        endpoints = ",".join([hung.endpoint] + [m.endpoint for m in others])
        with Stopped(hung):
            cluster.leader(among=others)
            before = revision(others[0].endpoint)
            good(ctl(endpoints, "put", "k", "v"), "OK\n")
            good(ctl(endpoints, "get", "k"), "k\nv\n")
            good(ctl(endpoints, "del", "k"), "1\n")
            equal(len(ctl(endpoints, "member", "list")[1].splitlines()), 3)
            equal(revision(others[1].endpoint), before + 2)
        hung.wait_ready()


def renewals(endpoint, lease):
    """Waits until the lease has been renewed twice from now on."""
    seen = []

    def renewed():
        code, out, err = ctl(endpoint, "lease", "timetolive", lease)
        equal(code, 0, err)
        left = re.search(r"remaining\((-?\d+)s\)", out)
        assert left, "the lease is gone: %s" % out
        seen.append(int(left.group(1)))
        return sum(b > a for a, b in zip(seen, seen[1:])) >= 2
    until(renewed, 60)


def sessions_and_watches_over_three(cluster):
    """A lock is kept, its lease renewed elsewhere; a watch goes on elsewhere and misses nothing."""
    hung = cluster.followers()[0]
    others = [m for m in cluster if m is not hung]
    endpoints = ",".join([hung.endpoint] + [m.endpoint for m in others])
    holder = Command(endpoints, "lock", "l", "--ttl", "6")
    lease = holder.line().split("/")[1]
    watch = Command(endpoints, "watch", "w", "--rev", "1")
    good(ctl(endpoints, "put", "w", "1"), "OK\n")
    equal([watch.line() for _ in range(3)], ["PUT", "w", "1"])
    with Stopped(hung):
        good(ctl(endpoints, "put", "w", "2"), "OK\n")
        renewals(others[0].endpoint, lease)
        equal([watch.line() for _ in range(3)], ["PUT", "w", "2"])
    hung.wait_ready()
    equal(holder.end(signal.SIGTERM)[0], 0)
    watch.end(signal.SIGTERM)


def nobody_there(member):
    """A silent port alone: the command's own timeout ends it, and says what was met."""
    with Silence() as silence:
        code, out, err = ctl(silence.endpoint, "get", "k", "--dial-timeout", "500ms", "--command-timeout", "3s")
        equal((code, out), (1, ""))
        equal(err, "Error: context deadline exceeded\n")
        endpoints = "%s,%s" % (silence.endpoint, member.endpoint)
        before = revision(member.endpoint)
        good(ctl(endpoints, "put", "k", "v"), "OK\n")
        equal(revision(member.endpoint), before + 1)


def a_short_stop(member):
    """A single member that hangs for a moment: the command waits and is answered."""
    good(ctl(member.endpoint, "put", "k", "v"), "OK\n")
    with Stopped(member):
        waiting = Command(member.endpoint, "get", "k", "--print-value-only")
        files = "/proc/%d/fd/" % waiting.process.pid
        until(lambda: any(os.readlink(files + f).startswith("socket:") for f in os.listdir(files)))
    good(waiting.end(), "v\n")


def connections_that_swallow(member):
    """One member behind a way whose connections are lost: lock and watch make new ones in time."""
    link = Link(member)
    holder = Command(link.endpoint, "lock", "s", "--ttl", "6")
    lease = holder.line().split("/")[1]
    watch = Command(link.endpoint, "watch", "w", "--rev", "1")
    good(ctl(member.endpoint, "put", "w", "1"), "OK\n")
    equal([watch.line() for _ in range(3)], ["PUT", "w", "1"])
    link.swallow()
    renewals(member.endpoint, lease)
    good(ctl(member.endpoint, "put", "w", "2"), "OK\n")
    equal([watch.line() for _ in range(3)], ["PUT", "w", "2"])
    equal(holder.end(signal.SIGTERM)[0], 0)
    watch.end(signal.SIGTERM)


with Member(quoin_binary()) as alone:
    run("a port that says nothing", nobody_there, alone)
    run("a member that hangs for a moment", a_short_stop, alone)
    run("connections that swallow everything", connections_that_swallow, alone)
with Cluster(3) as three:
    run("commands over three members of which one hangs", commands_over_three, three)
    run("sessions and watches over three members of which one hangs", sessions_and_watches_over_three, three)
finish()
