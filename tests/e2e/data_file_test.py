#!/usr/bin/python3
"""The data file from its first moment to its last: small and complete when it is new, no start stopped by what an
interrupted one left, space given back while clients write, hostile snapshot files refused."""
import hashlib, os, struct, subprocess, sys, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
import grpc
from members import Member, equal, finish, quoin_binary, run, until

QUOINUTL = os.path.join(members.BIN, "quoinutl")
QUOINCTL = os.path.join(members.BIN, "quoinctl")
BUCKETS = ["alarm", "auth", "authRoles", "authUsers", "cluster", "key", "lease", "members", "members_removed", "meta"]
PAGE = 1024  # of hostile files


def require(condition, what):
    if not condition:
        raise AssertionError(what)


def tool(*arguments, code=0):
    done = subprocess.run([QUOINUTL] + list(arguments), capture_output=True, text=True, timeout=120)
    equal(done.returncode, code, " ".join(arguments) + "\n" + done.stderr)
    return done.stdout + done.stderr


def db_of(member):
    return os.path.join(member.data_dir, "member", "snap", "db")


def a_new_store_is_small():
    with Member(quoin_binary(), ["--backend-batch-interval", "100ms"]) as m:
        require(until(lambda: m.client().status().dbSize <= 32 << 10), "dbSize %d" % m.client().status().dbSize)
        m.client().put(b"k", b"v")
        require(until(lambda: m.client().status().dbSize <= 40 << 10), "dbSize %d" % m.client().status().dbSize)


def a_new_file_has_all_buckets():
    with Member(quoin_binary(), ["--backend-batch-interval", "1m"]) as m:
        m.kill()  # before the first checkpoint
        text = tool("dump", "--tree", db_of(m))
        for bucket in BUCKETS:
            require(bucket in text, "no bucket %s in\n%s" % (bucket, text))


def a_leftover_stops_no_new_member():
    for leftover in [b"\0" * 4096, os.urandom(12288), b"x"]:
        m = Member(quoin_binary(), start=False)
        os.makedirs(os.path.dirname(db_of(m)), 0o700)
        with open(db_of(m), "wb") as f:
            f.write(leftover)
        with m:
            m.start()
            m.client().put(b"k", b"v")
            with open(db_of(m) + ".broken", "rb") as f:
                equal(f.read(), leftover)


def a_missing_file_is_made_again_or_named():
    with Member(quoin_binary(), ["--snapshot-count", "10"]) as m:
        for i in range(100):
            m.client().put(b"k%d" % i, b"v")
        snapshot = os.path.join(m.root, "copy.db")
        done = subprocess.run([QUOINCTL, "--endpoints", m.endpoint, "snapshot", "save", snapshot], capture_output=True)
        equal(done.returncode, 0, done.stderr)
        m.stop()
        os.remove(db_of(m))  # the log has every entry
        m.start()
        equal(m.client().range(b"k", b"l", count_only=True).count, 100)
    m = Member(quoin_binary(), start=False)
    tool("snapshot", "restore", snapshot, "--data-dir", m.data_dir, "--name", m.name, "--initial-cluster",
         "%s=%s" % (m.name, m.peer_url), "--initial-advertise-peer-urls", m.peer_url)
    os.remove(db_of(m))  # the log begins behind it
    with m:
        try:
            m.start()
        except RuntimeError:
            pass
        with open(m.log) as f:
            require("failed to find database snapshot file (snap: snapshot file doesn't exist)" in f.read(), m.log_tail())


def page(number, flags, elements):
    """A leaf or branch page: elements are (key, value) or (key, child)."""
    head = struct.pack("<QHHI", number, flags, len(elements), 0)
    table, data = b"", b""
    for i, (key, value) in enumerate(elements):
        position = (len(elements) - i) * 16 + len(data)
        if flags == 1:
            table, data = table + struct.pack("<IIQ", position, len(key), value), data + key
        else:
            table, data = table + struct.pack("<IIII", 1, position, len(key), len(value)), data + key + value
    return (head + table + data).ljust(PAGE, b"\0")


def fnv1a(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return h


def meta(number, high_water):
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, PAGE, 0, 3, 0, 2, high_water, number)
    return (struct.pack("<QHHI", number, 4, 0, 0) + body + struct.pack("<Q", fnv1a(body))).ljust(PAGE, b"\0")


