#!/usr/bin/python3
"""Ranges over many keys, which quoin answers in slices: every order, filter, limit and form against what Python makes of
all keys, and against etcd 3.5 where it is to be had.

    large_ranges_test.py [--keys N] [--seed S]
"""
import argparse, contextlib, os, random, sys, time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import members
from known_differences import normalise_response
from members import Member, equal, finish, run

FROM_KEY = b"\0"
KEY, VERSION, CREATE, MOD, VALUE = range(5)
NONE, ASCEND, DESCEND = range(3)
RANKS = {KEY: lambda kv: kv.key, VERSION: lambda kv: kv.version, CREATE: lambda kv: kv.create_revision,
         MOD: lambda kv: kv.mod_revision, VALUE: lambda kv: kv.value}


def fill(clients, count, seed):
    """Keys in batches, then some written again, some with a lease, some deleted; the same on every server."""
    import etcdapi
    rpc, chance = etcdapi.rpc, random.Random(seed)
    for client in clients:
        client.call("Lease/LeaseGrant", rpc.LeaseGrantRequest(ID=77, TTL=3600), rpc.LeaseGrantResponse)
    keys = [b"/registry/%06d" % i for i in range(count)]
    puts = chance.sample(keys, count) + chance.sample(keys, count // 3)
    for first in range(0, len(puts), 100):
        ops = [rpc.RequestOp(request_put=rpc.PutRequest(
            key=key, value=bytes(chance.getrandbits(8) for _ in range(chance.choice([0, 1, 40]))),
            lease=chance.choice([0, 0, 0, 77]))) for key in sorted(set(puts[first:first + 100]))]
        for client in clients:
            client.txn(success=ops)
    middle = clients[0].range(b"x").header.revision
    for start in (count // 2, count // 2 + 50):
        for client in clients:
            client.delete(b"/registry/%06d" % start, b"/registry/%06d" % (start + 20))
    return middle


def expected(all_keys, request):
    """(kvs, more, count) by the contract; keys that rank equally stay in the order of keys."""
    kvs = [kv for kv in all_keys
           if (not request.min_mod_revision or kv.mod_revision >= request.min_mod_revision)
           and (not request.max_mod_revision or kv.mod_revision <= request.max_mod_revision)
           and (not request.min_create_revision or kv.create_revision >= request.min_create_revision)
           and (not request.max_create_revision or kv.create_revision <= request.max_create_revision)]
    if request.count_only:
        return [], False, len(all_keys)
    filters = (request.min_mod_revision, request.max_mod_revision, request.min_create_revision,
               request.max_create_revision)
    if request.sort_order == NONE and request.limit and not any(filters):
        kvs = kvs[:request.limit + 1]  # the first keys are taken, and these put in order
    kvs.sort(key=RANKS[request.sort_target])
    if request.sort_order == DESCEND:
        kvs = [kv for _, group in groups(kvs, RANKS[request.sort_target]) for kv in group]
    more = 0 < request.limit < len(kvs)
    return kvs[:request.limit] if more else kvs, more, len(all_keys)


def groups(kvs, rank):
    """Keys of equal rank together, the highest rank first."""
    found = {}
    for kv in kvs:
        found.setdefault(rank(kv), []).append(kv)
    return sorted(found.items(), reverse=True)


def check(client, request, all_keys, reference):
    import etcdapi
    answer = client.call("KV/Range", request, etcdapi.rpc.RangeResponse, timeout=60)
    kvs, more, count = expected(all_keys, request)
    what = str(request).replace("\n", " ")
    equal((answer.count, answer.more), (count, more), what)
    equal([kv.key for kv in answer.kvs], [kv.key for kv in kvs], what)
    for got, want in zip(answer.kvs, kvs):
        equal((got.create_revision, got.mod_revision, got.version),
              (want.create_revision, want.mod_revision, want.version), what)
        equal(got.value, b"" if request.keys_only else want.value, what)
        # Keys alone come from the index, which knows no lease, unless values had to be read.
        equal(got.lease, 0 if request.keys_only and request.sort_target != VALUE else want.lease, what)
    # etcd's order among equals is nobody's promise, and with a limit neither is the set.
    if reference is None or (request.limit and request.sort_target != KEY):
        return
    theirs = reference.call("KV/Range", request, etcdapi.rpc.RangeResponse, timeout=60)
    equal(normalise_response("KV/Range", request, answer), normalise_response("KV/Range", request, theirs), what)


def ask_everything(count, seed):
    import etcdapi
    print("seed %d, %d keys" % (seed, count), flush=True)
    etcd, chance = members.etcd_binary(), random.Random(seed + 1)
    if etcd is None:
        print("SKIPPED the comparison with etcd 3.5, which is not to be had here (tools/get-etcd)")
    with contextlib.ExitStack() as servers:
        client = servers.enter_context(Member(members.quoin_binary())).client()
        reference = servers.enter_context(Member(etcd)).client() if etcd else None
        middle = fill([client] + ([reference] if reference else []), count, seed)
        states = {revision: list(client.range(b"/registry/", FROM_KEY, revision=revision, timeout=60).kvs)
                  for revision in (0, middle)}
        equal((len(states[middle]), len(states[0])), (count, count - 40), "keys")
        for order in (NONE, ASCEND, DESCEND):
            for target in (KEY, VERSION, CREATE, MOD, VALUE):
                for limit in (0, 1, 1500, count * 2 // 3):
                    revision = chance.choice([0, 0, middle])
                    request = etcdapi.rpc.RangeRequest(
                        key=b"/registry/", range_end=FROM_KEY, limit=limit, sort_order=order, sort_target=target,
                        revision=revision, keys_only=chance.random() < 0.3, count_only=chance.random() < 0.1)
                    if chance.random() < 0.4:
                        filters = ["min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"]
                        setattr(request, chance.choice(filters), chance.randrange(1, middle))
                    check(client, request, states[revision], reference)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=45000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    run("ranges over many keys", ask_everything, arguments.keys, arguments.seed)
    finish()
