#!/usr/bin/python3
"""The same random operations to quoin and to etcd 3.5, answer by answer, and HashKV at the end of every round.

  differential_test.py [--ops N] [--seed S]

Known differences between etcd 3.5 and 3.7.1 (whose behaviour quoin keeps) are applied by known_differences.py;
nothing else may differ.
"""
import argparse, os, random, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, Skip, finish, run
from known_differences import normalise_error, normalise_response, avoid

KEYS = [b"k%03d" % i for i in range(120)] + [b"a/b/%d" % i for i in range(20)] + [b"\x00bin\xff", b"\xff", b"z"]


class Operations:
    """Random requests, made from one seed."""

    def __init__(self, seed):
        import etcdapi
        self.rpc, self.random = etcdapi.rpc, random.Random(seed)
        self.revision, self.compacted = 1, 0

    def key(self):
        return self.random.choice(KEYS)

    def interval(self):
        r = self.random
        kind = r.randrange(6)
        if kind <= 2:
            return self.key(), b""
        if kind == 3:
            return tuple(sorted((self.key(), self.key())))
        if kind == 4:
            return self.key(), b"\x00"
        return b"k0", b"k1"

    def value(self):
        return self.random.choice([b"", b"v", b"%d" % self.random.randrange(10), os.urandom(0)]) + \
            bytes(self.random.getrandbits(8) for _ in range(self.random.choice([0, 1, 8, 300])))

    def range_request(self, in_txn=False):
        r, (key, end) = self.random, self.interval()
        revision = 0
        if r.random() < 0.3:
            revision = r.randrange(max(1, self.compacted - 2), self.revision + 3)
        request = self.rpc.RangeRequest(key=key, range_end=end, revision=revision,
                                        limit=r.choice([0, 0, 0, 1, 3, 10, -1]),
                                        sort_order=r.randrange(3), sort_target=r.randrange(5),
                                        serializable=r.random() < 0.3, keys_only=r.random() < 0.15,
                                        count_only=r.random() < 0.1)
        if r.random() < 0.2:
            low = r.randrange(0, self.revision + 1)
            setattr(request, r.choice(["min_mod_revision", "max_mod_revision", "min_create_revision",
                                       "max_create_revision"]), low)
        return avoid(request)

    def put_request(self):
        r = self.random
        request = self.rpc.PutRequest(key=self.key(), value=self.value(), prev_kv=r.random() < 0.3)
        if r.random() < 0.08:
            request.ignore_value = True
            request.value = b""
        if r.random() < 0.05:
            request.ignore_lease = True
        return request

    def delete_request(self):
        key, end = self.interval()
        if self.random.random() < 0.7:
            end = b""
        return self.rpc.DeleteRangeRequest(key=key, range_end=end, prev_kv=self.random.random() < 0.3)

    def compare(self):
        r, rpc = self.random, self.rpc
        key, end = self.interval() if r.random() < 0.2 else (self.key(), b"")
        compare = rpc.Compare(key=key, range_end=end, result=r.randrange(4), target=r.randrange(5))
        field = ["version", "create_revision", "mod_revision", "value", "lease"][
            compare.target if r.random() < 0.95 else r.randrange(5)]
        setattr(compare, field, self.value() if field == "value" else r.choice([0, 1, 2, r.randrange(self.revision + 2)]))
        return compare

    def request_op(self, depth):
        r, rpc = self.random, self.rpc
        kind = r.random()
        if kind < 0.35:
            return rpc.RequestOp(request_put=self.put_request())
        if kind < 0.65:
            return rpc.RequestOp(request_range=self.range_request(in_txn=True))
        if kind < 0.9 or depth > 2:
            return rpc.RequestOp(request_delete_range=self.delete_request())
        return rpc.RequestOp(request_txn=self.txn_request(depth + 1))

    def txn_request(self, depth=0):
        r = self.random
        return self.rpc.TxnRequest(compare=[self.compare() for _ in range(r.choice([0, 1, 1, 2]))],
                                   success=[self.request_op(depth) for _ in range(r.randrange(4))],
                                   failure=[self.request_op(depth) for _ in range(r.randrange(3))])

    def next(self):
        r, rpc = self.random, self.rpc
        kind = r.random()
        if kind < 0.35:
            return "KV/Put", self.put_request(), rpc.PutResponse
        if kind < 0.6:
            return "KV/Range", self.range_request(), rpc.RangeResponse
        if kind < 0.72:
            return "KV/DeleteRange", self.delete_request(), rpc.DeleteRangeResponse
        if kind < 0.985:
            return "KV/Txn", self.txn_request(), rpc.TxnResponse
        revision = r.randrange(max(0, self.revision - 60), self.revision + 2)
        return "KV/Compact", rpc.CompactionRequest(revision=revision, physical=r.random() < 0.5), rpc.CompactionResponse


def ask(client, method, request, response_class):
    import grpc
    try:
        return client.call(method, request, response_class), None
    except grpc.RpcError as error:
        return None, (error.code().name, error.details())


class ReferenceLost(Exception):
    """etcd's connection broke: what it did of the operation is unknown, so there is nothing to compare with."""


def compare_servers(ops, seed):
    """A reference that hangs up is asked again from the start, twice at most; quoin gets no such grace."""
    for attempt in range(3):
        try:
            return compare_once(ops, seed)
        except ReferenceLost as lost:
            print("etcd hung up (%s), once more" % lost, flush=True)
    raise AssertionError("etcd hung up three times")


def compare_once(ops, seed):
    etcd = members.etcd_binary()
    if etcd is None:
        raise Skip("etcd 3.5 is not to be had here (tools/get-etcd)")
    print("seed %d, %d operations" % (seed, ops), flush=True)
    operations = Operations(seed)
    with Member(members.quoin_binary()) as quoin_member, Member(etcd) as etcd_member:
        quoin, reference = quoin_member.client(), etcd_member.client()
        for number in range(ops):
            method, request, response_class = operations.next()
            mine, theirs = ask(quoin, method, request, response_class), ask(reference, method, request, response_class)
            if theirs[1] is not None and theirs[1][0] == "UNAVAILABLE":
                raise ReferenceLost(theirs[1][1])
            got = normalise_response(method, request, mine[0]), normalise_error(method, request, mine[1])
            want = normalise_response(method, request, theirs[0]), normalise_error(method, request, theirs[1])
            if got != want:
                raise AssertionError("operation %d of seed %d, %s\n%s\nquoin: %s\netcd:  %s" %
                                     (number, seed, method, request, got, want))
            if theirs[0] is not None:
                operations.revision = max(operations.revision, theirs[0].header.revision)
                if method == "KV/Compact":
                    operations.compacted = request.revision
            if number % 500 == 499 or number == ops - 1:
                compare_hashes(quoin, reference, number, seed)


def compare_hashes(quoin, reference, number, seed):
    mine, theirs = quoin.hashkv(), reference.hashkv()
    if (mine.hash, mine.compact_revision) != (theirs.hash, theirs.compact_revision):
        raise AssertionError("HashKV after operation %d of seed %d: quoin %d at %d, etcd %d at %d" %
                             (number, seed, mine.hash, mine.compact_revision, theirs.hash, theirs.compact_revision))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ops", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    run("random operations, quoin against etcd 3.5", compare_servers, arguments.ops, arguments.seed)
    finish()
