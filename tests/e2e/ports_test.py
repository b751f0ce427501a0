#!/usr/bin/env python3
"""What is served where: client, HTTP and metrics ports, both address families, the rules of HTTP; and how a start fails."""
import gzip, http.client, json, os, resource, shutil, socket, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from members import Member, equal, finish, free_port, quoin_binary, run, until

CORS = {"Access-Control-Allow-Headers": "accept, content-type, authorization",
        "Access-Control-Allow-Methods": "POST, GET, OPTIONS, PUT, DELETE"}


def ask(port, path, method="GET", headers=None, host="127.0.0.1"):
    """(status, headers, body); the path goes out as it stands."""
    connection = http.client.HTTPConnection(host, port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=bool(headers and "Host" in headers),
                              skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def say(port, data):
    """What comes back on a connection of its own, until it is closed or silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        out = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                return out
            out += piece


def log_lines(member):
    return [json.loads(line) for line in open(member.log) if line.startswith("{")]


def lines_with(member, message):
    return [line for line in log_lines(member) if line["msg"] == message]


def each_port_serves_its_part():
    pages, metrics, second = free_port(), free_port(), free_port()
    flags = ["--listen-client-http-urls", "http://127.0.0.1:%d" % pages,
             "--listen-metrics-urls", "http://127.0.0.1:%d,http://127.0.0.1:%d" % (metrics, second)]
    m = Member(quoin_binary(), flags, start=False)
    with m:
        m.start(wait=False)
        until(lambda: lines_with(m, "ready to serve client requests"))
        m.client().put(b"k", b"v")
        equal(say(m.client_port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), b"", "pages on the gRPC port")
        equal(say(pages, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9), b"", "gRPC on the pages' port")
        for path in ("/health", "/version", "/metrics", "/livez", "/readyz", "/debug/vars"):
            equal(ask(pages, path)[0], 200, path)
        for port in (metrics, second):
            for path in ("/health", "/metrics", "/livez", "/readyz", "/readyz/linearizable_read"):
                equal(ask(port, path)[0], 200, path)
            for path in ("/version", "/debug/vars", "/v3/kv/range", "/", "/nope"):
                equal(ask(port, path)[0], 404, path)
            equal(ask(port, "/health", "OPTIONS")[0], 405)
            equal("Access-Control-Allow-Origin" in ask(port, "/health")[1], False)
        equal([line["address"] for line in lines_with(m, "serving metrics")],
              sorted("http://127.0.0.1:%d" % p for p in (metrics, second)))
        equal(sorted((line["traffic"], line["address"]) for line in
                     lines_with(m, "serving client traffic insecurely; this is strongly discouraged!")),
              [("grpc", m.endpoint), ("http", "127.0.0.1:%d" % pages)])


def probes_are_answered_before_the_member_is_ready():
    metrics = free_port()
    m = Member(quoin_binary(), ["--listen-metrics-urls", "http://127.0.0.1:%d" % metrics], start=False)
    m.initial_cluster = "m0=%s,m1=http://127.0.0.1:%d" % (m.peer_url, free_port())  # the other one never comes
    with m:
        m.start(wait=False)
        until(lambda: lines_with(m, "serving metrics"))
        equal(ask(metrics, "/livez")[::2], (200, b"ok\n"))
        equal(ask(metrics, "/health")[::2], (503, b'{"health":"false","reason":"RAFT NO LEADER"}\n'))
        equal(lines_with(m, "ready to serve client requests"), [])
        equal(m.stop(), -15)


def both_families():
    if not os.path.exists("/proc/net/if_inet6") or not open("/proc/net/if_inet6").read().strip():
        return print("SKIPPED both families: this machine has no IPv6")
    m = Member(quoin_binary(), start=False)
    with m:
        metrics = free_port()
        m.flags = ["--listen-client-urls", "http://0.0.0.0:%d" % m.client_port, "--advertise-client-urls",
                   "http://" + m.endpoint, "--listen-metrics-urls", "http://localhost:%d" % metrics]
        m.start()
        for host in ("127.0.0.1", "::1"):
            equal(ask(m.client_port, "/health", host=host)[0], 200, host)
        for host in {a[4][0] for a in socket.getaddrinfo("localhost", metrics, type=socket.SOCK_STREAM)}:
            equal(ask(metrics, "/health", host=host)[0], 200, host)  # as this machine knows the name


def rules_of_http():
    with Member(quoin_binary()) as m:
        port = m.client_port
        status, headers, _ = ask(port, "/version")
        equal((status, {n: headers.get(n) for n in CORS}, headers["Access-Control-Allow-Origin"]), (200, CORS, "*"))
        for path in ("/version", "/nope"):
            status, headers, body = ask(port, path, "OPTIONS", {"Origin": "http://x"})
            equal((status, headers["Access-Control-Allow-Origin"], body), (200, "*", b""), path)
        for path, clean in (("//health", "/health"), ("/a/../health?x=1", "/health?x=1"), ("/./nope//", "/nope/")):
            status, headers, body = ask(port, path)
            equal((status, headers["Location"], body),
                  (301, clean, b'<a href="%s">Moved Permanently</a>.\n\n' % clean.encode()))
        equal(ask(port, "//health", "POST")[2], b"")
        equal(ask(port, "/health/")[0], 404)
        status, headers, body = ask(port, "/metrics", headers={"Accept-Encoding": "deflate, gzip"})
        equal((status, headers["Content-Encoding"]), (200, "gzip"))
        assert b"etcd_server_has_leader 1" in gzip.decompress(body)
        equal("Content-Encoding" in ask(port, "/metrics", headers={"Accept-Encoding": "gzip;q=0"})[1], False)
        equal("Content-Encoding" in ask(port, "/metrics", headers={"Accept-Encoding": "*"})[1], False)
        for method in ("HEAD", "POST", "DELETE"):
            status, headers, _ = ask(port, "/debug/vars", method)
            equal((status, headers["Allow"]), (405, "GET"), method)
        equal([ask(port, path)[0] for path in ("/%68ealth", "/versio%6E", "/health%3Fx", "/%6", "/%zz")],
              [200, 200, 404, 400, 400])
        variables = json.loads(ask(port, "/debug/vars")[2])
        equal(sorted(variables), ["cmdline", "file_descriptor_limit", "memstats", "raft.status"])
        equal(variables["cmdline"][1:], m.arguments())
        raft = variables["raft.status"]
        equal((raft["raftState"], raft["vote"], raft["lead"], raft["leadtransferee"]),
              ("StateLeader", raft["id"], raft["id"], "0"))
        equal(list(raft["progress"]), [raft["id"]])
        assert variables["memstats"]["HeapAlloc"] > 0
        assert say(port, b"GET /version HTTP/1.1\nHost: x\n\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert say(port, b"GET http://foo.test/version HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def hosts_and_origins_that_were_asked_for():
    with Member(quoin_binary(), ["--host-whitelist", "good.test,127.0.0.1", "--cors", "http://ok.test:81"]) as m:
        status, headers, body = ask(m.client_port, "/version", headers={"Host": "evil.test:8"})
        equal((status, "Access-Control-Allow-Origin" in headers), (421, False))
        assert b'--host-whitelist "evil.test"' in body, body
        for origin, allowed in (("http://ok.test:81", "http://ok.test:81"), ("http://evil.test:81", None)):
            status, headers, _ = ask(m.client_port, "/version", headers={"Host": "good.test:8", "Origin": origin})
            equal((status, headers.get("Access-Control-Allow-Origin")), (200, allowed))
        m.client().put(b"k", b"v")  # gRPC has no such rules


def failed(member):
    """(exit code, last line of the log) of a start that fails."""
    member.start(wait=False)
    code = member.process.wait(30)
    member.process = None
    return code, log_lines(member)[-1]


def a_start_that_fails_says_so_at_fatal():
    with Member(quoin_binary()) as first:
        second = Member(quoin_binary(), ["--listen-metrics-urls", "http://" + first.endpoint], start=False)
        code, line = failed(second)
        equal((code, line["level"], line["msg"], line["error"]),
              (1, "fatal", "discovery failed", "listen tcp %s: bind: address already in use" % first.endpoint))
    m = Member(quoin_binary(), start=False)
    os.makedirs(os.path.join(m.data_dir, "proxy"))
    equal(failed(m)[1]["msg"], "v2 http proxy has already been deprecated in 3.6")
    os.makedirs(os.path.join(m.data_dir, "member"))
    code, line = failed(m)
    equal((code, line["level"], line["msg"]),
          (1, "fatal", "invalid datadir; both member and proxy directories exist"))


def what_the_log_says_of_a_start():
    m = Member(quoin_binary(), ["--snapshot-catchup-entries", "77", "--max-snapshots", "3"], start=False)
    os.makedirs(m.data_dir, mode=0o755)
    os.chmod(m.data_dir, 0o755)
    open(os.path.join(m.data_dir, "stray"), "w").close()
    with m:
        m.start()
        equal([line["filename"] for line in lines_with(m, "found invalid file under data directory")], ["stray"])
        equal([line["error"] for line in lines_with(m, "check file permission")],
              ['directory "%s" exist, but the permission is "drwxr-xr-x". The recommended permission is "-rwx------" to '
               "prevent possible unprivileged access to the data" % m.data_dir])
        equal(lines_with(m, "Initialize and start etcd server")[0]["dir-type"], "empty")
        start = lines_with(m, "starting an etcd server")[0]
        equal((start["snapshot-catchup-entries"], start["member-initialized"], start["election-timeout"], start["cors"]),
              (77, False, "1s", ["*"]))
        equal(len(lines_with(m, "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.7.")), 1)
        client = m.client()
        revision = [client.put(b"k", b"%d" % i).header.revision for i in range(20)][-1]
        client.compact(revision)
        until(lambda: lines_with(m, "finished scheduled compaction"))
        equal(lines_with(m, "finished scheduled compaction")[0]["compact-revision"], revision)
        m.stop()
        m.start()
        equal(lines_with(m, "server has already been initialized")[0]["dir-type"], "member")
        equal(lines_with(m, "starting an etcd server")[1]["member-initialized"], True)


def a_disk_error_stands_in_the_log():
    with Member(quoin_binary(), prefix=["env", "--ignore-signal=XFSZ"]) as m:
        client = m.client()
        for _ in range(3):
            client.put(b"k", b"v" * (1 << 20))
        # Below where the log of writes has come to, above the size of the log that people read.
        resource.prlimit(m.process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        try:
            client.put(b"k", b"w", timeout=20)
        except Exception as error:
            assert "UNAVAILABLE" in str(error) or "DEADLINE" in str(error), error
        equal(m.process.wait(30), 1)
        m.process = None
        line = log_lines(m)[-1]
        equal((line["level"], line["msg"]), ("fatal", "disk error"))
        assert "file too large" in line["error"].lower(), line
        assert m.log_tail(1).startswith("quoin: disk error: "), m.log_tail(2)


def etcds_sample_starts_with_only_the_cluster_filled_in():
    """The keys of etcd's sample file as they stand there; TLS keys without a meaning beside http URLs."""
    root = tempfile.mkdtemp(prefix="quoin-sample-")
    m = Member(quoin_binary(), start=False)
    with open(os.path.join(root, "conf.yml"), "w") as f:
        f.write("\n".join([
            "name: 'default'", "data-dir: %s" % m.data_dir, "wal-dir:", "snapshot-count: 10000",
            "heartbeat-interval: 100", "election-timeout: 1000", "quota-backend-bytes: 0",
            "listen-peer-urls: " + m.peer_url, "listen-client-urls: http://" + m.endpoint, "max-snapshots: 5",
            "max-wals: 5", "cors:", "initial-advertise-peer-urls: " + m.peer_url,
            "advertise-client-urls: http://" + m.endpoint, "discovery:", "discovery-fallback: 'proxy'",
            "discovery-proxy:", "discovery-srv:", "initial-cluster: default=" + m.peer_url,
            "initial-cluster-token: 'etcd-cluster'", "initial-cluster-state: 'new'", "strict-reconfig-check: false",
            "enable-pprof: true", "proxy: 'off'", "proxy-failure-wait: 5000", "client-transport-security:",
            "  cert-file:", "  key-file:", "  client-cert-auth: false", "  trusted-ca-file:", "  auto-tls: false",
            "peer-transport-security:", "  cert-file:", "  key-file:", "  client-cert-auth: false",
            "  trusted-ca-file:", "  auto-tls: false", "  allowed-cn:", "  allowed-hostname:",
            "self-signed-cert-validity: 1", "log-level: debug", "logger: zap", "log-outputs: [stderr]",
            "force-new-cluster: false", "auto-compaction-mode: periodic", 'auto-compaction-retention: "1"',
            "cipher-suites: [", "  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,", "  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "]", "tls-min-version: 'TLS1.2'", "tls-max-version: 'TLS1.3'", ""]))
    m.arguments = lambda: ["--config-file", os.path.join(root, "conf.yml")]
    with m:
        m.start()
        m.client().put(b"k", b"v")
    shutil.rmtree(root)


for test in (each_port_serves_its_part, probes_are_answered_before_the_member_is_ready, both_families, rules_of_http,
             hosts_and_origins_that_were_asked_for, a_start_that_fails_says_so_at_fatal, what_the_log_says_of_a_start,
             a_disk_error_stands_in_the_log, etcds_sample_starts_with_only_the_cluster_filled_in):
    run(test.__name__.replace("_", " "), test)
finish()
