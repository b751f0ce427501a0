"""Starts and stops real servers (quoin's, or etcd's) for tests: free ports, temp directories, clean ends.

    with Member(quoin_binary()) as m:
        kv = m.client()
        kv.put(b"k", b"v")

A test program ends with `finish()`: it prints 'N passed, M failed, K skipped' and sets the exit code.
"""
import atexit, http.client, json, os, shutil, signal, socket, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.realpath(__file__))
SOURCE = os.path.realpath(os.path.join(HERE, "..", ".."))
BUILD = os.environ.get("QUOIN_BUILD", os.path.join(SOURCE, "build", "release"))
BIN = os.path.join(BUILD, "bin")
SHARED = os.environ.get("QUOIN_SHARED", os.path.join(SOURCE, "..", "shared"))


def quoin_binary():
    return os.path.join(BIN, "quoin")


def etcd_binary():
    """etcd 3.5 (or what QUOIN_ETCD names): asked for with tools/get-etcd, kept in build/etcd. None when it is not to be had."""
    if os.environ.get("QUOIN_ETCD"):
        return os.environ["QUOIN_ETCD"]
    folder = os.path.join(SOURCE, "build", "etcd")
    path = os.path.join(folder, "sid", "usr", "bin", "etcd")
    if not os.path.exists(path):
        subprocess.run([os.path.join(SOURCE, "tools", "get-etcd"), folder], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=300)
    return path if os.path.exists(path) else None


_handed_out = set()


def free_port():
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in _handed_out:
            _handed_out.add(port)
            return port


