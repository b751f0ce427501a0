#!/usr/bin/python3
"""Plays the recorded conversations of etcd 3.7.1 (../shared/transcripts) against quoin.

The families below are due, but for the cases listed as not due yet.
"""
import os, re, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Skip, finish, run

FAMILIES = ["kv-range", "kv-put", "kv-delete", "kv-txn", "kv-compact", "range-stream", "limits", "maintenance", "health",
            "quota", "cluster", "watch", "lease", "lock", "election", "random"]
NOT_DUE = {
    "maintenance/alarms", "limits/empty-messages", "limits/small-max-request", "cluster/learner",  # users and roles
    "quota/nospace",  # the JSON gateway
}


def cases():
    folder = os.path.join(members.SHARED, "transcripts")
    tool = os.path.join(members.SHARED, "tools", "replay-transcripts")
    if not os.path.exists(tool):
        raise Skip("shared/transcripts is not here")
    due = []
    for family in FAMILIES:
        for name in sorted(os.listdir(os.path.join(folder, family))):
            case = "%s/%s" % (family, name[:-len(".jsonl")])
            if case not in NOT_DUE:
                due.append(os.path.join(folder, family, name))
    done = subprocess.run(["/usr/bin/python3", tool, "--server", members.quoin_binary(), "--jobs", "2"] + due,
                          capture_output=True, text=True, timeout=280)
    print(done.stdout, end="")
    match = re.search(r"(\d+) passed, (\d+) failed", done.stdout)
    if match is None or done.returncode != 0 or int(match[2]) != 0:
        raise AssertionError("exit %d %s" % (done.returncode, done.stderr))
    if int(match[1]) != len(due):
        raise AssertionError("%s of %d cases passed: the rest was skipped" % (match[1], len(due)))


if __name__ == "__main__":
    run("recorded conversations of etcd 3.7.1", cases)
    finish()
