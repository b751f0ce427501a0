#!/usr/bin/python3
"""A watch that starts in the past packs its revisions into responses as etcd does: up to 1,000 in each, however many others
lie between."""
import os, sys, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from members import Member, Skip, equal, etcd_binary, finish, quoin_binary, run
import grpc
from etcdapi import rpc

REVISIONS = 2500


def responses(binary, create):
    """(revisions, events) of each response until all of REVISIONS transactions have been told."""
    with Member(binary) as m:
        client = m.client()
        for i in range(REVISIONS):  # two changes in each
            client.txn(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=b"a%d" % i, value=b"v")),
                                rpc.RequestOp(request_put=rpc.PutRequest(key=b"b%d" % i, value=b"v"))])
        watch = client.channel.stream_stream("/etcdserverpb.Watch/Watch",
                                             request_serializer=rpc.WatchRequest.SerializeToString,
                                             response_deserializer=rpc.WatchResponse.FromString)
        told = threading.Event()

        def requests():  # the stream stays open until all has been told
            yield rpc.WatchRequest(create_request=create)
            told.wait()
        call = watch(requests(), timeout=60)
        assert next(call).created
        found, last = [], 1
        while last < 1 + REVISIONS:
            answer = next(call)
            revisions = sorted({event.kv.mod_revision for event in answer.events})
            equal(revisions[0], last + 1, "first revision")
            last = revisions[-1]
            equal(answer.header.revision, 1 + REVISIONS, "header's revision")
            found.append((len(revisions), len(answer.events)))
        told.set()
        return found


def packs_as_etcd(create, want):
    equal(responses(quoin_binary(), create), want)
    if etcd_binary() is None:
        raise Skip("etcd 3.5 cannot be fetched: only what was seen before is compared")
    equal(responses(etcd_binary(), create), want, "etcd itself")


def few_matches(binary):
    """The events of each response to a watcher of one key in 40 revisions of 1,000 records; three of those are its own."""
    with Member(binary, flags=["--max-txn-ops", "1000"]) as m:
        client = m.client()
        for i in range(40):
            puts = [rpc.PutRequest(key=b"other%d" % n, value=b"v") for n in range(999)]
            puts.append(rpc.PutRequest(key=b"mine" if i in (0, 15, 35) else b"last", value=b"v"))
            client.txn(success=[rpc.RequestOp(request_put=put) for put in puts])
        watch = client.channel.stream_stream("/etcdserverpb.Watch/Watch",
                                             request_serializer=rpc.WatchRequest.SerializeToString,
                                             response_deserializer=rpc.WatchResponse.FromString)
        told = threading.Event()

        def requests():
            # A range: a single key's past is not searched for.
            yield rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"mine", range_end=b"minf", start_revision=2))
            told.wait()
        call, found = watch(requests(), timeout=60), []
        assert next(call).created
        while sum(found) < 3:
            found.append(len(next(call).events))
        told.set()
        return found


def few_matches_are_one_response():
    equal(few_matches(quoin_binary()), [3])
    if etcd_binary() is None:
        raise Skip("etcd 3.5 cannot be fetched: only what was seen before is compared")
    equal(few_matches(etcd_binary()), [3], "etcd itself")


ALL = rpc.WatchCreateRequest(key=b"\0", range_end=b"\0", start_revision=2)
run("all keys", packs_as_etcd, ALL, [(1000, 2000), (1000, 2000), (500, 1000)])
run("one of two changes", packs_as_etcd, rpc.WatchCreateRequest(key=b"a", range_end=b"b", start_revision=2),
    [(1000, 1000), (1000, 1000), (500, 500)])
run("few matches in a long past", few_matches_are_one_response)
finish()
