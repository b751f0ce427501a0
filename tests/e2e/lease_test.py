#!/usr/bin/python3
"""Leases as clients may misuse them: ids that are unknown or given twice, times that make no sense, keepalives without end
from clients that never read an answer."""
import os, queue, sys, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, equal, finish, run, until

STREAM_MIB_MAX = 8  # what one of them may cost the server


def anonymous_mib(process):
    with open("/proc/%d/smaps_rollup" % process.pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Anonymous:")) / 1024


class KeepAlive:
    """One keepalive stream; what is put into `ask` is sent, None ends it."""

    def __init__(self, client):
        from etcdapi import rpc
        self.rpc, self.ask = rpc, queue.Queue()
        call = client.channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive",
                                            request_serializer=lambda m: m.SerializeToString(),
                                            response_deserializer=rpc.LeaseKeepAliveResponse.FromString)
        self.answers = call((rpc.LeaseKeepAliveRequest(ID=i) for i in iter(self.ask.get, None)), timeout=60)

    def renew(self, lease):
        self.ask.put(lease)
        answer = next(self.answers)
        equal(answer.ID, lease)
        return answer.TTL


def grant(client, ttl, lease=0):
    from etcdapi import rpc
    return client.call("Lease/LeaseGrant", rpc.LeaseGrantRequest(TTL=ttl, ID=lease), rpc.LeaseGrantResponse)


def times(client, lease):
    from etcdapi import rpc
    return client.call("Lease/LeaseTimeToLive", rpc.LeaseTimeToLiveRequest(ID=lease, keys=True), rpc.LeaseTimeToLiveResponse)


def refused(call, code, text):
    import grpc
    try:
        call()
    except grpc.RpcError as error:
        equal((error.code().name, error.details()), (code, text))
    else:
        raise AssertionError("not refused: %s" % text)


def strange_times(member):
    client = member.client()
    equal([grant(client, ttl).TTL for ttl in (0, -1, -(1 << 63), 1, 3, 9000000000)], [2, 2, 2, 2, 3, 9000000000])
    for ttl in (9000000001, (1 << 63) - 1):
        refused(lambda: grant(client, ttl), "OUT_OF_RANGE", "etcdserver: too large lease TTL")
    longest = grant(client, 9000000000)
    equal(KeepAlive(client).renew(longest.ID), 9000000000)
    assert 9000000000 - 60 <= times(client, longest.ID).TTL <= 9000000000


def strange_ids(member):
    from etcdapi import rpc
    client, stream = member.client(), KeepAlive(member.client())
    for lease in (1, -1, -(1 << 63), (1 << 63) - 1):
        equal(grant(client, 60, lease).ID, lease)
        refused(lambda: grant(client, 5, lease), "FAILED_PRECONDITION", "etcdserver: lease already exists")
        equal(stream.renew(lease), 60)
    for unknown in (0, 2, -2, (1 << 63) - 2):
        equal(stream.renew(unknown), 0)  # and the stream goes on
        equal((times(client, unknown).TTL, times(client, unknown).grantedTTL), (-1, 0))
        refused(lambda: client.call("Lease/LeaseRevoke", rpc.LeaseRevokeRequest(ID=unknown), rpc.LeaseRevokeResponse),
                "NOT_FOUND", "etcdserver: requested lease not found")
        if unknown:
            refused(lambda: client.put(b"k", b"v", lease=unknown), "NOT_FOUND", "etcdserver: requested lease not found")
    equal(stream.renew(1), 60)
    stream.ask.put(None)
    equal(list(stream.answers), [])


class Flood:
    """A client that sends keepalives as fast as it may and never reads."""

    def __init__(self, member, lease):
        self.sent, self.client = 0, member.client()
        from etcdapi import rpc
        request = rpc.LeaseKeepAliveRequest(ID=lease)

        def requests():
            while True:
                self.sent += 1
                yield request
        self.call = self.client.channel.stream_stream(
            "/etcdserverpb.Lease/LeaseKeepAlive", request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=rpc.LeaseKeepAliveResponse.FromString)(requests())


def floods(member):
    client, other = member.client(), KeepAlive(member.client())
    mine, theirs = grant(client, 60).ID, grant(client, 60).ID
    before = anonymous_mib(member.process)
    streams = [Flood(member, lease) for lease in (theirs, 12345)]
    held, seen = threading.Event(), [-1] * len(streams)

    def all_held_back():  # nobody has sent anything for a second
        now = [s.sent for s in streams]
        still, seen[:] = now == seen, now
        equal(other.renew(mine), 60)
        client.put(b"k", b"v", timeout=5)
        held.wait(1)
        return still and min(now) > 1000
    until(all_held_back, seconds=120)
    grown = anonymous_mib(member.process) - before
    print("  %d keepalives of %d streams are held back; memory grew by %.1f MiB" % (sum(seen), len(streams), grown))
    assert grown < len(streams) * STREAM_MIB_MAX, "memory grew by %.1f MiB" % grown
    for stream in streams:
        stream.call.cancel()
    equal(other.renew(mine), 60)


def floods_through_a_follower():
    """The same through a member that has to ask the leader each time."""
    with members.Cluster(3) as cluster:
        follower = cluster.followers()[0]
        floods_of = [KeepAlive(follower.client()) for _ in range(4)]
        client = follower.client()
        lease = grant(client, 60).ID
        for stream in floods_of:
            for _ in range(500):
                stream.ask.put(lease)
        equal(KeepAlive(follower.client()).renew(lease), 60)
        client.put(b"k", b"v")
        for stream in floods_of:
            equal([next(stream.answers).TTL for _ in range(500)], [60] * 500)


if __name__ == "__main__":
    with Member(members.quoin_binary()) as server:
        run("times to live that make no sense", strange_times, server)
        run("ids that are unknown, negative, or given twice", strange_ids, server)
        run("keepalives without end, and nobody reads", floods, server)
    run("floods through a follower", floods_through_a_follower)
    finish()
