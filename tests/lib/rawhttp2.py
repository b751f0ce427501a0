"""gRPC calls in HTTP/2 frames made by hand: for clients that do what no library would let them.

    c = Raw(member, window=0)                    # answers are never taken
    c.request("/etcdserverpb.KV/Range", message)
"""
import select, socket, struct

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ENHANCE_YOUR_CALM = 11


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _text(text):
    n = len(text)
    if n < 127:
        return bytes([n]) + text
    out, n = b"\x7f", n - 127
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n]) + text


def literal(name, value):
    return b"\0" + _text(name) + _text(value)


def indexed(name, value):
    """Enters HPACK's table: byte 0xbe stands for the youngest entry."""
    return b"\x40" + _text(name) + _text(value)


def head(path):
    return (literal(b":method", b"POST") + literal(b":scheme", b"http") + literal(b":path", path.encode()) +
            literal(b":authority", b"x") + literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers"))


def message(body):
    return b"\0" + struct.pack(">I", len(body)) + body


class Raw:
    """One connection. Reads only when told to, or when it must know whether it may send."""

    def __init__(self, member, window=1 << 20):
        self.socket = socket.create_connection((member.host, member.client_port))
        self.socket.setblocking(True)
        self.next_stream, self.may_send, self._read = 1, 65535, b""
        self.resets, self.goaway, self.ended, self._pinged = {}, None, set(), False
        self.acknowledged = False
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window)))
        while not self.acknowledged and self.pump(60):  # the server's windows count from then on
            pass

    def send(self, data):
        """False: the server has closed the connection."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def request(self, path, body, end=True):
        """Opens a call and sends one message, as the connection's window allows. False: closed."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        data, out = message(body), frame(HEADERS, END_HEADERS, stream, head(path))
        while self.may_send < len(data):
            if not self.pump(60):
                return False
        self.may_send -= len(data)
        for at in range(0, len(data), 16384):
            last = at + 16384 >= len(data)
            out += frame(DATA, END_STREAM if end and last else 0, stream, data[at:at + 16384])
        return self.send(out)

    def pump(self, seconds=0):
        """Reads what is there; waits for something at most so long. False: closed, or nothing came."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return False
        try:
            data = self.socket.recv(1 << 20)
        except OSError:
            return False
        if not data:
            return False
        self._read += data
        while len(self._read) >= 9:
            size = int.from_bytes(self._read[:3], "big")
            if len(self._read) < 9 + size:
                break
            self._take(self._read[3], self._read[4], int.from_bytes(self._read[5:9], "big"), self._read[9:9 + size])
            self._read = self._read[9 + size:]
        return True

    def ping(self, seconds):
        """Returns once the server has read all that was sent before, or has closed."""
        self._pinged = self.send(frame(PING, 0, 0, b"are you?"))
        while self._pinged and self.pump(seconds):
            pass

    def read_to_end(self, seconds=30):
        """True: the server closed the connection."""
        while self.pump(seconds):
            pass
        return select.select([self.socket], [], [], 0)[0] != []

    def _take(self, kind, flags, stream, payload):
        if kind == WINDOW_UPDATE and stream == 0:
            self.may_send += int.from_bytes(payload, "big")
        elif kind == RST_STREAM:
            self.resets[stream] = int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == HEADERS and flags & END_STREAM:
            self.ended.add(stream)
        elif kind == SETTINGS and not flags & ACK:
            self.acknowledged = self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and flags & ACK:
            self._pinged = False
        elif kind == PING:
            self.send(frame(PING, ACK, 0, payload))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
