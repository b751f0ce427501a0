#!/usr/bin/python3
"""A follower whose data file does not sync while its log does: it takes no more of the log than its bound, the others go on, and it
has everything once its disk is well again."""
import os, sys, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import attacks
import members
from members import Cluster, equal, finish, run

# The least that may be asked for. 26 MiB of it are for what a follower has not applied; the applied log (32 MiB), what may be dirty
# (32 MiB) and what is on its way come to that.
FLAGS = ["--memory-limit", str(64 << 20), "--quota-backend-bytes", str(4 << 30)]
VALUE_BYTES = 200_000
GROWTH_MIB_MAX = 160
LEADER_GROWTH_MIB_MAX = 400  # it keeps 256 MiB for a follower that answers


def put(leader, megabytes):
    def writer(number):
        client = leader.client()
        for i in range(number, megabytes * 5, 6):
            client.put(b"k%d" % (i % 50), b"%08d" % i + b"v" * VALUE_BYTES, timeout=60)

    failed = []

    def guarded(number):
        try:
            writer(number)
        except Exception as error:
            failed.append(error)
    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(failed, [], "failed Puts")


def stalls(megabytes, growth_mib_max, snapshots_max):
    disk = attacks.StallableDisk("db")
    with Cluster(3, flags=FLAGS) as cluster:
        leader = cluster.leader()
        follower = cluster.followers()[0]
        follower.stop()
        follower.prefix = disk.prefix
        follower.start()
        put(leader, 5)
        cluster.wait_equal()
        term = leader.client().status().raftTerm
        before, leader_before = attacks.anonymous_mib(follower), attacks.anonymous_mib(leader)
        with disk.stall():
            most = leader_most = 0
            for _ in range(0, megabytes, 50):
                put(leader, 50)
                most = max(most, attacks.anonymous_mib(follower))
                leader_most = max(leader_most, attacks.anonymous_mib(leader))
            said = follower.client().status()
        print("  %d MB written; the follower %.0f MiB, then %.0f, the leader %.0f MiB, then %.0f; %d entries not applied"
              % (megabytes, before, most, leader_before, leader_most, said.raftIndex - said.raftAppliedIndex), flush=True)
        assert leader_most - leader_before <= LEADER_GROWTH_MIB_MAX, "the leader grew to %.0f MiB" % leader_most
        equal(leader.client().status().raftTerm, term, "the term: no election was held")
        assert most - before <= growth_mib_max, "the follower grew from %.0f to %.0f MiB" % (before, most)
        log = open(follower.log).read()
        assert "takes no more entries from the leader" in log
        snapshots = log.count("receiving database snapshot")
        assert snapshots <= snapshots_max, "%d snapshots were sent to a member that cannot install any" % snapshots
        members.until(lambda: follower.client().status().raftAppliedIndex >= said.raftIndex, 120)
        members.until(lambda: follower.client().status().raftAppliedIndex >= leader.client().status().raftIndex, 120)
        cluster.wait_equal(120)


if __name__ == "__main__":
    run("a follower's data file stalls, 200 MB are written", lambda: stalls(200, GROWTH_MIB_MAX, 0))
    # Beyond what the leader keeps for it: it is sent the data file, which it opens in memory, and which waits to be installed.
    run("a follower's data file stalls, 500 MB are written", lambda: stalls(500, 500, 1))
    finish()
