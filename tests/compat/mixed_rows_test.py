#!/usr/bin/python3
"""Two members of quoin and one of etcd 3.5: what they apply stands in their data files alike, and what quoin does not know
how to apply ends it instead of making it differ."""
import os, re, subprocess, sys, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Cluster, Member, Skip, equal, etcd_binary, finish, quoin_binary, run, until
import grpc
from etcdapi import rpc
import auth_pb2

AUTH_LINE = re.compile(r"this version cannot go on: log entry (\d+): it switches auth on")


def mixed():
    if etcd_binary() is None:
        raise Skip("etcd 3.5 cannot be fetched")
    cluster = Cluster(3, binary=[quoin_binary(), quoin_binary(), etcd_binary()])
    for m in cluster.members[:2]:
        m.flags += ["--checkpoint-interval", "50ms"]
    return cluster


def etcdctl(member, *words):
    env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
    subprocess.run([os.path.join(os.path.dirname(etcd_binary()), "etcdctl"), "--endpoints", member.endpoint, *words],
                   check=True, capture_output=True, env=env, timeout=60)


def rows(member, *buckets):
    """The lines of `quoinutl dump --tree` that tell of these buckets' rows."""
    dump = subprocess.run([os.path.join(members.BIN, "quoinutl"), "dump", "--tree",
                           os.path.join(member.data_dir, "member", "snap", "db")],
                          check=True, capture_output=True, text=True, timeout=60).stdout
    found, inside = [], False
    for line in dump.splitlines():
        if line.startswith("bucket "):
            inside = line.split()[1].rstrip(":") in buckets
        elif inside:
            found.append(line)
    return found


def same(got, want, name):
    equal(len(got), len(want), name + ": rows")
    for ours, theirs in zip(got, want):
        equal(ours, theirs, name)


def log_of(member):
    with open(member.log, errors="replace") as log:
        return log.read()


def auth_ends_quoin():
    with mixed() as c:
        ours, etcd = c.members[:2], c[2]
        etcdctl(etcd, "user", "add", "root:secret")
        etcdctl(etcd, "role", "add", "root")
        etcdctl(etcd, "user", "grant-role", "root", "root")
        stop = threading.Event()

        def write():  # so that entries follow on the one that switches auth on
            client, n = etcd.client(), 0
            while not stop.is_set():
                try:
                    client.put(b"behind%d" % n, b"v", timeout=2)
                    n += 1
                except grpc.RpcError:
                    return
        writers = [threading.Thread(target=write) for _ in range(4)]
        for w in writers:
            w.start()
        try:
            subprocess.run([os.path.join(os.path.dirname(etcd_binary()), "etcdctl"), "--endpoints", etcd.endpoint, "auth",
                            "enable"], capture_output=True, timeout=60)  # its members may be gone before it answers
            for m in ours:
                equal(m.process.wait(30), 1)
        finally:
            stop.set()
            for w in writers:
                w.join()
        for m in ours:
            index = int(AUTH_LINE.search(log_of(m)).group(1))
            applied = [line for line in rows(m, "meta") if "consistent_index" in line]
            assert applied, "no consistent_index"
            assert all(int(number) < index for line in applied for number in re.findall(r"\b(\d+)$", line)), applied
            m.process = None
            # It stays so: the entry is in the log.
            m.start(wait=False)
            equal(m.process.wait(30), 1)
            equal(len(AUTH_LINE.findall(log_of(m))), 2)
            m.process = None


def auth_in_the_data_file():
    """A directory of etcd's in which auth is on is refused before anything is served."""
    if etcd_binary() is None:
        raise Skip("etcd 3.5 cannot be fetched")
    with Member(etcd_binary()) as etcd:
        etcdctl(etcd, "user", "add", "root:secret")
        etcdctl(etcd, "role", "add", "root")
        etcdctl(etcd, "user", "grant-role", "root", "root")
        etcdctl(etcd, "auth", "enable")
        etcd.stop()
        etcd.binary = quoin_binary()
        etcd.start(wait=False)
        assert etcd.process.wait(30) != 0
        etcd.process = None
        assert "has authentication enabled" in log_of(etcd) or AUTH_LINE.search(log_of(etcd)), etcd.log_tail()


