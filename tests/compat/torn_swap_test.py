#!/usr/bin/python3
"""The way back after a torn write: the power fails while quoin writes its log, etcd 3.5 repairs the log in its own way and
goes on, and the directory comes back to quoin. Everything that etcd acknowledged is there."""
import os, shutil, signal, struct, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from members import Member, Skip, equal, etcd_binary, finish, quoin_binary, run, until

SECTOR = 512
CRC_RECORD = 4
# Nothing that etcd or quoin writes reaches the data file before the process is killed: the log alone has it.
LATE = ["--backend-batch-interval", "1m"]
FAST = ["--heartbeat-interval", "20", "--election-timeout", "100"]


def last_segment(data_dir):
    folder = os.path.join(data_dir, "member", "wal")
    return os.path.join(folder, sorted(name for name in os.listdir(folder) if name.endswith(".wal"))[-1])


def frames(content):
    """(offset, end, record type, whether it is a mark) of each frame."""
    at = 0
    while at + 8 <= len(content):
        field, = struct.unpack_from("<Q", content, at)
        if field == 0:
            return
        length, top = field & (1 << 56) - 1, field >> 56
        end = at + 8 + length + (top & 7 if top & 0x80 else 0)
        kind = content[at + 9]
        yield at, end, kind, kind == CRC_RECORD and length > 20
        at = end


def last_write(content):
    """Where the last write's mark begins, and where the frames of the write begin and end."""
    all_frames = list(frames(content))
    mark = max(i for i, frame in enumerate(all_frames) if frame[3] and i + 1 < len(all_frames))
    return all_frames[mark][0], [frame[0] for frame in all_frames[mark + 1:]], all_frames[-1][1]


class Home:
    """A directory that etcd made, with acknowledged keys, and one large transaction's write of quoin's at its end."""

    def __init__(self, etcd):
        self.member = Member(etcd, FAST)
        self.member.client().put(b"first", b"etcd")
        self.member.stop()
        self.member.binary, self.member.flags = quoin_binary(), FAST + LATE
        self.member.start()
        for i in range(5):
            self.member.client().put(b"before%d" % i, b"v" * 50)
        self.member.client().put(b"torn", os.urandom(1800))  # the write that the power failure will have torn
        self.member.kill()
        self.image = os.path.join(self.member.root, "image")
        shutil.copytree(self.member.data_dir, self.image)
        with open(last_segment(self.image), "rb") as f:
            self.content = f.read()

    def torn_at(self, sectors, begin, end):
        """The image, with these sectors of the last write not on the disk."""
        shutil.rmtree(self.member.data_dir)
        shutil.copytree(self.image, self.member.data_dir)
        content = bytearray(self.content)
        for sector in sectors:
            low, high = max(begin, sector * SECTOR), min(end, (sector + 1) * SECTOR)
            content[low:high] = bytes(high - low)
        with open(last_segment(self.member.data_dir), "r+b") as f:
            f.write(content)


def etcd_goes_on(home, etcd, puts, end):
    home.member.binary, home.member.flags = etcd, FAST + LATE
    home.member.start()
    for i in range(puts):
        home.member.client().put(b"etcd%d" % i, b"acknowledged %d" % i)
    home.member.stop(end)


def quoin_has_all(home, puts):
    home.member.binary, home.member.flags = quoin_binary(), FAST + LATE
    home.member.start()
    client = home.member.client()
    for i in range(5):
        equal(client.range(b"before%d" % i).kvs[0].value, b"v" * 50)
    for i in range(puts):
        equal([kv.value for kv in client.range(b"etcd%d" % i).kvs], [b"acknowledged %d" % i])
    client.put(b"on", b"quoin")
    home.member.kill()
    home.member.start()
    equal(home.member.client().range(b"on").kvs[0].value, b"quoin")
    home.member.stop()


def way_back(end):
    etcd = etcd_binary()
    if etcd is None:
        raise Skip("etcd 3.5 cannot be fetched")
    home = Home(etcd)
    begin, records, stop = last_write(home.content)
    first, last = begin // SECTOR, (stop - 1) // SECTOR
    tears = [[sector] for sector in range(first, last + 1)] + [list(range(first + 1, last + 1))]
    for i, sectors in enumerate(tears):
        home.torn_at(sectors, begin, stop)
        puts = 1 + 7 * (i % 2)  # within the extent of the mark, and beyond it
        etcd_goes_on(home, etcd, puts, end)
        quoin_has_all(home, puts)


run("etcd stops", way_back, signal.SIGTERM)
run("etcd is killed", way_back, signal.SIGKILL)
finish()
