"""A thin client of the etcd API on python3-grpcio and classes generated from proto/ (made once per build folder)."""
import os, subprocess, sys

from members import BUILD, SOURCE

_generated = os.path.join(BUILD, "python")


def _generate():
    protos = [os.path.join(SOURCE, "proto", n) for n in sorted(os.listdir(os.path.join(SOURCE, "proto")))]
    stamp = os.path.join(_generated, "done")
    if os.path.exists(stamp) and all(os.path.getmtime(p) < os.path.getmtime(stamp) for p in protos):
        return
    os.makedirs(_generated, exist_ok=True)
    subprocess.run(["protoc", "-I" + os.path.join(SOURCE, "proto"), "--python_out=" + _generated] + protos, check=True)
    open(stamp, "w").close()


_generate()
sys.path.insert(0, _generated)
import grpc  # noqa: E402
import rpc_pb2 as rpc  # noqa: E402

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
           ("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0), ("grpc.enable_http_proxy", 0)]


class Client:
    """Calls by name; requests and responses are the generated messages."""

    def __init__(self, endpoint):
        self.channel = grpc.insecure_channel(endpoint, OPTIONS)
        self._methods = {}

    def call(self, method, request, response_class, timeout=10):
        """method: 'KV/Put'. Raises grpc.RpcError."""
        if method not in self._methods:
            self._methods[method] = self.channel.unary_unary(
                "/etcdserverpb." + method, request_serializer=lambda m: m.SerializeToString(),
                response_deserializer=response_class.FromString)
        return self._methods[method](request, timeout=timeout)

    def stream(self, method, request, response_class, timeout=60):
        return self.channel.unary_stream(
            "/etcdserverpb." + method, request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=response_class.FromString)(request, timeout=timeout)

    def range(self, key, range_end=b"", timeout=10, **options):
        return self.call("KV/Range", rpc.RangeRequest(key=key, range_end=range_end, **options), rpc.RangeResponse, timeout)

    def put(self, key, value, timeout=10, **options):
        return self.call("KV/Put", rpc.PutRequest(key=key, value=value, **options), rpc.PutResponse, timeout)

    def delete(self, key, range_end=b"", timeout=10, **options):
        return self.call("KV/DeleteRange", rpc.DeleteRangeRequest(key=key, range_end=range_end, **options),
                         rpc.DeleteRangeResponse, timeout)

    def txn(self, compare=(), success=(), failure=(), timeout=10):
        return self.call("KV/Txn", rpc.TxnRequest(compare=compare, success=success, failure=failure), rpc.TxnResponse,
                         timeout)

    def compact(self, revision, physical=False):
        return self.call("KV/Compact", rpc.CompactionRequest(revision=revision, physical=physical),
                         rpc.CompactionResponse)

    def lease_grant(self, ttl):
        return self.call("Lease/LeaseGrant", rpc.LeaseGrantRequest(TTL=ttl), rpc.LeaseGrantResponse)

    def lease_time_to_live(self, lease, keys=False):
        return self.call("Lease/LeaseTimeToLive", rpc.LeaseTimeToLiveRequest(ID=lease, keys=keys),
                         rpc.LeaseTimeToLiveResponse)

    def hashkv(self, revision=0, timeout=10):
        return self.call("Maintenance/HashKV", rpc.HashKVRequest(revision=revision), rpc.HashKVResponse, timeout)

    def member_list(self, linearizable=True):
        return self.call("Cluster/MemberList", rpc.MemberListRequest(linearizable=linearizable), rpc.MemberListResponse)

    def member_add(self, peer_url, learner=False):
        return self.call("Cluster/MemberAdd", rpc.MemberAddRequest(peerURLs=[peer_url], isLearner=learner),
                         rpc.MemberAddResponse)

    def member_remove(self, member_id):
        return self.call("Cluster/MemberRemove", rpc.MemberRemoveRequest(ID=member_id), rpc.MemberRemoveResponse)

    def member_update(self, member_id, peer_url):
        return self.call("Cluster/MemberUpdate", rpc.MemberUpdateRequest(ID=member_id, peerURLs=[peer_url]),
                         rpc.MemberUpdateResponse)

    def member_promote(self, member_id):
        return self.call("Cluster/MemberPromote", rpc.MemberPromoteRequest(ID=member_id), rpc.MemberPromoteResponse)

    def move_leader(self, member_id):
        return self.call("Maintenance/MoveLeader", rpc.MoveLeaderRequest(targetID=member_id), rpc.MoveLeaderResponse)

    def status(self):
        return self.call("Maintenance/Status", rpc.StatusRequest(), rpc.StatusResponse)

    def snapshot(self, path):
        with open(path, "wb") as f:
            for part in self.stream("Maintenance/Snapshot", rpc.SnapshotRequest(), rpc.SnapshotResponse):
                f.write(part.blob)
