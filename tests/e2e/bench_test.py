#!/usr/bin/python3
"""The benches run, each for a short while, and their records can be read back. No speed is asserted."""
import json, os, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import equal, finish, run


def short_run(*more):
    with tempfile.TemporaryDirectory(prefix="quoin-test-") as folder:
        command = [sys.executable, os.path.join(members.SOURCE, "bench", "run.py"), "--etcd", "none", "--rounds", "1",
                   "--seconds", "1", "--warmup", "1", "--keys", "200", "--connections", "4", "--streams", "3",
                   "--quoin", members.quoin_binary(), "--loadgen", os.path.join(members.BIN, "loadgen"),
                   "--quoinctl", os.path.join(members.BIN, "quoinctl"), "--output", folder, *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        equal(done.returncode, 0, done.stdout + done.stderr)
        with open(os.path.join(folder, "results.jsonl")) as f:
            record = json.loads(f.read())
        leg, = record["legs"]
        for name, result in leg["workloads"].items():
            assert result["ops"] > 0 and result["ops_per_s"] > 0 and result["anon_mib"] > 0, (name, result)
            for kind in ("put", "range"):
                equal(result.get("kinds", {}).get(kind, {}).get("errors", 0), 0, "errors")
        equal(leg["workloads"]["fill"]["ops"], 200)
        equal(os.listdir(os.path.join(folder, "data")), [], "what is left of data directories")


def watch_fanout():
    with tempfile.TemporaryDirectory(prefix="quoin-test-") as folder:
        command = [sys.executable, os.path.join(members.SOURCE, "bench", "watch_fanout.py"), "--etcd", "none", "--rounds",
                   "1", "--seconds", "1", "--warmup", "0.2", "--quoin", members.quoin_binary(), "--watchload",
                   os.path.join(members.BIN, "watchload"), "--output", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        equal(done.returncode, 0, done.stdout + done.stderr)
        with open(os.path.join(folder, "watch_fanout.jsonl")) as f:
            results = json.loads(f.read())
        equal(len(results), 2)
        for result in results:
            assert result["events"] > 0 and result["server_cpu_us_per_event"] > 0, result


def puts_beside_defragment():
    with tempfile.TemporaryDirectory(prefix="quoin-test-") as folder:
        command = [sys.executable, os.path.join(members.SOURCE, "bench", "defragment.py"), "--keys", "2000", "--big", "40",
                   "--seconds", "1", "--pairs", "1", "--quoin", members.quoin_binary(), "--loadgen",
                   os.path.join(members.BIN, "loadgen"), "--output", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        equal(done.returncode, 0, done.stdout + done.stderr)
        with open(os.path.join(folder, "defragment.jsonl")) as f:
            record = json.loads(f.read())
        assert record["defragment_s"] and all(p["db_after"] < p["db_before"] for p in record["pairs"]), record


def cold_start():
    with tempfile.TemporaryDirectory(prefix="quoin-test-") as folder:
        command = [sys.executable, os.path.join(members.SOURCE, "bench", "cold_start.py"), "--etcd", "none", "--rounds", "1",
                   "--quoin", members.quoin_binary(), "--output", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        equal(done.returncode, 0, done.stdout + done.stderr)
        with open(os.path.join(folder, "cold_start.jsonl")) as f:
            seconds, = json.loads(f.read())["quoin"]
        assert seconds > 0, seconds


if __name__ == "__main__":
    run("bench: a short run", short_run)
    run("bench: three members", lambda: short_run("--members", "3", "--only", "fill,put,range"))
    run("bench: many watchers", watch_fanout)
    run("bench: puts beside Defragment", puts_beside_defragment)
    run("bench: two of three members start", cold_start)
    finish()
