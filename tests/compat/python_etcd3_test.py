#!/usr/bin/python3
"""python3-etcd3 against quoin: put, get, prefix, range, transactions, delete, compaction, snapshot."""
import concurrent.futures, io, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Cluster, Member, Skip, equal, finish, run, until


def connect(member):
    try:
        import etcd3
    except ImportError:
        raise Skip("python3-etcd3 is not installed")
    return etcd3.client(host="127.0.0.1", port=member.client_port)


def basics(member):
    client = connect(member)
    client.put("foo", "bar")
    value, meta = client.get("foo")
    equal((value, meta.key, meta.version), (b"bar", b"foo", 1))
    for i in range(10):
        client.put("p/%d" % i, str(i))
    equal([(v, m.key) for v, m in client.get_prefix("p/")], [(b"%d" % i, b"p/%d" % i) for i in range(10)])
    equal([v for v, _ in client.get_prefix("p/", sort_order="descend", sort_target="value")],
          [b"%d" % i for i in reversed(range(10))])
    equal([m.key for _, m in client.get_range("p/3", "p/6")], [b"p/3", b"p/4", b"p/5"])
    equal(client.delete("p/0"), True)
    equal(client.delete("p/0"), False)
    equal(client.delete_prefix("p/").deleted, 9)
    equal(client.get("p/1")[0], None)


def transactions(member):
    client = connect(member)
    t = client.transactions
    client.put("n", "1")
    done, answers = client.transaction(compare=[t.value("n") == "1", t.version("n") > 0],
                                       success=[t.put("n", "2"), t.get("n")], failure=[t.put("n", "x")])
    equal((done, answers[1][0][0]), (True, b"2"))
    equal(client.transaction(compare=[t.value("n") == "1"], success=[], failure=[t.delete("n")])[0], False)
    equal(client.get("n")[0], None)
    equal(client.put_if_not_exists("once", "a"), True)
    equal(client.put_if_not_exists("once", "b"), False)
    equal(client.replace("once", "a", "c"), True)


def upkeep(member):
    client = connect(member)
    client.put("u", "1")
    client.compact(client.get("u")[1].mod_revision, physical=True)
    image = io.BytesIO()
    client.snapshot(image)
    assert image.tell() > 4096, image.tell()
    equal(client.status().version.split(".")[:2], ["3", "7"])
    equal([m.name for m in client.members], ["m0"])
    equal(list(client.list_alarms()), [])
    client.defragment()


def watches(member):
    client = connect(member)
    events, cancel = client.watch_prefix("w/")
    for i in range(3):
        client.put("w/%d" % i, str(i))
    client.delete("w/1")
    seen = [next(events) for _ in range(4)]
    equal([(type(e).__name__, e.key, e.value) for e in seen],
          [("PutEvent", b"w/%d" % i, b"%d" % i) for i in range(3)] + [("DeleteEvent", b"w/1", b"")])
    cancel()
    again, cancel = client.watch_prefix("w/", start_revision=seen[0].mod_revision)
    equal([next(again).mod_revision for _ in range(4)], [e.mod_revision for e in seen], "events of the past")
    cancel()


def many_big_values_at_once(member):
    """gRPC clients take 4 MiB in one message unless told otherwise: no burst of writes may end a watch."""
    client = connect(member)
    events, cancel = client.watch("big")
    writers = 32

    def write(n):
        connect(member).put("big", b"%02d" % n + b"x" * 400000)

    with concurrent.futures.ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    seen = [next(events) for _ in range(writers)]
    revisions = [e.mod_revision for e in seen]
    equal(revisions, list(range(revisions[0], revisions[0] + writers)), "all, in order, once")
    equal(sorted(e.value[:2] for e in seen), [b"%02d" % n for n in range(writers)])
    cancel()
    again, cancel = client.watch("big", start_revision=revisions[0])
    equal([next(again).mod_revision for _ in range(writers)], revisions, "from the past")
    cancel()


def leases(member):
    client = connect(member)
    lease = client.lease(60)
    client.put("leased", "x", lease=lease)
    equal(lease.granted_ttl, 60)
    assert 0 < lease.remaining_ttl <= 60, lease.remaining_ttl
    equal(list(lease.keys), [b"leased"])
    equal([r.TTL for r in lease.refresh()], [60])
    equal([r.TTL for r in client.refresh_lease(lease.id)], [60])
    info = client.get_lease_info(lease.id)
    equal((info.ID, info.grantedTTL, list(info.keys)), (lease.id, 60, [b"leased"]))
    client.put("leased", "y")  # on no lease any more
    equal(list(lease.keys), [])
    client.put("leased", "x", lease=lease)
    lease.revoke()
    equal(client.get("leased")[0], None)
    equal([r.TTL for r in lease.refresh()], [0])
    equal(client.get_lease_info(lease.id).TTL, -1)
    equal(client.lease(60, lease_id=4711 + member.client_port).id, 4711 + member.client_port)
    client.revoke_lease(4711 + member.client_port)
    short = client.lease(2)
    gone, cancel = client.watch("short")
    client.put("short", "x", lease=short)
    equal([type(next(gone)).__name__ for _ in range(2)], ["PutEvent", "DeleteEvent"], "expiry")
    cancel()


def locks(member):
    client, other = connect(member), connect(member)
    with client.lock("l", ttl=60) as lock:
        assert lock.is_acquired()
        equal(other.lock("l", ttl=60).acquire(timeout=0), False)
    with other.lock("l", ttl=60) as lock:
        assert lock.is_acquired()
        equal([r.TTL for r in lock.refresh()], [60])
    short = client.lock("l", ttl=2)
    assert short.acquire()
    lock = other.lock("l", ttl=60)
    until(lambda: lock.acquire(timeout=0))  # once the lease of the first has ended
    equal(short.is_acquired(), False)
    assert lock.release()


def several_members():
    with Cluster(3) as cluster:
        for member in cluster:
            for part in (watches, leases, locks):
                part(member)


if __name__ == "__main__":
    with Member(members.quoin_binary()) as server:
        run("python3-etcd3: put, get, prefix, range, delete", basics, server)
        run("python3-etcd3: transactions", transactions, server)
        run("python3-etcd3: compaction, snapshot, status", upkeep, server)
        run("python3-etcd3: watch", watches, server)
        run("python3-etcd3: watch while many big values are written", many_big_values_at_once, server)
        run("python3-etcd3: leases", leases, server)
        run("python3-etcd3: locks", locks, server)
    run("python3-etcd3: watch, leases, locks on each of three members", several_members)
    finish()
