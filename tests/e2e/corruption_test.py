#!/usr/bin/python3
"""One of three members has a damaged value on its disk: each of the checks finds it, the CORRUPT alarm names the member and
stops writes, and is taken back once the value is mended."""
import http.client, json, os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Cluster, equal, finish, run, until
from damage import CORRUPT, DAMAGED, VALUE, alarms, damage, mend, rewrite
import grpc
from etcdapi import rpc


def times_said(member, text):
    with open(member.log, errors="replace") as log:
        return log.read().count(text)


def page(host, port, path, method="GET", body=None, headers={}):
    connection = http.client.HTTPConnection(host, port, timeout=10)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.read().decode(), dict(response.getheaders())


def refused(call):
    try:
        call()
    except grpc.RpcError as error:
        equal((error.code(), error.details()), (grpc.StatusCode.DATA_LOSS, "etcdserver: corrupt cluster"))
        return
    raise AssertionError("not refused")


def filled(c, before=30):
    client = c[0].client()
    for i in range(before):
        client.put(b"k%02d" % i, b"v")
    client.put(b"damaged", VALUE)
    return client.put(b"last", b"v").header.revision


def nothing_is_written(c):
    client = c.leader().client()
    refused(lambda: client.put(b"k", b"v"))
    refused(lambda: client.delete(b"k00"))
    refused(lambda: client.txn(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=b"k", value=b"v"))]))
    refused(lambda: client.compact(3))
    refused(lambda: client.lease_grant(60))
    equal(client.range(b"k00").count, 1)
    for m in c:
        until(lambda: page(m.host, m.client_port, "/health")[:2] == (503, '{"health":"false","reason":"ALARM CORRUPT"}\n'))
        status, text, _ = page(m.host, m.client_port, "/readyz")
        equal((status, text[-2:]), (503, "\n\n"), "/readyz")  # etcd ends the text of an error with an empty line
        equal(page(m.host, m.client_port, "/health?exclude=CORRUPT")[0], 200)


def writing_goes_on(c):
    env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
    done = subprocess.run([os.path.join(members.BIN, "quoinctl"), "--endpoints", c.leader().endpoint, "alarm", "disarm"],
                          capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0 and "alarm:CORRUPT" in done.stdout, done
    equal(alarms(c[0].client()), [])
    c[0].client().put(b"k", b"v")
    c.wait_equal()


def periodically():
    with Cluster(3, flags=["--corrupt-check-time=300ms"]) as c:
        filled(c)
        until(lambda: times_said(c.leader(), "finished peer corruption check") > 0)
        equal(alarms(c[0].client()), [])
        victim = c.followers()[0]
        member_id = victim.client().status().header.member_id
        damage(victim)
        equal(victim.client().range(b"damaged", serializable=True).kvs[0].value, DAMAGED)
        equal(until(lambda: alarms(c.leader().client())), [(member_id, CORRUPT)])
        nothing_is_written(c)
        mend(victim)
        equal(alarms(c[0].client()), [(member_id, CORRUPT)])
        writing_goes_on(c)


def compactions(choose_victim):
    with Cluster(3, flags=["--feature-gates=CompactHashCheck=true", "--compact-hash-check-time=300ms"]) as c:
        filled(c)
        c[0].client().compact(10)
        until(lambda: times_said(c.leader(), "finished compaction hash check") > 0)
        equal(alarms(c[0].client()), [])
        victim = choose_victim(c)
        member_id = victim.client().status().header.member_id
        damage(victim)
        if choose_victim is Cluster.leader:
            c.lead(victim)
        revision = c[0].client().put(b"after", b"v").header.revision
        c[0].client().compact(revision)
        equal(until(lambda: alarms(c.leader().client())), [(member_id, CORRUPT)])
        nothing_is_written(c)
        mend(victim)
        writing_goes_on(c)


def before_serving():
    with Cluster(3, flags=["--feature-gates=InitialCorruptCheck=true"]) as c:
        filled(c)
        victim = c.followers()[0]
        member_id = "%x" % victim.client().status().header.member_id
        victim.stop()
        rewrite(victim, VALUE, DAMAGED)
        victim.start(wait=False)
        equal(victim.process.wait(30), 1, "exit code")
        victim.process = None
        assert member_id + " found data inconsistency with peers" in victim.log_tail(), victim.log_tail()
        c.leader().client().put(b"without it", b"v")
        rewrite(victim, DAMAGED, VALUE)
        victim.start()
        assert times_said(victim, "initial corruption checking passed") > 0, victim.log_tail()
        c.wait_equal()
        # Alone it has nobody to compare with, and starts.
        for m in c:
            m.stop()
        for m in c:
            m.start(wait=False)
        for m in c:
            m.wait_ready()


def the_page():
    with Cluster(1) as c:
        m, client = c[0], c[0].client()
        revision = filled(c)
        client.compact(10)
        want = client.hashkv(revision)
        cluster_id = "%x" % client.status().header.cluster_id
        status, body, headers = page(m.host, m.peer_port, "/members/hashkv", body='{"revision":%d}' % revision)
        equal((status, headers["Content-Type"], headers["X-Etcd-Cluster-Id"]), (200, "application/json", cluster_id))
        equal(body, '{"header":{"revision":%d},"hash":%d,"compact_revision":10,"hash_revision":%d}'
              % (revision, want.hash, revision))
        equal(json.loads(page(m.host, m.peer_port, "/members/hashkv", body="{}",
                              headers={"X-Etcd-Cluster-ID": cluster_id})[1])["hash_revision"], revision)
        for body, status, text in (
                ('{"revision":%d}' % (revision + 1), 400, "mvcc: required revision is a future revision"),
                ('{"revision":9}', 400, "mvcc: required revision has been compacted"),
                ("", 400, "error unmarshalling request"), ("x", 400, "error unmarshalling request")):
            got = page(m.host, m.peer_port, "/members/hashkv", body=body)
            assert got[0] == status and text in got[1] and "X-Etcd-Cluster-Id" not in got[2], (body, got)
        got = page(m.host, m.peer_port, "/members/hashkv", body="{}", headers={"X-Etcd-Cluster-ID": "1"})
        equal(got[:2], (412, "cluster ID mismatch\n"))
        equal(page(m.host, m.peer_port, "/members/hashkv", method="POST", body="{}")[0], 405)


run("/members/hashkv", the_page)
run("a follower's damage, periodically", periodically)
run("a follower's damage, by the hashes of compactions", compactions, lambda c: c.followers()[0])
run("the leader's damage, by the hashes of compactions", compactions, Cluster.leader)
run("a member's own damage, before it serves", before_serving)
finish()
