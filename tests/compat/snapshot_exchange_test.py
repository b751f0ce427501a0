#!/usr/bin/python3
"""Snapshots and directories change hands between quoin and etcd's own programs, both ways.

Needs Debian's etcd-client and etcd-server (3.4), and etcd 3.5 (tools/get-etcd) for HashKV after the way back.
"""
import os, shutil, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, Skip, equal, finish, run


def tool(name):
    path = shutil.which(name)
    if path is None:
        raise Skip("%s is not installed" % name)
    return path


def command(*arguments, **environment):
    env = dict({k: v for k, v in os.environ.items() if not k.startswith("ETCD")}, ETCDCTL_API="3", **environment)
    done = subprocess.run(arguments, capture_output=True, text=True, env=env, timeout=120)
    if done.returncode != 0:
        raise AssertionError("%s: exit %d\n%s%s" % (" ".join(arguments), done.returncode, done.stdout, done.stderr))
    return done.stdout


def fill(client, count=3000):
    import etcdapi
    rpc = etcdapi.rpc
    for i in range(count):
        client.put(b"key/%05d" % (i * 7919 % 1000), b"value %d " % i + b"x" * (i % 300))
        if i % 50 == 49:
            client.delete(b"key/%05d" % (i % 1000))
        if i % 70 == 69:
            client.txn(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=b"t/%d" % k, value=b"%d" % i)) for k in range(5)])
    client.put(b"big", b"B" * 300000)
    client.compact(1500, physical=True)
    client.put(b"after", b"compaction")


def contents(client):
    answer = client.range(b"\0", b"\0")
    return [(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version) for kv in answer.kvs]


def quoin_to_etcd():
    etcdctl, etcd = tool("etcdctl"), tool("etcd")
    with Member(members.quoin_binary()) as quoin:
        fill(quoin.client())
        want = contents(quoin.client())
        path = os.path.join(quoin.root, "snapshot.db")
        command(etcdctl, "--endpoints", quoin.endpoint, "snapshot", "save", path)
        status = command(etcdctl, "snapshot", "status", path)
        with Member(etcd, start=False) as other:
            peer = "http://127.0.0.1:%d" % other.peer_port
            command(etcdctl, "snapshot", "restore", path, "--name", other.name, "--data-dir", other.data_dir,
                    "--initial-cluster", "%s=%s" % (other.name, peer), "--initial-advertise-peer-urls", peer)
            other.start()
            equal(contents(other.client()), want, "keys in etcd after the restore (status: %s)" % status.strip())


def etcd_to_quoin():
    etcd = members.etcd_binary()
    if etcd is None:
        raise Skip("etcd 3.5 is not to be had here (tools/get-etcd)")
    utl = os.path.join(members.BIN, "quoinutl")
    with Member(etcd) as reference:
        client = reference.client()
        fill(client)
        path = os.path.join(reference.root, "snapshot.db")
        client.snapshot(path)
        want, want_hash = contents(client), client.hashkv()
    with Member(members.quoin_binary(), start=False) as quoin:
        peer = "http://127.0.0.1:%d" % quoin.peer_port
        command(utl, "snapshot", "restore", path, "--name", quoin.name, "--data-dir", quoin.data_dir,
                "--initial-cluster", "%s=%s" % (quoin.name, peer), "--initial-advertise-peer-urls", peer)
        quoin.start()
        equal(contents(quoin.client()), want, "keys in quoin after the restore")
        got = quoin.client().hashkv()
        equal((got.hash, got.compact_revision, got.header.revision),
              (want_hash.hash, want_hash.compact_revision, want_hash.header.revision), "HashKV")


def swap_in_place():
    """etcd 3.5's directory, served by quoin, then by etcd again."""
    etcd = members.etcd_binary()
    if etcd is None:
        raise Skip("etcd 3.5 is not to be had here (tools/get-etcd)")
    with Member(etcd) as member:
        fill(member.client())
        want = contents(member.client())
        member.stop()
        member.binary = members.quoin_binary()
        member.start()
        equal(contents(member.client()), want, "keys of etcd's directory served by quoin")
        member.client().put(b"written by", b"quoin")
        want, want_hash = contents(member.client()), member.client().hashkv().hash
        member.stop()
        member.binary = etcd
        member.start()
        equal(contents(member.client()), want, "keys of the directory back under etcd")
        equal(member.client().hashkv().hash, want_hash, "HashKV back under etcd")


if __name__ == "__main__":
    run("snapshot of quoin restored by etcdctl, served by etcd 3.4", quoin_to_etcd)
    run("snapshot of etcd 3.5 restored by quoinutl, served by quoin", etcd_to_quoin)
    run("etcd 3.5's directory served in place by quoin, and back", swap_in_place)
    finish()
