#!/usr/bin/python3
"""Leases while the leader changes, three real processes: none ends early, none lives on, and a leader that was deposed
without knowing it neither renews nor ends anything."""
import os, queue, signal, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from members import Cluster, equal, finish, run, until

TTL = 4
FLAGS = ["--heartbeat-interval", "50", "--election-timeout", "500"]


class KeepAlive:
    """One keepalive stream."""

    def __init__(self, client):
        from etcdapi import rpc
        self.rpc, self.requests = rpc, queue.Queue()
        call = client.channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive",
                                            request_serializer=lambda m: m.SerializeToString(),
                                            response_deserializer=rpc.LeaseKeepAliveResponse.FromString)
        self.answers = call(iter(self.requests.get, None), timeout=60)

    def ask(self, lease):
        self.requests.put(self.rpc.LeaseKeepAliveRequest(ID=lease))

    def renew(self, lease):
        self.ask(lease)
        return next(self.answers).TTL


def lease_with_key(client, key):
    from etcdapi import rpc
    lease = client.call("Lease/LeaseGrant", rpc.LeaseGrantRequest(TTL=TTL), rpc.LeaseGrantResponse).ID
    client.put(key, b"alive", lease=lease)
    return lease


def left(member, lease):
    from etcdapi import rpc
    client = member.client()
    try:
        return client.call("Lease/LeaseTimeToLive", rpc.LeaseTimeToLiveRequest(ID=lease), rpc.LeaseTimeToLiveResponse,
                           timeout=15).TTL
    finally:
        client.channel.close()


def exists(client, key):
    return client.range(key).count == 1


def killed_leader(cluster):
    leader = cluster.leader()
    follower = cluster.followers()[0]
    client = follower.client()
    kept, lost = lease_with_key(client, b"kept"), lease_with_key(client, b"lost")
    stream = KeepAlive(client)
    equal(stream.renew(kept), TTL)
    leader.kill()
    renewed = [time.monotonic()]

    def goes_on():
        equal(stream.renew(kept), TTL)  # waits for the next leader
        renewed.append(time.monotonic())
        return not exists(client, b"lost")
    equal(left(follower, lost) >= 1, True)
    until(goes_on)
    equal(exists(client, b"kept"), True, "the key of a lease that is kept alive")
    equal(stream.renew(lost), 0)
    until(lambda: not exists(client, b"kept"))
    took = time.monotonic() - renewed[-1]
    assert took >= TTL - 0.1, "ended %.1f s after its last renewal" % took
    leader.start()


def paused_leader(cluster):
    old = cluster.leader()
    others = [m for m in cluster if m is not old]
    client, old_client = others[0].client(), old.client()
    kept, lost = lease_with_key(client, b"kept"), lease_with_key(client, b"lost")
    for_kept, for_lost = KeepAlive(old_client), KeepAlive(old_client)
    equal((for_kept.renew(kept), for_lost.renew(lost)), (TTL, TTL))
    old.process.send_signal(signal.SIGSTOP)
    os.waitpid(old.process.pid, os.WUNTRACED)  # its threads run on until one of them has taken the signal
    try:
        for_lost.ask(lost)  # waits in the socket of a process that believes to lead
        cluster.leader(among=others)
        stream = KeepAlive(client)

        def lost_ends():
            equal(stream.renew(kept), TTL)
            return not exists(client, b"lost")
        until(lost_ends)
        equal(stream.renew(kept), TTL)
    finally:
        old.process.send_signal(signal.SIGCONT)
    # By its own clock both leases have ended long ago, and a renewal of one waits.
    import grpc
    try:
        equal(next(for_lost.answers).TTL, 0, "a lease that has ended, renewed by a deposed leader")
    except grpc.RpcError as error:
        equal(error.details(), "not a primary lessor")
    old.wait_ready()
    equal(exists(client, b"kept"), True, "the key of a lease that the present leader has renewed")
    equal(KeepAlive(old.client()).renew(kept), TTL)
    equal([left(m, lost) for m in cluster], [-1] * 3)


def no_quorum(cluster):
    import grpc
    leader, followers = cluster.leader(), cluster.followers()
    client = leader.client()
    lease = lease_with_key(client, b"alone")
    stream = KeepAlive(client)
    equal(stream.renew(lease), TTL)
    for member in followers:
        member.process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: client.status().leader == 0)
        try:
            ttl = stream.renew(lease)
        except grpc.RpcError as error:
            equal(error.details(), "etcdserver: request timed out")
        else:
            raise AssertionError("renewed to %d s by a member that leads nobody" % ttl)
    finally:
        for member in followers:
            member.process.send_signal(signal.SIGCONT)
    # Nobody could count its time; whoever leads now gives it the whole time again.
    until(lambda: left(leader, lease) > 0)
    equal(KeepAlive(leader.client()).renew(lease), TTL)
    until(lambda: not exists(client, b"alone"))


if __name__ == "__main__":
    with Cluster(3, flags=FLAGS) as members_of_it:
        run("the leader is killed", killed_leader, members_of_it)
        run("the leader is stopped for longer than a lease lives", paused_leader, members_of_it)
        run("the leader loses its quorum", no_quorum, members_of_it)
    finish()
