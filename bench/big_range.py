#!/usr/bin/python3
"""A Range over a million keys of 1 KB, again and again, beside small Puts: how much memory it takes and how much it disturbs.

    bench/big_range.py                          # quoin, five pairs of 30 s
    bench/big_range.py --server etcd            # the same for etcd
    bench/big_range.py --keys 100000 --seconds 5 --pairs 1

The answer is read by h2load as fast as it can, both unary and as a RangeStream once alone. See bench/pairs.py for
the protocol of the pairs."""
import json, os, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import pairs
import run


class RangeLoop:
    """h2load asking for everything, one call at a time, until it is told to stop."""

    def __init__(self, server, method):
        self.path = os.path.join(server.root, "range-body")
        with open(self.path, "wb") as f:
            f.write(run.grpc_body([(1, b"\0"), (2, b"\0")]))
        self.url = "http://127.0.0.1:%d/etcdserverpb.KV/%s" % (server.port, method)

    def command(self, *how):
        return ["h2load", "-t1", "-c1", "-m1", "-w24", "-W24", *how, "-d", self.path, "-H", "content-type: application/grpc",
                "-H", "te: trailers", self.url]

    def __enter__(self):
        self.process = subprocess.Popen(self.command("-n", "1000000"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def once(self):
        started = time.monotonic()
        text = subprocess.run(self.command("-n", "1"), capture_output=True, text=True, timeout=600, check=True).stdout
        if "1 succeeded" not in text:
            raise RuntimeError("the big range failed: " + text)
        return time.monotonic() - started


def main():
    parser = run.argparse.ArgumentParser(description=__doc__, formatter_class=run.argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=("quoin", "etcd"), default="quoin")
    parser.add_argument("--quoin", default=os.path.join(run.BUILD, "bin", "quoin"))
    parser.add_argument("--etcd")
    parser.add_argument("--loadgen", default=os.path.join(run.BUILD, "bin", "loadgen"))
    parser.add_argument("--keys", type=int, default=1000000)
    parser.add_argument("--value", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--output", default=os.path.join(run.SOURCE, "build", "bench"))
    options = parser.parse_args()
    options.folder = os.path.join(options.output, "data")
    os.makedirs(options.folder, exist_ok=True)
    binary = options.quoin if options.server == "quoin" else run.find_etcd(options.etcd)
    with run.Server(options.server, binary, options.folder) as server:
        filled = run.loadgen(server, options, "fill", 0)
        print("%s: %d keys of %d bytes in %.0f s" % (options.server, options.keys, options.value, filled["seconds"]), flush=True)
        pid = server.process.pid
        time.sleep(2)  # the last checkpoint of the fill is not the range's
        record = {"server": options.server, "keys": options.keys, "value": options.value}
        for method in ("Range", "RangeStream") if options.server == "quoin" else ("Range",):
            loop = RangeLoop(server, method)
            cpu = run.cpu_seconds(pid)
            with pairs.MemoryPeak(pid) as memory:
                seconds = loop.once()
            record[method] = {"seconds": round(seconds, 2), "cpu_seconds": round(run.cpu_seconds(pid) - cpu, 2),
                              "anon_mib_before": memory.before, "anon_mib_peak": memory.peak}
            print("  %-11s %.2f s, %.2f s of server CPU; anonymous memory %.0f MiB before, at most %.0f MiB (+%.0f)" % (
                method, seconds, record[method]["cpu_seconds"], memory.before, memory.peak, memory.peak - memory.before),
                flush=True)
        done = pairs.run_pairs(server, options, lambda: RangeLoop(server, "Range"), options.pairs)
        record.update(pairs=done, **pairs.summary(done), memory_at_end=run.memory_mib(pid))
    print("Put p99 with the range beside it, on an equal disk: median %sx of without (%s)" % (
        record["p99_ratio_median"], ", ".join("%.2f" % r for r in record["p99_ratios"])))
    with open(os.path.join(options.output, "big_range.jsonl"), "a") as f:
        f.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, subprocess.SubprocessError) as error:
        sys.exit("big_range: %s" % error)
