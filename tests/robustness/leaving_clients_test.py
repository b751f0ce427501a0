#!/usr/bin/python3
"""Clients that leave with calls under way take nothing along: the server lives and answers the others.

Several members, since ids are drawn from URLs and once decided whether a left call was forgotten or answered into nowhere.
"""
import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, equal, finish, run


def leave(member, round_number):
    import etcdapi
    client = member.client()
    put = client.channel.unary_unary("/etcdserverpb.KV/Put", request_serializer=lambda m: m.SerializeToString(),
                                     response_deserializer=etcdapi.rpc.PutResponse.FromString)
    futures = [put.future(etcdapi.rpc.PutRequest(key=b"k%d" % i, value=b"%d" % round_number)) for i in range(200)]
    futures[round_number % 50].result(timeout=10)  # some are answered, the rest is under way
    client.channel.close()


def clients_leave():
    for _ in range(4):
        with Member(members.quoin_binary()) as member:
            for round_number in range(15):
                leave(member, round_number)
                equal(member.process.poll(), None, "exit code of the server")
            member.client().put(b"after", b"all")
            equal(member.client().range(b"after").kvs[0].value, b"all")


if __name__ == "__main__":
    run("clients leave with puts under way", clients_leave)
    finish()
