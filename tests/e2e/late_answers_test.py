#!/usr/bin/python3
"""A deadline that passes while a large answer is on its way: a client gets the whole message, or no part of one before a status; what
is reset is not read on. Frames made by hand say what the server sends, and gRPC's own library what a user sees."""
import os, socket, struct, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import grpc
from members import Member, equal, finish, quoin_binary, run
from rawhttp2 import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, head,
                      literal, message)

KEYS, VALUE = 8, b"v" * 100_000
WINDOW = (1 << 31) - 1
# From before the answer can begin to after it has ended.
TIMEOUTS = ["%du" % (100 * 1.3 ** i) for i in range(32)]


class Frames:
    """One connection with windows as wide as they get; answers are read frame by frame."""

    def __init__(self, member):
        self._socket = socket.create_connection((member.host, member.client_port))
        self._socket.settimeout(30)
        self._file = self._socket.makefile("rb")
        self._stream = -1
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, WINDOW)) +
                             frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65535)))

    def call(self, path, body, timeout):
        """(bytes of DATA, how it ended: "trailers" or "reset")"""
        self._stream += 2
        self._socket.sendall(frame(HEADERS, END_HEADERS, self._stream, head(path) + literal(b"grpc-timeout", timeout.encode())) +
                             frame(DATA, END_STREAM, self._stream, message(body)))
        got, taken = 0, 0
        while True:
            kind, flags, stream, payload = self._next()
            if kind == SETTINGS and not flags & ACK:
                self._socket.sendall(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                self._socket.sendall(frame(PING, ACK, 0, payload))
            assert kind != GOAWAY, payload
            if kind == DATA and payload:
                self._socket.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload))))
            if stream != self._stream:
                continue
            if kind == DATA:
                got += len(payload)
            if kind == RST_STREAM:
                return got, "reset"
            if kind == HEADERS and flags & END_STREAM:
                return got, "trailers"

    def _next(self):
        start = self._file.read(9)
        length, = struct.unpack(">I", b"\0" + start[:3])
        stream, = struct.unpack(">I", start[5:])
        return start[3], start[4], stream, self._file.read(length)


def range_request():
    return b"\x0a\x01k\x12\x01l"  # key "k", range_end "l"


def whole_or_nothing(member):
    frames = Frames(member)
    whole, ended = frames.call("/etcdserverpb.KV/Range", range_request(), "30S")
    equal(ended, "trailers")
    assert whole > KEYS * len(VALUE)
    ends = set()
    for _ in range(5):
        for timeout in TIMEOUTS:
            got, ended = frames.call("/etcdserverpb.KV/Range", range_request(), timeout)
            ends.add((ended, "nothing" if got == 0 else "all" if got == whole else "a part"))
    assert ("trailers", "a part") not in ends, ends
    assert ends != {("trailers", "all")}, "no deadline was met"
    equal(frames.call("/etcdserverpb.KV/Range", range_request(), "30S"), (whole, "trailers"))


def as_a_library_sees_it(member):
    client, codes = member.client(), set()
    for _ in range(3):
        for i in range(24):
            try:
                answer = client.range(b"k", b"l", timeout=1e-4 * 1.3 ** i)
                equal(len(answer.kvs), KEYS)
            except grpc.RpcError as error:
                codes.add(error.code())
    # A reset that overtakes the client's own deadline is a cancellation to this library.
    assert codes <= {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}, codes


with Member(quoin_binary()) as m:
    filling = m.client()
    for n in range(KEYS):
        filling.put(b"k%d" % n, VALUE)
    run("frames: the whole message, or none", whole_or_nothing, m)
    run("gRPC's library: an answer, or its deadline", as_a_library_sees_it, m)
finish()
