#!/usr/bin/python3
"""Members that are absent, out of space, or have lost what they promised: what the others do, and what stands in the logs."""
import collections, json, os, re, shutil, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from members import Cluster, Member, equal, finish, quoin_binary, run, until

LOST = re.compile(r"tocommit\((\d+)\) is out of range \[lastIndex\((\d+)\)\]\. Was the raft log corrupted, truncated, or lost\?")


def lines(member):
    with open(member.log, errors="replace") as log:
        return [json.loads(line) for line in log if line.startswith("{")]


def messages(member, level):
    return [line["msg"] for line in lines(member) if line["level"] == level]


def most_in_a_second(member):
    """The warning that its cause repeated most often within one second, and how often."""
    seen = collections.Counter((line["ts"][:19], line["caller"], line["msg"], line.get("from"), line.get("peer-id"))
                               for line in lines(member) if line["level"] in ("warn", "error"))
    return max(((n, what) for what, n in seen.items()), default=(0, None))


def put_back_from_an_older_copy():
    with Cluster(3) as c:
        victim, older = c.followers()[0], os.path.join(c[0].root, "older")
        client = c.leader().client()
        for i in range(20):
            client.put(b"k%d" % i, b"v")
        victim.stop()
        shutil.copytree(victim.data_dir, older)
        victim.start()
        for i in range(200):
            client.put(b"later%d" % i, b"v")
        until(lambda: victim.client().status().raftAppliedIndex >= client.status().raftAppliedIndex)
        victim.stop()
        shutil.rmtree(victim.data_dir)
        shutil.copytree(older, victim.data_dir)
        for _ in range(2):  # and again at each start
            open(victim.log, "w").close()
            victim.start(wait=False)
            equal(victim.process.wait(60), 2, victim.log_tail())
            said = LOST.fullmatch(messages(victim, "panic")[-1])
            assert said and int(said.group(1)) > int(said.group(2)), messages(victim, "panic")
            assert LOST.search(victim.log_tail(1)), victim.log_tail(2)
            assert most_in_a_second(victim)[0] <= 2, most_in_a_second(victim)
        victim.process = None
        equal(client.put(b"others", b"go on").header.revision, 222)

        # A member that is new, and one that was wiped and added anew, are none of that.
        gone = next(m.ID for m in client.member_list().members if m.name == victim.name)
        client.member_remove(gone)
        c.members.remove(victim)
        joined = c.join()
        learner = c.join(learner=True)
        for i in range(20):
            client.put(b"last%d" % i, b"v")
        applied = client.status().raftAppliedIndex
        for m in (joined, learner):
            until(lambda: m.client().status().raftAppliedIndex >= applied)
            assert m.process.poll() is None
            equal(messages(m, "panic"), [])


def two_of_three():
    cluster = Cluster(3)
    try:
        for m in cluster.members[:2]:
            m.start(wait=False)
        for m in cluster.members[:2]:
            m.wait_ready()
        equal(cluster[0].client().put(b"k", b"v").header.revision, 2)
        cluster[1].kill()
        until(lambda: "1 of 3 members reachable; nothing can be written until 2 are" in messages(cluster[0], "warn"))
        cluster[2].start()
        until(lambda: "2 of 3 members reachable again" in messages(cluster[0], "info"))
        equal(cluster[2].client().put(b"k", b"v").header.revision, 3)
        for m in (cluster[0], cluster[2]):
            assert most_in_a_second(m)[0] <= 2, most_in_a_second(m)
    finally:
        cluster.__exit__()


def out_of_space():
    import grpc
    with Member(quoin_binary(), ["--quota-backend-bytes", "1048576"]) as m:
        client = m.client()
        try:
            for i in range(100):
                client.put(b"k%d" % i, b"v" * 100000)
            raise AssertionError("it took all")
        except grpc.RpcError as error:
            equal(error.details(), "etcdserver: mvcc: database space exceeded")
        until(lambda: any("reached its quota of 1048576 bytes" in message for message in messages(m, "warn")))


run("a directory put back from an older copy", put_back_from_an_older_copy)
run("two of three members", two_of_three)
run("a member without space", out_of_space)
finish()
