#!/usr/bin/python3
"""The example programs against one member and against three; and built from nothing but an installed quoin."""
import importlib.util, os, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Cluster, Member, Skip, finish, run

EXAMPLES = ["service_discovery", "publish_subscribe", "distributed_lock", "leader_election"]


def run_example(path, endpoints, command=()):
    done = subprocess.run([*command, path, *endpoints], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError("exit %d\n%s%s" % (done.returncode, done.stdout, done.stderr))
    return done.stdout


def in_python():
    if importlib.util.find_spec("etcd3") is None:
        raise Skip("python3-etcd3 is not installed")
    path = os.path.join(members.SOURCE, "examples", "distributed_lock.py")
    with Member(members.quoin_binary()) as member:
        told = run_example(path, [member.endpoint], [sys.executable])
        assert "the late write was refused" in told, told
    with Cluster(3) as cluster:
        for endpoint in cluster.endpoints:
            run_example(path, [endpoint], [sys.executable])


def one_member(name):
    with Member(members.quoin_binary()) as member:
        run_example(os.path.join(members.BIN, "example_" + name), [member.endpoint])


def three_members():
    with Cluster(3) as cluster:
        for name in EXAMPLES:
            run_example(os.path.join(members.BIN, "example_" + name), cluster.endpoints)


def installed():
    with tempfile.TemporaryDirectory(prefix="quoin-install-") as folder:
        place, build = os.path.join(folder, "quoin"), os.path.join(folder, "build")
        source = os.path.join(members.SOURCE, "examples")
        for command in (["cmake", "--install", members.BUILD, "--prefix", place],
                        ["cmake", "-S", source, "-B", build, "-G", "Ninja", "-DCMAKE_PREFIX_PATH=" + place,
                         "-DCMAKE_BUILD_TYPE=Debug"],
                        ["cmake", "--build", build, "--target", "example_leader_election"]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=250)
            if done.returncode != 0:
                raise AssertionError("%s\n%s%s" % (" ".join(command), done.stdout[-3000:], done.stderr[-3000:]))
        with Member(os.path.join(place, "bin", "quoin")) as member:
            run_example(os.path.join(build, "example_leader_election"), [member.endpoint])


if __name__ == "__main__":
    for example in EXAMPLES:
        run("%s, one member" % example, one_member, example)
    run("all examples, three members", three_members)
    run("distributed_lock in Python, one and three members", in_python)
    run("an example built against an installed quoin", installed)
    finish()
