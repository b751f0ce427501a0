"""What clients can do to a server's memory, one function each, on a real process. Each yields once the attack stands; what
runs in between sees it at its height.

    with filled(member):
        for _ in unread_ranges(member): ...
"""
import contextlib, os, subprocess, tempfile, time

import rawhttp2 as raw
from members import HERE

RANGE, PUT, WATCH = "/etcdserverpb.KV/Range", "/etcdserverpb.KV/Put", "/etcdserverpb.Watch/Watch"
MIDDLE, BIG = b"middle/", b"big/"


def anonymous_mib(member):
    with open("/proc/%d/smaps_rollup" % member.process.pid) as f:
        return int(next(line for line in f if line.startswith("Anonymous:")).split()[1]) / 1024


def fill(client):
    """A key of 200 kB under middle/, 20 MB under big/; read once, so that what a cache keeps is there."""
    client.put(MIDDLE + b"0", b"m" * 200_000)
    for i in range(200):
        client.put(BIG + b"%03d" % i, b"b" * 100_000)
    client.range(MIDDLE + b"0")
    client.range(BIG, BIG[:-1] + b"0", timeout=60)


def _range(key, end=b""):
    import etcdapi
    return etcdapi.rpc.RangeRequest(key=key, range_end=end).SerializeToString()


def _settled(member, connections):
    """Returns once all that was sent has been read, or refused, and the server's memory changes no more."""
    for connection in connections:
        connection.ping(60)
    steady, last = 0, 0
    while steady < 8:
        for connection in connections:
            connection.pump()
        time.sleep(0.25)  # a poll of another process: it does not say when it has done what it will do
        now = anonymous_mib(member)
        steady, last = (steady + 1 if abs(now - last) < 1 else 0), now


def unread_ranges(member):
    """5,000 Ranges of 200 kB on one connection that gives no window: 1 GB."""
    with raw.Raw(member, window=0) as c:
        for _ in range(5000):
            c.request(RANGE, _range(MIDDLE + b"0"))
        _settled(member, [c])
        yield


def stalled_big_ranges(member):
    """800 Ranges of 20 MB on 8 connections that give no window."""
    with contextlib.ExitStack() as stack:
        all = [stack.enter_context(raw.Raw(member, window=0)) for _ in range(8)]
        for c in all:
            for _ in range(100):
                c.request(RANGE, _range(BIG, BIG[:-1] + b"0"))
        _settled(member, all)
        yield


def unread_sockets(member):
    """200 connections with all the window there is, that do not read what comes."""
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            c = stack.enter_context(raw.Raw(member, window=(1 << 31) - 1))
            c.send(raw.frame(raw.WINDOW_UPDATE, 0, 0, ((1 << 31) - 1 - 65535).to_bytes(4, "big")))
            c.request(RANGE, _range(BIG, BIG[:-1] + b"0"))
        _settled(member, [])
        yield


def _bomb(value, stream):
    """147,537 bytes of headers; each byte behind the first field stands for that field."""
    first = raw.head(PUT) + raw.indexed(b"a", value)
    out = raw.frame(raw.HEADERS, 0, stream, first + b"\xbe" * (16384 - len(first)))
    for i in range(8):
        out += raw.frame(raw.CONTINUATION, raw.END_HEADERS if i == 7 else 0, stream, b"\xbe" * 16384)
    return out


def header_bombs(member):
    """20 connections with two bombs of 4 kB a byte, 20 with bombs of 40 streams and empty values."""
    with contextlib.ExitStack() as stack:
        for value, streams in [(b"v" * 4000, 2), (b"", 40)] * 20:
            c = stack.enter_context(raw.Raw(member, window=0))
            c.send(b"".join(_bomb(value, 2 * i + 1) for i in range(streams)))
            assert c.read_to_end(), "the server keeps the connection"
            assert c.goaway == raw.ENHANCE_YOUR_CALM, c.goaway
        yield


def silent_calls(member):
    """100,000 open Puts without a body on 10 connections."""
    with contextlib.ExitStack() as stack:
        all = [stack.enter_context(raw.Raw(member)) for _ in range(10)]
        for c in all:
            for _ in range(100):
                c.send(b"".join(raw.frame(raw.HEADERS, raw.END_HEADERS, c.next_stream + 2 * i, raw.head(PUT))
                                for i in range(100)))
                c.next_stream += 200
        _settled(member, all)
        yield


