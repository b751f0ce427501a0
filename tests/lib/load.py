"""Random writes to one or several members, and the proof afterwards that nothing acknowledged was lost.

Each writer owns its keys and remembers, per key, the newest acknowledged revision and every value whose outcome it never
learned. A request without an answer may have happened, may not, and may still happen: it is never sent again as it was.
"""
import random, threading, time

import etcdapi, grpc

VALUE_PADDING = [0, 10, 500]


class _Key:
    def __init__(self):
        self.revision, self.value = 0, None  # of the newest acknowledged write; None = absent
        self.unknown = []                    # values sent without an answer; None = a delete


class Load:
    def __init__(self, endpoints, seed, writers=8, keys=200, timeout=5.0):
        """endpoints may be replaced at any time. timeout: seconds that one request may take before the writer gives up on
        it and asks the next endpoint."""
        self.endpoints, self.seed, self.writers, self.timeout = list(endpoints), seed, writers, timeout
        self.keys_per_writer = max(1, keys // writers)
        self.highest, self.acknowledged, self.unanswered, self._runs = 0, 0, 0, 0
        self._keys = [{} for _ in range(writers)]
        self._threads, self._stop, self._lock = [], threading.Event(), threading.Lock()
        self._times = []  # when writes were acknowledged, since the last start

    def start(self):
        self._stop.clear()
        self._times = []
        self._runs += 1
        self._threads = [threading.Thread(target=self._write, args=(w,), daemon=True) for w in range(self.writers)]
        for t in self._threads:
            t.start()

    def stop(self):
        self._stop.set()
        for t in self._threads:
            t.join()

    def longest_gap(self):
        """Seconds of the longest time without any acknowledged write since start()."""
        times = sorted(self._times)
        return max((b - a for a, b in zip(times, times[1:])), default=float("inf"))

    def gap_since(self, moment):
        """Seconds of the longest time without any acknowledged write between `moment` and now."""
        times = [moment] + sorted(t for t in list(self._times) if t >= moment) + [time.monotonic()]
        return max(b - a for a, b in zip(times, times[1:]))

    def acknowledged_since(self, moment):
        return sum(1 for t in list(self._times) if t >= moment)

    def wait_acknowledged(self, count, seconds=30):
        """Returns once `count` further writes were acknowledged."""
        moment, deadline = time.monotonic(), time.monotonic() + seconds
        while self.acknowledged_since(moment) < count:
            if time.monotonic() > deadline:
                raise AssertionError("%d of %d writes acknowledged within %d s" % (
                    self.acknowledged_since(moment), count, seconds))
            self._stop.wait(0.005)

    def _write(self, writer):
        r = random.Random("%s/%d/%d" % (self.seed, self._runs, writer))
        clients, at, count = {}, writer, 0
        while not self._stop.is_set():
            endpoints = self.endpoints
            endpoint = endpoints[at % len(endpoints)]
            if endpoint not in clients:
                clients[endpoint] = etcdapi.Client(endpoint)
            name = b"w%d-%d" % (writer, r.randrange(self.keys_per_writer))
            value = None
            if r.random() >= 0.1:
                value = b"%d.%d.%d" % (self._runs, writer, count) + b"x" * r.choice(VALUE_PADDING)
            count += 1
            key = self._keys[writer].setdefault(name, _Key())
            try:
                revision = self._send(clients[endpoint], name, value, r.random() < 0.2)
            except grpc.RpcError:
                key.unknown.append(value)
                at += 1
                with self._lock:
                    self.unanswered += 1
                self._stop.wait(0.001)
                continue
            key.revision, key.value = revision, value
            with self._lock:
                self._times.append(time.monotonic())
                self.acknowledged += 1
                self.highest = max(self.highest, revision)
        for client in clients.values():
            client.channel.close()

    def _send(self, client, key, value, in_txn):
        if value is None:
            return client.delete(key, timeout=self.timeout).header.revision
        if in_txn:
            op = etcdapi.rpc.RequestOp(request_put=etcdapi.rpc.PutRequest(key=key, value=value))
            return client.txn(success=[op], timeout=self.timeout).header.revision
        return client.put(key, value, timeout=self.timeout).header.revision

    def check(self, endpoint):
        """Asks one member, linearizably, for everything."""
        client = etcdapi.Client(endpoint)
        answer = client.range(b"w", b"x", timeout=30)
        client.channel.close()
        if answer.header.revision < self.highest:
            raise AssertionError("revision went back: %d after %d was acknowledged" % (answer.header.revision, self.highest))
        self.highest = answer.header.revision
        found = {kv.key: kv for kv in answer.kvs}
        for keys in self._keys:
            for name, key in keys.items():
                self._check_key(name, key, found.get(name))

    def _check_key(self, name, key, kv):
        if kv is None:
            fine = key.value is None or None in key.unknown
        elif kv.mod_revision == key.revision:
            fine = kv.value == key.value
        else:
            fine = kv.mod_revision > key.revision and kv.value in key.unknown
        if not fine:
            raise AssertionError("key %r: acknowledged %r at revision %d, found %r at %s, %d unknown outcomes" % (
                name, key.value, key.revision, kv and kv.value, kv and kv.mod_revision, len(key.unknown)))