class Member:
    """One server process with a directory of its own."""

    def __init__(self, binary, flags=(), data_dir=None, name="m0", start=True, host="127.0.0.1", prefix=()):
        """host: the address that it listens on; prefix: what stands before the command, to run it on that host."""
        self.binary, self.flags, self.name, self.host, self.prefix = binary, list(flags), name, host, list(prefix)
        self.initial_cluster, self.initial_state = None, "new"  # None: this member alone
        self.root = tempfile.mkdtemp(prefix="quoin-test-")
        if not os.environ.get("QUOIN_KEEP"):
            atexit.register(shutil.rmtree, self.root, ignore_errors=True)
        self.data_dir = data_dir or os.path.join(self.root, "data")
        self.client_port, self.peer_port = free_port(), free_port()
        self.log = os.path.join(self.root, "log")
        self.process, self._channel = None, None
        if start:
            self.start()

    @property
    def endpoint(self):
        return "%s:%d" % (self.host, self.client_port)

    @property
    def peer_url(self):
        return "http://%s:%d" % (self.host, self.peer_port)

    def arguments(self):
        client = "http://" + self.endpoint
        return ["--name", self.name, "--data-dir", self.data_dir, "--listen-client-urls", client,
                "--advertise-client-urls", client, "--listen-peer-urls", self.peer_url,
                "--initial-advertise-peer-urls", self.peer_url, "--initial-cluster",
                self.initial_cluster or "%s=%s" % (self.name, self.peer_url),
                "--initial-cluster-state", self.initial_state] + self.flags

    def start(self, wait=True):
        env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.prefix + [self.binary] + self.arguments(), stdout=log, stderr=log,
                                            env=env)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=30, alarms=False):
        """Returns once /health says so (a linearizable read went through); raises with the log's end when it does not.
        alarms: a member that is unhealthy for an alarm alone is ready, too."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError("server ended with %s\n%s" % (self.process.returncode, self.log_tail()))
            try:
                connection = http.client.HTTPConnection(self.host, self.client_port, timeout=5)
                connection.request("GET", "/health")
                response = connection.getresponse()
                if response.status == 200 or (alarms and b"ALARM" in response.read()):
                    return
            except OSError:
                pass
            time.sleep(0.02)  # a poll of another process: there is no event to wait for
        raise RuntimeError("server is not ready after %d s\n%s" % (seconds, self.log_tail()))

    def client(self):
        from etcdapi import Client  # late: its generated classes clash with those of other client libraries
        return Client(self.endpoint)

    def stop(self, sig=signal.SIGTERM, seconds=30):
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.send_signal(sig)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError("server did not stop within %d s\n%s" % (seconds, self.log_tail()))

    def kill(self):
        return self.stop(signal.SIGKILL)

    def log_tail(self, lines=15):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Cluster:
    """Several members that were started together; `hosts` (netns.Hosts) gives each a host of its own.

        with Cluster(3) as c:
            c.leader().kill()
    """

    def __init__(self, count, binary=None, flags=(), hosts=None):
        """binary: one path for all, or one per member; default quoin."""
        binaries = binary if isinstance(binary, (list, tuple)) else [binary or quoin_binary()] * count
        self.members, self._named = [], count
        for i in range(count):
            place = {"host": hosts.address(i), "prefix": hosts.prefix(i)} if hosts else {}
            self.members.append(Member(binaries[i], flags, name="m%d" % i, start=False, **place))
        initial = ",".join("%s=%s" % (m.name, m.peer_url) for m in self.members)
        for m in self.members:
            m.initial_cluster = initial

    def __enter__(self):
        try:
            for m in self.members:
                m.start(wait=False)
            for m in self.members:
                m.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for m in self.members:
            m.__exit__()

    def join(self, binary=None, flags=(), learner=False):
        """Adds a member to the running cluster and starts it; returns it once it serves."""
        import grpc
        m = Member(binary or quoin_binary(), flags, name="m%d" % self._named, start=False)
        self._named += 1
        leader, deadline = self.leader(), time.monotonic() + 30
        while True:
            try:
                added = leader.client().member_add(m.peer_url, learner).member
                break
            except grpc.RpcError as error:  # "unhealthy cluster" until all have been connected for 5 s
                if "unhealthy" not in str(error.details()) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)  # a poll of another process
        m.initial_state = "existing"
        m.initial_cluster = ",".join("%s=%s" % (x.name, x.peer_url) for x in self.members + [m])
        self.members.append(m)
        m.start(wait=False)
        if not learner:
            m.wait_ready()
        m.member_id = added.ID
        return m

    def __getitem__(self, i):
        return self.members[i]

    @property
    def endpoints(self):
        return [m.endpoint for m in self.members]

    def alive(self):
        return [m for m in self.members if m.process is not None]

    def __iter__(self):
        return iter(self.members)

    def leader(self, among=None, seconds=30):
        """The member that leads in the eyes of itself, once one does; `among`: only these are asked."""
        import grpc
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for m in among or self.alive():
                client = m.client()
                try:
                    status = client.status()
                    if status.leader == status.header.member_id:
                        return m
                except grpc.RpcError:
                    pass
                finally:
                    client.channel.close()
            time.sleep(0.02)  # a poll of another process: there is no event to wait for
        raise AssertionError("no leader within %d s\n%s" % (seconds, "\n".join(m.log_tail(5) for m in self.members)))

    def lead(self, member):
        """Makes `member` the leader."""
        until(lambda: self._pass_lead(member))

    def _pass_lead(self, member):
        leader = self.leader()
        if leader is not member:
            leader.client().move_leader(member.client().status().header.member_id)
        return self.leader() is member

    def followers(self):
        leader = self.leader()
        return [m for m in self.alive() if m is not leader]

    def wait_equal(self, seconds=60):
        """Returns (revision, hash) once HashKV is equal on all living members."""
        deadline, seen = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            clients = [m.client() for m in self.alive()]
            revision = clients[0].range(b"\0").header.revision  # linearizable
            try:
                seen = {(h.hash, h.hash_revision, h.compact_revision) for h in (c.hashkv(revision) for c in clients)}
                if len(seen) == 1:
                    return revision, next(iter(seen))[0]
            except Exception as error:  # a member that is behind says "future revision"
                seen = error
            finally:
                for c in clients:
                    c.channel.close()
            time.sleep(0.05)  # a poll of another process
        raise AssertionError("members differ after %d s: %s" % (seconds, seen))


def said(member, text):
    """Whether it stands in the member's log."""
    with open(member.log, errors="replace") as log:
        return text in log.read()


def cluster_version(member):
    page = http.client.HTTPConnection(member.host, member.client_port, timeout=5)
    page.request("GET", "/version")
    return json.loads(page.getresponse().read())["etcdcluster"]


def until(what, seconds=30):
    """Asks other processes until `what` returns something true, errors of calls aside."""
    import grpc
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            last = what()
            if last:
                return last
        except grpc.RpcError as error:
            last = error
        time.sleep(0.05)  # a poll of another process
    raise AssertionError("did not come about within %d s: %s" % (seconds, last))


# ---- a very small test runner ----

_results = {"passed": 0, "failed": 0, "skipped": 0}


class Skip(Exception):
    pass


def run(name, function, *arguments):
    try:
        function(*arguments)
        _results["passed"] += 1
        print("ok      %s" % name, flush=True)
    except Skip as why:
        _results["skipped"] += 1
        print("SKIPPED %s: %s" % (name, why), flush=True)
    except Exception as error:
        _results["failed"] += 1
        import traceback
        traceback.print_exc()
        print("FAILED  %s: %s" % (name, error), flush=True)


def equal(got, want, what=""):
    if got != want:
        raise AssertionError("%s: got %r, want %r" % (what or "value", got, want))


def finish():
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % _results)
    sys.exit(1 if _results["failed"] else 0)
