#!/usr/bin/python3
"""Reads of everything beside others: compactions meanwhile, writes and renewals of other clients meanwhile, clients that take
nothing of what they asked for.

    large_reads_test.py [--keys N] [--reads N]
"""
import argparse, os, sys, threading

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import members
from members import Member, equal, finish, run

ALL = b"\0"


def fill(client, keys, value_bytes):
    from etcdapi import rpc
    for first in range(0, keys, 100):
        client.txn(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=b"k%07d" % i, value=b"v" * value_bytes))
                            for i in range(first, min(keys, first + 100))])


def anonymous_mib(process):
    with open("/proc/%d/smaps_rollup" % process.pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Anonymous:")) / 1024


def rss_watch(process, stop, peak):
    while not stop.wait(0.05):
        peak[0] = max(peak[0], anonymous_mib(process))


def ranges_during_compactions(member, keys, reads):
    """No range without a revision fails, whatever is compacted while it reads."""
    client, writer = member.client(), member.client()
    stop, compactions = threading.Event(), [0]

    def compact():
        while not stop.is_set():
            for i in range(50):
                revision = writer.put(b"k%07d" % (i * 37 % keys), b"v" * 100).header.revision
            writer.compact(revision)
            compactions[0] += 1

    thread = threading.Thread(target=compact)
    thread.start()
    try:
        done = 0
        while done < reads or compactions[0] < reads:  # a busy machine compacts seldom
            equal(client.range(ALL, ALL, timeout=120).count, keys)
            done += 1
    finally:
        stop.set()
        thread.join()
    print("  %d reads of %d keys, %d compactions" % (done, keys, compactions[0]))


def others_beside_a_long_transaction(member, keys):
    """128 guards that hold over all keys: others write and renew many times before it is answered."""
    from etcdapi import rpc
    client, other = member.client(), member.client()
    guards = [rpc.Compare(key=ALL, range_end=ALL, target=rpc.Compare.VALUE, result=rpc.Compare.NOT_EQUAL, value=b"another")
              for _ in range(128)]
    answer, done = [], threading.Event()

    def ask():
        answer.append(client.txn(compare=guards, timeout=300))
        done.set()

    lease = other.lease_grant(60).ID
    thread = threading.Thread(target=ask)
    thread.start()
    renew = other.channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive",
                                        request_serializer=lambda m: m.SerializeToString(),
                                        response_deserializer=rpc.LeaseKeepAliveResponse.FromString)
    beside = 0
    while not done.is_set():
        other.put(b"beside", b"%d" % beside)
        equal(next(renew(iter([rpc.LeaseKeepAliveRequest(ID=lease)]), timeout=60)).TTL, 60)
        beside += not done.is_set()
    thread.join()
    assert answer[0].succeeded
    assert beside >= 20, "%d writes and renewals before the transaction was answered" % beside
    print("  %d writes and renewals before it was answered" % beside)


def memory_of_many_ranges(member, keys):
    """32 times everything in one transaction takes the memory of a part."""
    from etcdapi import rpc
    client = member.client()
    everything = rpc.RequestOp(request_range=rpc.RangeRequest(key=ALL, range_end=ALL))
    before, peak, stop = anonymous_mib(member.process), [0.0], threading.Event()
    watch = threading.Thread(target=rss_watch, args=(member.process, stop, peak))
    watch.start()
    try:
        answer = client.txn(success=[everything] * 32, timeout=300)
    finally:
        stop.set()
        watch.join()
    equal([len(r.response_range.kvs) for r in answer.responses], [keys + 1] * 32)
    print("  %.0f MiB of anonymous memory before, %.0f at most, for an answer of %.0f MiB"
          % (before, peak[0], answer.ByteSize() / (1 << 20)))
    assert peak[0] < before + 64


def writes_that_show_everything(member):
    """A put beside a range over everything is answered. Beside 30, in 4 clients at once, the puts stand and the answers are refused:
    memory is that of what may be shown, and another client writes meanwhile."""
    import grpc
    from etcdapi import rpc
    client = member.client()
    everything = rpc.RequestOp(request_range=rpc.RangeRequest(key=ALL, range_end=ALL))
    count = client.range(ALL, ALL, count_only=True).count

    def write(by, key, ranges):
        put = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=b"stands"))
        return by.txn(success=[put] + [everything] * ranges, timeout=300)

    answer = write(client, b"shown", 1)
    equal(answer.responses[1].response_range.count, count + 1)
    refused = []

    def refuse(number):
        by = member.client()
        for i in range(3):
            try:
                write(by, b"shown%d.%d" % (number, i), 30)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "has been carried out" in error.details():
                    refused.append(number)

    before, peak, stop = anonymous_mib(member.process), [0.0], threading.Event()
    watch = threading.Thread(target=rss_watch, args=(member.process, stop, peak))
    threads = [threading.Thread(target=refuse, args=(i,)) for i in range(4)]
    watch.start()
    for thread in threads:
        thread.start()
    beside = 0
    try:
        while beside == 0 or any(thread.is_alive() for thread in threads):
            client.put(b"beside", b"%d" % beside, timeout=60)
            beside += 1
    finally:
        for thread in threads:
            thread.join()
        stop.set()
        watch.join()
    print("  %.0f MiB of anonymous memory before, %.0f at most, beside %d writes that show too much; %d other writes"
          % (before, peak[0], len(refused), beside))
    equal(len(refused), 12)
    equal(client.range(b"shown", b"showo").count, 13)
    assert peak[0] < before + 320


def stalled_snapshots(member):
    """Six clients that take nothing of their snapshots: hashes and further snapshots go on."""
    from etcdapi import rpc
    client = member.client()
    stalled = []
    for i in range(6):
        client.put(b"between", b"%d" % i)  # so that no two are of the same moment
        stalled.append(member.client().stream("Maintenance/Snapshot", rpc.SnapshotRequest(), rpc.SnapshotResponse, timeout=600))
        next(stalled[-1])
    client.call("Maintenance/Hash", rpc.HashRequest(), rpc.HashResponse, timeout=60)
    size = sum(len(part.blob) for part in member.client().stream("Maintenance/Snapshot", rpc.SnapshotRequest(),
                                                                  rpc.SnapshotResponse, timeout=60))
    equal(size % 512, 32)
    for call in stalled:
        call.cancel()


def all_of_it(keys, reads):
    with Member(members.quoin_binary()) as member:
        fill(member.client(), keys, 100)
        ranges_during_compactions(member, keys, reads)
        others_beside_a_long_transaction(member, keys)
        memory_of_many_ranges(member, keys)
        writes_that_show_everything(member)
        stalled_snapshots(member)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=60000)
    parser.add_argument("--reads", type=int, default=20)
    arguments = parser.parse_args()
    run("large reads beside others", all_of_it, arguments.keys, arguments.reads)
    finish()
