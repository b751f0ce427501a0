"""A member that exists only in a test: it says to a real one whatever the test wants, in etcd's peer protocol.

    with FakeMembers(["f1", "f2"]) as fakes:      # an HTTP server each; they answer nothing but what is set
        fakes["f1"].members = [...]               # /members, where a joining member asks
        status, text = fakes["f1"].post(member, message(MSG_VOTE, ...))
        answer = fakes["f1"].next(MSG_VOTE_RESP)
"""
import http.client, http.server, json, queue, socketserver, threading, time

from members import free_port

(MSG_HUP, MSG_BEAT, MSG_PROP, MSG_APP, MSG_APP_RESP, MSG_VOTE, MSG_VOTE_RESP, MSG_SNAP, MSG_HEARTBEAT,
 MSG_HEARTBEAT_RESP) = range(10)
# Numbers of raftpb.Message's fields.
_FIELDS = {"type": 1, "to": 2, "from": 3, "term": 4, "log_term": 5, "index": 6, "entries": 7, "commit": 8, "snapshot": 9,
           "reject": 10, "reject_hint": 11, "context": 12}
_NAMES = {number: name for name, number in _FIELDS.items()}


def _varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def encode(fields):
    """{name: number or bytes, or a list of them} as raftpb.Message."""
    out = b""
    for name, value in fields.items():
        number = _FIELDS[name]
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bytes):
                out += _varint(number << 3 | 2) + _varint(len(one)) + one
            else:
                out += _varint(number << 3) + _varint(one)
    return out


def entry(term, index, data=b"", kind=0):
    return (b"\x08" + _varint(kind) + b"\x10" + _varint(term) + b"\x18" + _varint(index) + b"\x22" +
            _varint(len(data)) + data)


def decode(data):
    out, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        else:
            size = number()
            value, at = data[at:at + size], at + size
        out[_NAMES.get(key >> 3, key >> 3)] = value
    return out


class FakeMember:
    """Thread: `post` and `next` the test's; the server's own threads fill the queue."""

    def __init__(self, name, streams=None):
        """streams(kind, write): what a stream that the real member opens says; None: streams are refused."""
        self.name, self.id, self.cluster_id, self.streams = name, 0, 0, streams
        self.members, self.heard, self.streams_opened = None, queue.Queue(), 0
        self.port = free_port()
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _answer(self, status, body=b"", kind="text/plain"):
                self.send_response(status)
                self.send_header("X-Etcd-Cluster-Id", "%x" % fake.cluster_id)
                self.send_header("Content-Type", kind)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                fake.heard.put(decode(self.rfile.read(int(self.headers["Content-Length"]))))
                self._answer(204)

            def do_GET(self):
                if self.path == "/members" and fake.members is not None:
                    self._answer(200, json.dumps(fake.members).encode(), "application/json")
                elif self.path == "/version":
                    self._answer(200, b'{"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"}')
                elif self.path == "/downgrade/enabled":
                    self._answer(200, b"false")
                elif self.path.startswith("/raft/stream/") and fake.streams is not None:
                    fake.streams_opened += 1
                    self.send_response(200)
                    self.send_header("X-Server-Version", "3.7.1")
                    self.end_headers()  # the body ends with the connection
                    self.close_connection = True
                    try:
                        fake.streams(self.path.split("/")[3], self.wfile.write)
                    except OSError:
                        pass  # the real member has ended it
                else:
                    self._answer(404, b"not served\n")

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.port

    def headers(self, **changed):
        """Of a Raft request; `changed`: by name, '_' for '-', None leaves one out."""
        headers = {"X-Server-From": "%x" % self.id, "X-Server-Version": "3.7.1", "X-Min-Cluster-Version": "3.0.0",
                   "X-Etcd-Cluster-ID": "%x" % self.cluster_id, "X-PeerURLs": self.url}
        headers.update({name.replace("_", "-"): value for name, value in changed.items()})
        return {name: value for name, value in headers.items() if value is not None}

    def post(self, member, fields, path="/raft", body=None, **changed):
        """Sends one message (or `body`) to a real member's peer port; returns (status, text)."""
        connection = http.client.HTTPConnection("127.0.0.1", member.peer_port, timeout=60)
        try:
            connection.request("POST", path, encode(fields) if body is None else body, self.headers(**changed))
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace").strip()
        finally:
            connection.close()

    def next(self, kind, seconds=30):
        """The next message of that type that the real member has sent here; others are passed over."""
        deadline = time.monotonic() + seconds
        while True:
            heard = self.heard.get(timeout=max(0.01, deadline - time.monotonic()))
            if heard.get("type", 0) == kind:
                return heard

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