def auth_in_a_snapshot():
    """A leader of etcd's sends a state in which auth is on: quoin ends instead of serving it."""
    if etcd_binary() is None:
        raise Skip("etcd 3.5 cannot be fetched")
    etcd = Member(etcd_binary(), flags=["--snapshot-count", "20", "--experimental-snapshot-catchup-entries", "5"])
    joining = Member(quoin_binary(), name="m1", start=False)
    with etcd, joining:
        etcdctl(etcd, "user", "add", "root:secret")
        etcdctl(etcd, "role", "add", "root")
        etcdctl(etcd, "user", "grant-role", "root", "root")
        for i in range(60):
            etcd.client().put(b"k%d" % i, b"v")
        etcdctl(etcd, "auth", "enable")
        root = ("--user", "root:secret")
        etcdctl(etcd, *root, "member", "add", "m1", "--learner", "--peer-urls", joining.peer_url)
        joining.initial_state = "existing"
        joining.initial_cluster = "m0=%s,m1=%s" % (etcd.peer_url, joining.peer_url)
        joining.start(wait=False)
        equal(joining.process.wait(60), 1)
        joining.process = None
        text = log_of(joining)
        assert "this version cannot go on: a leader's snapshot" in text and "authentication enabled" in text, text[-2000:]


def rows_are_equal():
    cluster = mixed()
    for m in cluster:
        m.flags += ["--election-timeout", "10000", "--heartbeat-interval", "500"]
    with cluster as c:
        etcd = c[2]
        client = etcd.client()

        def auth(method, request, response):
            client.call("Auth/" + method, request, response)

        def grant(key, end, kind):
            auth("RoleGrantPermission", rpc.AuthRoleGrantPermissionRequest(
                name="r", perm=auth_pb2.Permission(permType=kind, key=key, range_end=end)), rpc.AuthRoleGrantPermissionResponse)
        auth("RoleAdd", rpc.AuthRoleAddRequest(name="r"), rpc.AuthRoleAddResponse)
        auth("UserAdd", rpc.AuthUserAddRequest(name="u", password="p"), rpc.AuthUserAddResponse)
        auth("UserGrantRole", rpc.AuthUserGrantRoleRequest(user="u", role="r"), rpc.AuthUserGrantRoleResponse)
        for i in range(60):
            grant(b"k%d" % (i % 3), b"z%02d" % (i * 37 % 50), i % 3)
        for kind in range(2):  # both are appended, because another with this key comes first
            grant(b"k1", b"twice", kind)
        for end in (b"z37", b"twice"):
            auth("RoleRevokePermission", rpc.AuthRoleRevokePermissionRequest(role="r", key=b"k1", range_end=end),
                 rpc.AuthRoleRevokePermissionResponse)
        # TTLs below every member's minimum, which is long enough for what follows.
        for m in c:
            m.client().lease_grant(1)
        client.put(b"last", b"v")
        revision = client.range(b"last").header.revision
        until(lambda: len({m.client().hashkv(revision).hash for m in c}) == 1)
        for m in c:
            m.stop()
        buckets = ("auth", "authUsers", "authRoles", "lease", "alarm")
        want = rows(etcd, *buckets)
        assert len(want) >= 6, want
        for m in c.members[:2]:
            same(rows(m, *buckets), want, m.name)


def other_flags():
    """Members whose election timeouts and limits of learners differ."""
    cluster = Cluster(3)
    cluster[2].flags += ["--election-timeout", "45000", "--heartbeat-interval", "1000", "--max-learners", "2"]
    with cluster as c:
        for m in c:
            equal(m.client().lease_grant(60).TTL, 68 if m is c[2] else 60)
        c.lead(c[0])
        ours = c[0].client()
        until(lambda: ours.member_add("http://127.0.0.1:1", learner=True))
        try:
            ours.member_add("http://127.0.0.1:2", learner=True)
            raise AssertionError("a second learner where one is the limit")
        except grpc.RpcError as error:
            equal(error.details(), "etcdserver: too many learner members in cluster")
        c[2].client().member_add("http://127.0.0.1:3", learner=True)
        ours.put(b"last", b"v")
        revision = ours.range(b"last").header.revision
        until(lambda: len({m.client().hashkv(revision).hash for m in c}) == 1)
        for m in reversed(c.members):  # the leader, whose flags are the short ones, is the last
            m.stop()
        want = rows(c[0], "lease", "members")
        assert len(want) >= 8, want
        for m in c.members[1:]:
            same(rows(m, "lease", "members"), want, m.name)


run("auth that is switched on ends quoin", auth_ends_quoin)
run("a data file with auth on is not served", auth_in_the_data_file)
run("a snapshot with auth on ends quoin", auth_in_a_snapshot)
run("rows of users, roles and leases are equal", rows_are_equal)
run("members with other flags hold the same", other_flags)
finish()
