#!/usr/bin/python3
"""What Defragment does to everybody else: small Puts beside it, on a store whose file is full of holes.

    bench/defragment.py                         # 60,000 keys of 1 KB, 1,000 values of 100 KB, five pairs of 5 s
    bench/defragment.py --keys 6000 --big 100 --seconds 1 --pairs 1

Each pair has a store of its own: small keys, big values behind them, then half of the small keys deleted in blocks of
40, a compaction. Defragment is called again and again for as long as the second half lasts; see bench/pairs.py for the
protocol of the pairs."""
import json, os, sys, threading, time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "tests", "lib"))
import etcdapi
import pairs
import run
from etcdapi import rpc

BLOCK = 40


def put_all(client, pairs_of_it, at_once):
    for at in range(0, len(pairs_of_it), at_once):
        client.txn(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value))
                            for key, value in pairs_of_it[at:at + at_once]])


def make_holes(client, options):
    small = [(b"small%07d" % i, b"s" * 1000) for i in range(options.keys)]
    put_all(client, small, 100)
    put_all(client, [(b"big%05d" % i, b"b" * 100000) for i in range(options.big)], 10)
    for block in range(0, options.keys, 2 * BLOCK):
        client.delete(b"small%07d" % block, b"small%07d" % (block + BLOCK))
    client.compact(client.put(b"last", b"l").header.revision, physical=True)


class Defragmenting:
    """Calls Defragment until the half is over. Notes how long each call took."""

    def __init__(self, client, took):
        self._client, self._took, self._stop = client, took, threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()
        return self

    def _loop(self):
        while not self._stop.is_set():
            started = time.monotonic()
            self._client.call("Maintenance/Defragment", rpc.DefragmentRequest(), rpc.DefragmentResponse, timeout=300)
            self._took.append(time.monotonic() - started)

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def one_store(options, binary, took):
    with run.Server("quoin", binary, options.folder) as server:
        client = etcdapi.Client("127.0.0.1:%d" % server.port)
        make_holes(client, options)
        before = client.status()
        done = pairs.one_pair(server, options, lambda: Defragmenting(client, took), pairs.small_puts)
        after = client.status()
    print("  p99 without %.2f ms, with %.2f ms (%.2fx); %d and %d Puts/s; the file %d → %d MiB%s" % (
        done["without"]["p99_ms"], done["with"]["p99_ms"], done["p99_ratio"], done["without"]["ops_per_s"],
        done["with"]["ops_per_s"], before.dbSize >> 20, after.dbSize >> 20,
        "" if done["equal_disk"] else ": the disk changed, not counted"), flush=True)
    return {**done, "db_before": before.dbSize, "db_after": after.dbSize}


def main():
    parser = run.argparse.ArgumentParser(description=__doc__, formatter_class=run.argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quoin", default=os.path.join(run.BUILD, "bin", "quoin"))
    parser.add_argument("--loadgen", default=os.path.join(run.BUILD, "bin", "loadgen"))
    parser.add_argument("--keys", type=int, default=60000)
    parser.add_argument("--big", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--output", default=os.path.join(run.SOURCE, "build", "bench"))
    options = parser.parse_args()
    options.folder = os.path.join(options.output, "data")
    os.makedirs(options.folder, exist_ok=True)
    took, done = [], []
    while sum(p["equal_disk"] for p in done) < options.pairs and len(done) < pairs.TRIES_MAX * options.pairs:
        done.append(one_store(options, options.quoin, took))
    record = {"keys": options.keys, "big": options.big, "pairs": done, **pairs.summary(done), "defragment_s": took}
    print("Put p99 beside Defragment: median %sx of without (%s); %d calls took %.2f to %.2f s" % (
        record["p99_ratio_median"], ", ".join("%.2f" % r for r in record["p99_ratios"]), len(took), min(took), max(took)))
    with open(os.path.join(options.output, "defragment.jsonl"), "a") as f:
        f.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit("defragment: %s" % error)
