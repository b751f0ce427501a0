#!/usr/bin/python3
"""What slow watchers do to everybody else: one reads 500,000 revisions of the past, again and again, and others never read
at all, beside small Puts and a watcher that follows them.

    bench/watch_slow.py                         # quoin, five pairs of 30 s
    bench/watch_slow.py --server etcd           # the same for etcd
    bench/watch_slow.py --revisions 20000 --seconds 3 --pairs 1

Each half is bench/watchload with four writers and one live watcher of all keys, which sees how old the events are that
reach it; see bench/pairs.py for the protocol of the pairs."""
import json, os, statistics, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import pairs
import run

SILENT_WATCHERS = 10


def puts_and_a_watcher(server, options):
    command = [options.watchload, "--json", "--keys", "1000", "--watchers", "1", "--prefix", "--connections", "1",
               "--streams", "1", "--writers", "4", "--calls", "1", "--value", "64", "--warmup", "1", "--duration",
               str(options.seconds), "127.0.0.1:%d" % server.port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=options.seconds + 200)
    if done.returncode != 0:
        raise RuntimeError("watchload: %s\n%s" % (done.stderr, server.last_words()))
    result = json.loads(done.stdout)
    return {"ops": result["puts"], "seconds": result["seconds"], "p50_ms": result["put_p50_ms"],
            "p99_ms": result["put_p99_ms"], "event_p50_ms": result["event_p50_ms"],
            "event_p99_ms": result["event_p99_ms"], "event_max_ms": result["event_max_ms"]}


class SlowOnes:
    """The watchers that disturb. Notes how long the one that is behind took each time to come to the end."""

    def __init__(self, server, options, caught_up):
        self.server, self.options, self.caught_up = server, options, caught_up

    def start(self, *how):
        command = [self.options.watchload, *how, "--duration", "100000", "127.0.0.1:%d" % self.server.port]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        one = ["--connections", "1", "--streams", "1"]
        self.processes = [
            self.start("--mode", "behind", "--from", "2", "--events", str(self.options.revisions), *one),
            self.start("--mode", "silent", "--prefix", "--watchers", str(SILENT_WATCHERS), *one)]
        time.sleep(0.5)  # for the silent ones to be there
        return self

    def __exit__(self, *_):
        ended = [p for p in self.processes if p.poll() is not None]
        for process in self.processes:
            process.terminate()
        outputs = [process.communicate() for process in self.processes]
        if ended:
            raise RuntimeError("a slow watcher ended: %s" % outputs)
        self.caught_up += [float(line) for line in outputs[0][0].split()]


def main():
    parser = run.argparse.ArgumentParser(description=__doc__, formatter_class=run.argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=("quoin", "etcd"), default="quoin")
    parser.add_argument("--quoin", default=os.path.join(run.BUILD, "bin", "quoin"))
    parser.add_argument("--etcd")
    for program in ("loadgen", "watchload"):
        parser.add_argument("--" + program, default=os.path.join(run.BUILD, "bin", program))
    parser.add_argument("--revisions", type=int, default=500000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--output", default=os.path.join(run.SOURCE, "build", "bench"))
    options = parser.parse_args()
    options.folder = os.path.join(options.output, "data")
    options.keys, options.value, options.connections, options.streams = options.revisions, 64, 20, 10
    os.makedirs(options.folder, exist_ok=True)
    binary = options.quoin if options.server == "quoin" else run.find_etcd(options.etcd)
    caught_up = []
    with run.Server(options.server, binary, options.folder) as server:
        run.loadgen(server, options, "fill", 0)
        time.sleep(2)  # the last checkpoint of the fill is not the watchers'
        before = run.memory_mib(server.process.pid)["anon_mib"]
        done = pairs.run_pairs(server, options, lambda: SlowOnes(server, options, caught_up), options.pairs,
                               load=puts_and_a_watcher)
        record = {"server": options.server, "revisions": options.revisions, "pairs": done, **pairs.summary(done),
                  "caught_up_s": caught_up, "anon_mib_before": before, "memory_at_end": run.memory_mib(server.process.pid)}
    events = [pair["with"]["event_p99_ms"] for pair in done]
    record["event_p99_ms_median"] = statistics.median(events)
    print("Put p99 with slow watchers: median %sx of without (%s)" % (
        record["p99_ratio_median"], ", ".join("%.2f" % r for r in record["p99_ratios"])))
    print("a live watcher's events, p99: %s ms; without: %s ms" % (
        ", ".join("%.2f" % e for e in events), ", ".join("%.2f" % pair["without"]["event_p99_ms"] for pair in done)))
    print("%d revisions behind: caught up %d times, median %.2f s; anonymous memory %.0f MiB before, %.0f at the end" % (
        options.revisions, len(caught_up), statistics.median(caught_up) if caught_up else float("nan"), before,
        record["memory_at_end"]["anon_mib"]))
    with open(os.path.join(options.output, "watch_slow.jsonl"), "a") as f:
        f.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, subprocess.SubprocessError) as error:
        sys.exit("watch_slow: %s" % error)
