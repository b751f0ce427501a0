#!/usr/bin/python3
"""Clients that give up thousands of calls of every method, by reset, deadline and lost connections, also where a store over
its quota answers after an alarm: the member lives, answers others, and nothing goes on waiting."""
import os, random, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, equal, finish, run

CALLS = 100  # of each method in each way
SEED = 1


def requests(member_id):
    """path: (streams requests, streams answers, request)."""
    import etcdapi
    import election_pb2, lock_pb2
    rpc = etcdapi.rpc
    leader = election_pb2.LeaderKey(name=b"e", key=b"e/1", rev=1, lease=7)
    put = rpc.PutRequest(key=b"k", value=b"v" * 100)
    read = rpc.RangeRequest(key=b"k", range_end=b"l")
    kv, lease, maintenance, cluster = ("/etcdserverpb.%s/" % s for s in ("KV", "Lease", "Maintenance", "Cluster"))
    rows = {kv + "Range": read, kv + "Put": put, kv + "DeleteRange": rpc.DeleteRangeRequest(key=b"k"),
            kv + "Txn": rpc.TxnRequest(success=[rpc.RequestOp(request_put=put), rpc.RequestOp(request_range=read)]),
            kv + "Compact": rpc.CompactionRequest(revision=2),
            lease + "LeaseGrant": rpc.LeaseGrantRequest(TTL=1000), lease + "LeaseRevoke": rpc.LeaseRevokeRequest(ID=7),
            lease + "LeaseTimeToLive": rpc.LeaseTimeToLiveRequest(ID=8, keys=True),
            lease + "LeaseLeases": rpc.LeaseLeasesRequest(),
            maintenance + "Alarm": rpc.AlarmRequest(), maintenance + "Status": rpc.StatusRequest(),
            maintenance + "Defragment": rpc.DefragmentRequest(), maintenance + "Hash": rpc.HashRequest(),
            maintenance + "HashKV": rpc.HashKVRequest(), maintenance + "MoveLeader": rpc.MoveLeaderRequest(targetID=member_id),
            maintenance + "Downgrade": rpc.DowngradeRequest(action=2),
            cluster + "MemberList": rpc.MemberListRequest(linearizable=True),
            cluster + "MemberAdd": rpc.MemberAddRequest(peerURLs=["http://127.0.0.1:1"], isLearner=True),
            cluster + "MemberRemove": rpc.MemberRemoveRequest(ID=4711),
            cluster + "MemberUpdate": rpc.MemberUpdateRequest(ID=4711, peerURLs=["http://127.0.0.1:1"]),
            cluster + "MemberPromote": rpc.MemberPromoteRequest(ID=4711),
            "/v3lockpb.Lock/Lock": lock_pb2.LockRequest(name=b"l"),
            "/v3lockpb.Lock/Unlock": lock_pb2.UnlockRequest(key=b"l/1"),
            "/v3electionpb.Election/Campaign": election_pb2.CampaignRequest(name=b"e", value=b"v"),
            "/v3electionpb.Election/Proclaim": election_pb2.ProclaimRequest(leader=leader, value=b"w"),
            "/v3electionpb.Election/Leader": election_pb2.LeaderRequest(name=b"e"),
            "/v3electionpb.Election/Resign": election_pb2.ResignRequest(leader=leader),
            "/grpc.health.v1.Health/Check": None, "/grpc.health.v1.Health/List": None}
    calls = {path: (False, False, message) for path, message in rows.items()}
    calls[kv + "RangeStream"] = (False, True, read)
    calls[maintenance + "Snapshot"] = (False, True, rpc.SnapshotRequest())
    calls["/v3electionpb.Election/Observe"] = (False, True, election_pb2.LeaderRequest(name=b"e"))
    calls["/grpc.health.v1.Health/Watch"] = (False, True, None)
    calls["/etcdserverpb.Watch/Watch"] = (
        True, True, rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"k", range_end=b"l", start_revision=1)))
    calls[lease + "LeaseKeepAlive"] = (True, True, rpc.LeaseKeepAliveRequest(ID=8))
    return calls


class Clients:
    """Connections that calls are made on, and given up."""

    def __init__(self, member, seed):
        self.member, self.random = member, random.Random(seed)
        self.client = member.client()

    def begin(self, path, call, timeout=30):
        streams, answers, message = call
        body = message.SerializeToString() if message is not None else b""
        make = {(False, False): "unary_unary", (False, True): "unary_stream", (True, True): "stream_stream"}[streams, answers]
        method = getattr(self.client.channel, make)(path)
        if streams:
            return method(iter([body] * 3), timeout=timeout)
        return method(body, timeout=timeout) if answers else method.future(body, timeout=timeout)

    def reset(self, path, call, count):
        """Each is given up with others behind it, when some of those before it have gone."""
        open_calls = []
        for _ in range(count):
            open_calls.append(self.begin(path, call))
            if self.random.random() < 0.5:
                open_calls.pop(self.random.randrange(len(open_calls))).cancel()
        for one in open_calls:
            one.cancel()

    def time_out(self, path, call, count):
        for _ in range(count):
            self.begin(path, call, timeout=self.random.uniform(0.0001, 0.01))

    def lose(self, path, call, count):
        for _ in range(count):
            self.begin(path, call)
            if self.random.random() < 0.1:
                self.connect_anew()
        self.connect_anew()

    def connect_anew(self):
        self.client.channel.close()
        self.client = self.member.client()


def metric(member, name):
    import urllib.request
    with urllib.request.urlopen("http://%s/metrics" % member.endpoint, timeout=10) as page:
        return float(next(line for line in page.read().decode().splitlines() if line.startswith(name + " ")).split()[1])


def give_up(member, calls):
    clients = Clients(member, SEED)
    for path, call in calls.items():
        for way in (clients.reset, clients.time_out, clients.lose):
            way(path, call, CALLS)
            equal(member.process.poll(), None, "exit code of the server after %s" % path)
    client = member.client()
    equal(bool(client.status().leader), True)
    members.until(lambda: metric(member, "etcd_server_proposals_pending") == 0)


def every_method():
    print("seed %d" % SEED)
    with Member(members.quoin_binary()) as member:
        client = member.client()
        for i in range(2000):
            client.put(b"k%d" % i, b"v" * 200)
        calls = requests(client.status().header.member_id)
        give_up(member, calls)
        client.put(b"after", b"all")
        equal(client.range(b"after").kvs[0].value, b"all")


def full_store():
    with Member(members.quoin_binary(), ["--quota-backend-bytes", "1"]) as member:
        calls = requests(member.client().status().header.member_id)
        names = ("KV/Put", "KV/Txn", "Lease/LeaseGrant", "Lock/Lock", "Election/Campaign")
        give_up(member, {path: call for path, call in calls.items() if path.endswith(names)})


if __name__ == "__main__":
    run("every method", every_method)
    run("a store over its quota", full_store)
    finish()
