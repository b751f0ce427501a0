#!/usr/bin/python3
"""The version of a cluster of three: quoinctl downgrade lowers it and takes that back, with etcdctl's words and codes."""
import http.client, json, os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Cluster, equal, finish, run, until


def page(host, port, path):
    connection = http.client.HTTPConnection(host, port, timeout=5)
    connection.request("GET", path)
    return connection.getresponse().read().decode()


def ctl(cluster, *arguments):
    env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
    done = subprocess.run([os.path.join(members.BIN, "quoinctl"), "--endpoints", ",".join(cluster.endpoints)]
                          + list(arguments), capture_output=True, text=True, env=env, timeout=60)
    error = [line for line in done.stderr.split("\n") if line.startswith("Error:")]
    return done.returncode, done.stdout, error


def versions(cluster):
    """What all members say of the cluster and of their files."""
    said = [json.loads(page(m.host, m.peer_port, "/version")) for m in cluster]
    return {(v["etcdserver"], v["etcdcluster"], v["storage"]) for v in said}


def saved_snapshots(member):
    with open(member.log, errors="replace") as log:
        return log.read().count("saved snapshot")


def lowered_and_raised():
    with Cluster(3) as c:
        until(lambda: versions(c) == {("3.7.1", "3.7.0", "3.7.0")})
        equal(ctl(c, "downgrade", "validate", "3.6"), (0, "Downgrade validate success, cluster version 3.7\n", []))
        equal(ctl(c, "downgrade", "validate", "3.5"), (1, "", ["Error: etcdserver: invalid downgrade target version"]))
        equal(ctl(c, "downgrade", "enable"), (128, "", ["Error: TARGET_VERSION not provided"]))
        equal(ctl(c, "downgrade", "enable", "3.6"), (0, "Downgrade enable success, cluster version 3.7\n", []))
        until(lambda: versions(c) == {("3.7.1", "3.6.0", "3.6.0")})
        until(lambda: all(saved_snapshots(m) > 0 for m in c))
        equal({page(m.host, m.peer_port, "/downgrade/enabled") for m in c}, {"true"})
        equal(ctl(c, "downgrade", "validate", "3.5"),
              (1, "", ["Error: etcdserver: cluster has a downgrade job in progress"]))
        code, out, _ = ctl(c, "endpoint", "status", "-w", "json")
        equal((code, [s["Status"]["downgradeInfo"] for s in json.loads(out)]),
              (0, [{"enabled": True, "targetVersion": "3.6.0"}] * 3))
        for m in c:  # a server of before goes on in the lowered cluster
            m.stop()
            m.start()
            m.client().put(b"from " + m.name.encode(), b"v")
        equal(versions(c), {("3.7.1", "3.6.0", "3.6.0")})
        equal(ctl(c, "downgrade", "cancel"), (0, "Downgrade cancel success, cluster version 3.6\n", []))
        until(lambda: versions(c) == {("3.7.1", "3.7.0", "3.7.0")})
        equal({page(m.host, m.peer_port, "/downgrade/enabled") for m in c}, {"false"})
        c.wait_equal()


run("a downgrade, and its cancellation", lowered_and_raised)
finish()
