#!/usr/bin/python3
"""More connections than a member may have open files: clients wait for their turn, and the member goes on."""
import http.client, os, socket, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rawhttp2
from members import Member, equal, finish, free_port, quoin_binary, run

FILES = 256


def few_files(*flags):
    return Member(quoin_binary(), ["--snapshot-count", "60", *flags], prefix=["prlimit", "--nofile=%d" % FILES])


def open_files(member):
    return len(os.listdir("/proc/%d/fd" % member.process.pid))


def silent(port, count):
    return [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]


def idle(member, count):
    """HTTP/2 connections without a call; most of them have nobody to answer them yet."""
    crowd = silent(member.client_port, count)
    for connection in crowd:
        connection.sendall(rawhttp2.PREFACE + rawhttp2.frame(rawhttp2.SETTINGS, 0, 0))
    return crowd


def probe(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/readyz")
    return connection.getresponse().status


def cpu_seconds(member):
    with open("/proc/%d/stat" % member.process.pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_clients():
    """300 HTTP/2 connections that stay; .snap files, checkpoints and log segments are made on; probes are answered; those
    who wait come in when others go."""
    metrics = free_port()
    with few_files("--listen-metrics-urls", "http://127.0.0.1:%d" % metrics) as member:
        client = member.client()
        client.put(b"first", b"1")
        crowd = idle(member, 300)
        for i in range(200):  # three snapshots
            client.put(b"k", b"%d" % i)
        assert open_files(member) < FILES - 50, open_files(member)
        equal(probe(metrics), 200)
        for connection in crowd:
            connection.close()
        equal(member.client().range(b"k").kvs[0].value, b"199")
        equal(member.stop(), -15)


def silent_peers():
    """The peer port has a bound of its own, and takes nothing from clients."""
    with few_files() as member:
        crowd = silent(member.peer_port, 300)
        client = member.client()
        for i in range(200):
            client.put(b"k", b"%d" % i)
        assert open_files(member) < FILES - 50, open_files(member)
        for connection in crowd:
            connection.close()


def all_at_once():
    """Every port is full: 900 connections to 256 files. Nobody spins while they wait."""
    metrics = free_port()
    with few_files("--listen-metrics-urls", "http://127.0.0.1:%d" % metrics) as member:
        client = member.client()
        client.put(b"first", b"1")
        crowd = silent(member.client_port, 300) + silent(member.peer_port, 300) + silent(metrics, 300)
        for i in range(200):
            client.put(b"k", b"%d" % i)
        before = cpu_seconds(member)
        begin = time.monotonic()
        time.sleep(2)  # what is measured is what it does with nothing to do
        spent = (cpu_seconds(member) - before) / (time.monotonic() - begin)
        assert spent < 0.5, "%.2f of a processor with nothing to do" % spent
        for connection in crowd:
            connection.close()
        equal(probe(metrics), 200)
        equal(member.client().range(b"k").kvs[0].value, b"199")


def soft_limit():
    """What the process may allow itself, it does."""
    with Member(quoin_binary(), prefix=["prlimit", "--nofile=256:1024"]) as member:
        with open("/proc/%d/limits" % member.process.pid) as f:
            line = next(line for line in f if line.startswith("Max open files"))
        equal(line.split()[3:5], ["1024", "1024"])
        client = member.client()
        crowd = idle(member, 400)
        client.put(b"k", b"v")
        equal(member.client().range(b"k").kvs[0].value, b"v")
        for connection in crowd:
            connection.close()


def too_few():
    """As etcd, a member does not begin with what is not enough."""
    member = Member(quoin_binary(), start=False, prefix=["prlimit", "--nofile=150"])
    member.start(wait=False)
    equal(member.process.wait(30), 1)
    assert "file descriptor limit of etcd process is too low; please set higher" in member.log_tail(), member.log_tail()


if __name__ == "__main__":
    run("300 idle clients and 256 files", idle_clients)
    run("300 silent connections to the peer port", silent_peers)
    run("every port is full", all_at_once)
    run("the limit is raised", soft_limit)
    run("too few files to begin with", too_few)
    finish()
