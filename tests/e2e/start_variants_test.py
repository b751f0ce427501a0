#!/usr/bin/python3
"""The ways in which installers, images and units start etcd (tests/lib/start_variants.py), each with a network of its own and the real
ports: it serves where it should and nowhere else, or refuses in etcd's words."""
import http.client, os, shutil, signal, socket, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members, netns
from members import Skip, equal, finish, run
from start_variants import IP, NAME, VARIANTS

PATIENCE = 60


class Started:
    """A server of one variant, in a directory of its own."""

    def __init__(self, variant):
        self.variant, self.dir = variant, tempfile.mkdtemp(prefix="quoin-start-")
        self._notified = None
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCD") and k != "NOTIFY_SOCKET"}
        environment.update({k: self._filled(v) for k, v in variant.get("environment", {}).items()})
        if "notify" in variant:
            environment["NOTIFY_SOCKET"] = self._listen(variant["notify"])
        self._log = open(os.path.join(self.dir, "log"), "wb")
        self.process = subprocess.Popen([members.quoin_binary()] + self._arguments(), cwd=self.dir, env=environment,
                                        stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)

    def _filled(self, text):
        return text.replace("{dir}", self.dir).replace("{ip}", IP).replace("{name}", NAME)

    def _arguments(self):
        arguments = [self._filled(a) for a in self.variant.get("arguments", [])]
        if "file" in self.variant:
            path = os.path.join(self.dir, "config")
            with open(path, "w") as f:
                f.write(self._filled(self.variant["file"]))
            arguments += ["--config-file", path]
        return arguments

    def _listen(self, kind):
        name = "@quoin-%d" % os.getpid() if kind == "abstract" else os.path.join(self.dir, "notify")
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.bind(name.replace("@", "\0", 1) if kind == "abstract" else name)
        return name

    def notice(self):
        self._notified.settimeout(PATIENCE)
        return self._notified.recv(100)

    def log(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as f:
            return f.read()

    def page(self, url):
        """The status of a page; None while nobody listens there."""
        assert self.process.poll() is None, "ended with %d\n%s" % (self.process.returncode, self.log()[-3000:])
        address, path = url.split("/", 1)
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            connection.request("GET", "/" + path)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)
        self._log.close()
        if self._notified:
            self._notified.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def grpc_answers(endpoint):
    from etcdapi import Client
    client = Client(endpoint)
    try:
        revision = client.put(b"k", b"v").header.revision
        equal(client.range(b"k").kvs[0].mod_revision, revision, endpoint)
    finally:
        client.channel.close()


def is_closed(address):
    host, port = address.rsplit(":", 1)
    with socket.socket() as s:
        return s.connect_ex((host, int(port))) != 0


def awaited(what):
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.02)  # a poll of another process: there is no event to wait for


def is_refused(started, code, text):
    equal(started.process.wait(PATIENCE), code, started.log()[-2000:])
    assert text in started.log(), started.log()[-2000:]
    if code == 1:
        assert '"level":"fatal"' in started.log() or '"level":"warn"' in started.log()


def serves(started, variant):
    # Ready by its own words: then every port must be as it should, without waiting.
    awaited(lambda: "ready to serve client requests" in started.log() or started.process.poll() is not None)
    assert started.process.poll() is None, started.log()[-3000:]
    if "notify" in variant:
        equal(started.notice(), b"READY=1")
    for endpoint in variant["serves"]:
        grpc_answers(endpoint)
    for url, status in variant.get("pages", {}).items():
        equal(started.page(url), status, url)
    for address in variant.get("closed", []):
        assert is_closed(address), "%s is open" % address
    for message in variant.get("says", []):
        assert message in started.log(), "the log does not say %r\n%s" % (message, started.log()[:3000])


def start(variant):
    with Started(variant) as started:
        if variant.get("refused"):
            is_refused(started, *variant["refused"])
        else:
            serves(started, variant)


def a_network():
    netns.enter()
    for command in (["ip", "link", "set", "lo", "up"], ["ip", "addr", "add", IP + "/32", "dev", "lo"]):
        subprocess.run(command, check=True)


try:
    a_network()
except Skip as why:
    reason = str(why)

    def left_out():
        raise Skip(reason)
    run("variants of a start", left_out)
    finish()
for v in VARIANTS:
    run(v["name"], start, v)
finish()