def half_requests(member):
    """1,000 Puts of 1 MB each, all but its last bytes, on 100 connections."""
    with contextlib.ExitStack() as stack:
        all = [stack.enter_context(raw.Raw(member)) for _ in range(100)]
        part = b"x" * 1_000_000
        for c in all:
            for _ in range(10):
                stream, c.next_stream = c.next_stream, c.next_stream + 2
                data = raw.message(part + b"last")[:len(part)]
                while c.may_send < len(data) and c.pump(1):
                    pass
                if c.may_send < len(data) or c.goaway is not None:
                    break
                c.may_send -= len(data)
                c.send(raw.frame(raw.HEADERS, raw.END_HEADERS, stream, raw.head(PUT)) +
                       b"".join(raw.frame(raw.DATA, 0, stream, data[at:at + 16384]) for at in range(0, len(data), 16384)))
        _settled(member, all)
        yield


def unread_watches(member, client):
    """50 streams of 100 watches each on a key that changes, on 5 connections that give no window."""
    import etcdapi
    with contextlib.ExitStack() as stack:
        all = [stack.enter_context(raw.Raw(member, window=0)) for _ in range(5)]
        create = etcdapi.rpc.WatchRequest(
            create_request=etcdapi.rpc.WatchCreateRequest(key=b"watched")).SerializeToString()
        for c in all:
            for _ in range(10):
                stream = c.next_stream
                c.request(WATCH, create, end=False)
                c.send(raw.frame(raw.DATA, 0, stream, raw.message(create) * 99))
        _settled(member, all)
        for i in range(100):
            client.put(b"watched", b"%04d" % i + b"w" * 100_000)
        _settled(member, all)
        yield


def sorted_ranges(member):
    """40 Ranges of 20 MB in the order of their values, on 8 connections that give no window."""
    import etcdapi
    by_value = etcdapi.rpc.RangeRequest(key=BIG, range_end=BIG[:-1] + b"0",
                                        sort_target=etcdapi.rpc.RangeRequest.VALUE).SerializeToString()
    with contextlib.ExitStack() as stack:
        all = [stack.enter_context(raw.Raw(member, window=0)) for _ in range(8)]
        for c in all:
            for _ in range(5):
                c.request(RANGE, by_value)
        _settled(member, all)
        yield


def watched_keys(member):
    """400 watches with keys of 1 MB, on 8 connections."""
    import etcdapi
    with contextlib.ExitStack() as stack:
        all = [stack.enter_context(raw.Raw(member)) for _ in range(8)]
        for i in range(400):
            create = etcdapi.rpc.WatchCreateRequest(key=b"%04d" % i + b"k" * 1_000_000)
            all[i % len(all)].request(WATCH, etcdapi.rpc.WatchRequest(create_request=create).SerializeToString(), end=False)
        _settled(member, all)
        yield


def waiting_ranges(member):
    """1,000 linearizable Ranges with keys of 1 MB, on 20 connections: for a member that hears nothing of the others."""
    with contextlib.ExitStack() as stack:
        all = [stack.enter_context(raw.Raw(member)) for _ in range(20)]
        for i in range(1000):
            all[i % len(all)].request(RANGE, _range(b"%04d" % i + b"k" * 1_000_000))
        yield


class StallableDisk:
    """Runs a member so that the syncs of its files, or of those named `file`, wait while `stall` says so."""

    def __init__(self, file=None):
        self._folder = tempfile.TemporaryDirectory(prefix="quoin-stall-")
        library = os.path.join(self._folder.name, "stalled_disk.so")
        subprocess.run(["c++", "-shared", "-fPIC", "-O1", "-o", library, os.path.join(HERE, "stalled_disk.cc")],
                       check=True)
        self._flag = os.path.join(self._folder.name, "stalled")
        self.prefix = ["env", "LD_PRELOAD=" + library, "QUOIN_STALL=" + self._flag]
        if file is not None:
            self.prefix.append("QUOIN_STALL_FILE=" + file)

    @contextlib.contextmanager
    def stall(self):
        open(self._flag, "w").close()
        try:
            yield
        finally:
            os.unlink(self._flag)


def puts_without_end(member, megabytes, value_bytes):
    """Puts whose answers are not waited for, on 20 connections; refused or not."""
    import etcdapi
    put = etcdapi.rpc.PutRequest(key=b"flood", value=b"p" * value_bytes).SerializeToString()
    with contextlib.ExitStack() as stack:
        all = [stack.enter_context(raw.Raw(member)) for _ in range(20)]
        for i in range(megabytes * 1_000_000 // value_bytes):
            c = all[i % len(all)]
            c.request(PUT, put)
            c.pump()
        yield
