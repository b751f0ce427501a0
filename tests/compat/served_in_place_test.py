#!/usr/bin/python3
"""quoin serves what etcd 3.5, 3.6 and 3.7 left behind, in place: keys, revisions, leases, alarms and HashKV as the same
etcd answered them; and what was damaged on purpose as its description wants: refused without a changed byte, cut with a
word in the log, or whole.

    served_in_place_test.py [PART-OF-A-NAME …]
"""
import hashlib, os, subprocess, sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import members
import vectors_test as vectors
from members import Member, equal, finish, run
from vectors_test import require

# Directories of several members, and those that auth protects, which this release does not serve.
NOT_SERVED = ("member-of-3", "learner", "restored-3", "auth")


def as_recorded(data):
    """Bytes in the recorded form: text where printable, else hex; long ones by length and digest."""
    if len(data) > 256:
        return {"len": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return data


def same_live_keys(client, want):
    answer = client.range(b"\0", b"\0", timeout=60)
    equal(len(answer.kvs), len(want), "number of keys")
    for ours, theirs in zip(answer.kvs, want):
        what = "key %r" % ours.key
        for got, field in ((ours.key, "key"), (ours.value, "value")):
            recorded = theirs[field]
            if isinstance(recorded, dict) and "sha256" in recorded:
                equal(as_recorded(got), recorded, what + " " + field)
            else:
                equal(got, vectors.octets(recorded), what + " " + field)
        equal((ours.create_revision, ours.mod_revision, ours.version, "%x" % (ours.lease % (1 << 64))),
              (theirs["create_revision"], theirs["mod_revision"], theirs["version"], theirs["lease"]), what)
    return answer.header.revision


def same_leases(client, want):
    import etcdapi
    rpc = etcdapi.rpc
    listed = client.call("Lease/LeaseLeases", rpc.LeaseLeasesRequest(), rpc.LeaseLeasesResponse)
    equal(sorted("%x" % (row.ID % (1 << 64)) for row in listed.leases), sorted(row["id"] for row in want), "leases")
    for row in want:
        number = int(row["id"], 16)
        asked = rpc.LeaseTimeToLiveRequest(ID=number - (1 << 64 if number >> 63 else 0), keys=True)
        times = client.call("Lease/LeaseTimeToLive", asked, rpc.LeaseTimeToLiveResponse)
        equal(times.grantedTTL, row["granted_ttl"], "lease %s: TTL" % row["id"])
        require(0 <= times.TTL <= row["granted_ttl"] + 2, "lease %s: %d s left" % (row["id"], times.TTL))
        equal(sorted(times.keys), sorted(vectors.octets(k) for k in row["keys"]), "lease %s: keys" % row["id"])


def same_hashes(client, asked):
    import grpc
    for want in asked:
        revision = want["revision_asked"]
        try:
            got = client.hashkv(revision)
        except grpc.RpcError as error:
            require("error" in want, "HashKV(%d): refused: %s" % (revision, error.details()))
            continue
        require("error" not in want, "HashKV(%d): answered, etcd refused with %s" % (revision, want.get("error")))
        vectors.same_hash({"hash": got.hash, "compact_revision": got.compact_revision, "hash_revision": got.hash_revision},
                          want, "HashKV(%d)" % revision)


def sound(name):
    expected = vectors.expectation(name)
    head = expected["head"]
    flags = [f for f in ["--snapshot-count=10000"] if "segments" not in name]
    with vectors.unpacked(name) as folder, \
            Member(members.quoin_binary(), flags, data_dir=folder, start=False) as member:
        member.start(wait=False).wait_ready(alarms=True)
        client = member.client()
        status = client.status()
        equal("%x" % status.header.member_id, expected["member_id"], "member id")
        equal("%x" % status.header.cluster_id, expected["cluster_id"], "cluster id")
        equal(same_live_keys(client, head["live_keys"]), head["revision"], "revision")
        same_leases(client, head["leases"])
        same_hashes(client, expected.get("hashkv_after_restart") or [])
        equal(len([e for e in status.errors if "NOSPACE" in e]), len(head.get("alarms") or []), "alarms")
        if not head.get("alarms"):
            equal(client.put(b"written by quoin", b"here").header.revision, head["revision"] + 1, "revision of a put")
        member.stop()
        vectors.output("check", folder)


def refused(name, wanted):
    with vectors.unpacked(name) as folder, vectors.untouched(folder):
        member = Member(members.quoin_binary(), data_dir=folder, start=False)
        with open(member.log, "ab") as log:
            done = subprocess.run([member.binary] + member.arguments(), stdout=log, stderr=log, timeout=60)
        require(done.returncode > 0, "exit code %d" % done.returncode)
        require(wanted[1] in member.log_tail(), "the log does not name %s:\n%s" % (wanted[1], member.log_tail()))


def damaged(name):
    expected = vectors.expectation(name)
    wanted = vectors.DAMAGED[name.split("-broken-", 1)[1]]
    if wanted[0] == "refuse":
        return refused(name, wanted)
    with vectors.unpacked(name) as folder, Member(members.quoin_binary(), data_dir=folder) as member:
        client = member.client()
        if wanted[0] == "cut":
            equal(client.range(b"\0").header.revision, expected["etcd_3.7.1"]["revision"], "revision without the torn entry")
            same_hashes(client, [dict(expected["etcd_3.7.1"]["hashkv"], revision_asked=0)])
            kept = [f for _, _, files in os.walk(folder) for f in files if "broken" in f]
            require(kept, "no copy of the damaged log was kept")
            with open(member.log, errors="replace") as log:
                require("torn" in log.read(), "the log says nothing of the torn tail")
        elif wanted[0] == "whole":
            keys = vectors.undamaged_keys(expected)
            equal(same_live_keys(client, keys), expected["base"]["revision"], "revision")
            same_hashes(client, [dict(expected["base"]["hashkv"], revision_asked=0)])
        else:  # a bit of a value: nothing but the hash can tell
            require(client.hashkv().hash != expected["base"]["hashkv"]["hash"], "the hash does not tell of the flipped bit")


def main(wanted):
    if not os.path.isdir(vectors.VECTORS):
        print("SKIPPED all: no vectors in %s" % vectors.VECTORS)
        return finish()
    for name in vectors.names(wanted):
        if "-broken-" in name:
            run(name, damaged, name)
        elif not name.endswith("-snapshot-file") and not name.endswith(NOT_SERVED):
            run(name, sound, name)
    finish()


if __name__ == "__main__":
    main(sys.argv[1:])
