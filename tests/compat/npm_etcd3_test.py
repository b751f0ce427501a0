#!/usr/bin/python3
"""Runs node/etcd3_test.js (npm package etcd3) against quoin. The package is installed into the build folder once."""
import os, shutil, subprocess, sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import members
from members import Cluster, Member, Skip, finish, run


def installed():
    """The folder with the package, or Skip."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Skip("node and npm are not installed")
    folder = os.path.join(members.BUILD, "node")
    if not os.path.isdir(os.path.join(folder, "node_modules", "etcd3")):
        os.makedirs(folder, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(HERE, "node", name), folder)
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise Skip("npm cannot install etcd3 here: " + done.stderr.strip().split("\n")[-1])
    shutil.copy(os.path.join(HERE, "node", "etcd3_test.js"), folder)
    return folder


def cases(*endpoints):
    done = subprocess.run(["node", "etcd3_test.js", *endpoints], cwd=installed(), capture_output=True, text=True, timeout=120)
    print(done.stdout, end="")
    if done.returncode != 0:
        raise AssertionError("exit %d\n%s" % (done.returncode, done.stderr))


if __name__ == "__main__":
    with Member(members.quoin_binary()) as server:
        run("npm etcd3", cases, server.endpoint)
    with Cluster(3) as cluster:
        run("npm etcd3, three members", cases, *cluster.endpoints)
    finish()