def hostile_snapshot(path, leaves):
    """A snapshot file whose bucket `key` is a tree over leaves without elements."""
    pages, level = [None] * 4, []
    for i in range(leaves):
        level.append((struct.pack(">Q", i), len(pages)))
        pages.append(page(len(pages), 2, []))
    while len(level) > 1:
        above = []
        for at in range(0, len(level), 40):
            above.append((level[at][0], len(pages)))
            pages.append(page(len(pages), 1, level[at:at + 40]))
        level = above
    pages[2] = page(2, 16, [])
    pages[3] = page(3, 2, [(b"key", struct.pack("<QQ", level[0][1], 0))])
    pages[0], pages[1] = meta(0, len(pages)), meta(1, len(pages))
    content = b"".join(pages)
    with open(path, "wb") as f:
        f.write(content + hashlib.sha256(content).digest())


def empty_leaves_end_nothing():
    m = Member(quoin_binary(), start=False)
    path = os.path.join(m.root, "hostile")
    hostile_snapshot(path, 200000)
    for command in (["check", path], ["hashkv", path], ["snapshot", "status", path]):
        done = subprocess.run([QUOINUTL] + command, capture_output=True, timeout=120)
        require(done.returncode in (0, 1), "%s ended with %d" % (command, done.returncode))
    done = subprocess.run([QUOINUTL, "snapshot", "restore", path, "--data-dir", m.data_dir], capture_output=True,
                          timeout=120)
    require(done.returncode in (0, 1), "restore ended with %d" % done.returncode)
    if done.returncode == 0:  # then it is served; each look at the bucket passes over all leaves
        with m:
            m.start(wait=False)
            m.wait_ready(seconds=180)
            m.client().put(b"k", b"v", timeout=60)


def defragment(client, timeout):
    from etcdapi import rpc
    return client.call("Maintenance/Defragment", rpc.DefragmentRequest(), rpc.DefragmentResponse, timeout=timeout)


def put_all(client, pairs, at_once):
    """In transactions: one request for each would take most of the test's time."""
    from etcdapi import rpc
    for at in range(0, len(pairs), at_once):
        client.txn(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value))
                            for key, value in pairs[at:at + at_once]])


def store_with_holes(client):
    put_all(client, [(b"small%06d" % i, b"s" * 1000) for i in range(12000)], 100)
    put_all(client, [(b"big%04d" % i, b"b" * 100000) for i in range(200)], 10)
    for block in range(0, 12000, 80):
        client.delete(b"small%06d" % block, b"small%06d" % (block + 40))
    client.compact(client.put(b"last", b"l").header.revision, physical=True)


def defragment_ends_and_the_file_shrinks():
    with Member(quoin_binary()) as m:
        client = m.client()
        store_with_holes(client)
        before = client.status()
        writes, stop = [0], threading.Event()

        def write():
            while not stop.is_set():
                m_client.put(b"beside", b"w")
                writes[0] += 1

        m_client = m.client()
        writer = threading.Thread(target=write)
        writer.start()
        try:
            defragment(client, timeout=0.01)  # one that nobody waits for any more leaves room for the next
        except grpc.RpcError as error:
            equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        defragment(client, timeout=120)
        stop.set()
        writer.join()
        after = client.status()
        require(after.dbSize < before.dbSize * 0.9, "from %d to %d" % (before.dbSize, after.dbSize))
        require(after.dbSize < after.dbSizeInUse * 1.25 + (1 << 20), "%d for %d" % (after.dbSize, after.dbSizeInUse))
        require(writes[0] > 0, "nothing was written beside it")
        equal(client.range(b"small", b"smalm", count_only=True).count, 6000)
        m.stop()
        tool("check", m.data_dir)


run("a new store is small", a_new_store_is_small)
run("a new file has all of etcd's buckets", a_new_file_has_all_buckets)
run("what an interrupted start left stops no new member", a_leftover_stops_no_new_member)
run("a missing file is made again from the log, or named", a_missing_file_is_made_again_or_named)
run("many empty leaves end nothing", empty_leaves_end_nothing)
run("Defragment ends and the file shrinks", defragment_ends_and_the_file_shrinks)
finish()
