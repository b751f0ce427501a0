#!/usr/bin/python3
"""Clients that ask for all leases, or for all keys of a large one, again and again: leases of others are renewed, and
others write."""
import os, queue, subprocess, sys, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members, rawhttp2
from members import Member, equal, finish, quoin_binary, run

LEASES = 60000
KEYS = 60000
LISTS = 2000
LOOKS = 300
TTL = 5


class Holder:
    """Renews its lease once a second, as a client does that has nothing else to do."""

    def __init__(self, member, lease):
        import etcdapi
        self._grpc, self._rpc, self._lease = etcdapi.grpc, etcdapi.rpc, lease
        self._channel = etcdapi.grpc.insecure_channel(member.endpoint)
        self._ended, self.renewals, self.lost = threading.Event(), queue.Queue(), False
        self._thread = threading.Thread(target=self._hold, daemon=True)
        self._thread.start()

    def _requests(self):
        while not self._ended.is_set():
            yield self._rpc.LeaseKeepAliveRequest(ID=self._lease)
            self._ended.wait(1)

    def _hold(self):
        call = self._channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive",
                                           request_serializer=lambda m: m.SerializeToString(),
                                           response_deserializer=self._rpc.LeaseKeepAliveResponse.FromString)
        try:
            for answer in call(self._requests()):
                self.lost |= answer.TTL <= 0
                self.renewals.put(answer.TTL)
        except self._grpc.RpcError:
            self.lost = True

    def close(self):
        self._ended.set()
        self._thread.join()
        self._channel.close()


def lists():
    with Member(quoin_binary()) as member:
        subprocess.run([os.path.join(members.BIN, "leaseload"), "--mode", "grant", "--leases", str(LEASES), "--ttl", "3600",
                        member.endpoint], stdout=subprocess.DEVNULL, check=True)
        client = member.client()
        lease = client.lease_grant(TTL).ID
        client.put(b"lock", b"mine", lease=lease)
        holder = Holder(member, lease)
        holder.renewals.get(timeout=60)
        flood = rawhttp2.Raw(member, window=0)
        for _ in range(LISTS):
            flood.request("/etcdserverpb.Lease/LeaseLeases", b"")
        for _ in range(3 * TTL):  # renewals, each a second after the one before
            holder.renewals.get(timeout=60)
        assert not holder.lost
        equal(client.range(b"lock").kvs[0].value, b"mine")
        from etcdapi import rpc
        whole = client.call("Lease/LeaseLeases", rpc.LeaseLeasesRequest(), rpc.LeaseLeasesResponse, 60)
        assert len(whole.leases) >= LEASES + 1, len(whole.leases)
        assert lease in {status.ID for status in whole.leases}
        holder.close()


def keys():
    with Member(quoin_binary()) as member:
        from etcdapi import rpc
        client = member.client()
        lease = client.lease_grant(3600).ID
        wanted = [b"some/long/prefix/of/a/key/%08d" % i for i in range(KEYS)]
        for i in range(0, KEYS, 100):
            client.txn(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=b"v", lease=lease))
                                for key in wanted[i:i + 100]], timeout=60)
        equal(list(client.lease_time_to_live(lease, True).keys), wanted)
        question = rpc.LeaseTimeToLiveRequest(ID=lease, keys=True).SerializeToString()
        flood = rawhttp2.Raw(member, window=0)
        for _ in range(LOOKS):
            flood.request("/etcdserverpb.Lease/LeaseTimeToLive", question)
        for i in range(200):
            client.put(b"x", b"%d" % i)
        equal(list(client.lease_time_to_live(lease, True).keys), wanted)
        flood.close()


if __name__ == "__main__":
    run("%d lists of %d leases" % (LISTS, LEASES), lists)
    run("%d looks at %d keys of a lease" % (LOOKS, KEYS), keys)
    finish()
