#!/usr/bin/python3
"""python3-etcd3 against quoin: put, get, prefix, range, transactions, delete, compaction, snapshot."""
import io, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, Skip, equal, finish, run


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


if __name__ == "__main__":
    with Member(members.quoin_binary()) as server:
        run("python3-etcd3: put, get, prefix, range, delete", basics, server)
        run("python3-etcd3: transactions", transactions, server)
        run("python3-etcd3: compaction, snapshot, status", upkeep, server)
    finish()
