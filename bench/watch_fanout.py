#!/usr/bin/python3
"""What it costs to tell many watchers: 10,000 watchers on one key, and 1,000 keys with 10 watchers each.

    bench/watch_fanout.py                        # quoin and etcd in turns, two rounds of 10 s
    bench/watch_fanout.py --rounds 1 --seconds 3 --etcd none

The watchers are spread over 1,000 streams on 100 connections, the watchers of one key over as many of them as there
are. bench/watchload makes the Puts and counts the events; it keeps at most --ahead events on their way, so no watcher is
left behind, and ends with an error unless each watcher got each event once. Server CPU is utime + stime of the process
over the counted time: the Puts are in it."""
import json, os, statistics, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import run

SHAPES = {"1 key, 10,000 watchers": ["--keys", "1", "--watchers", "10000"],
          "1,000 keys, 10 watchers each": ["--keys", "1000", "--watchers", "10"]}
COLUMNS = [("events_per_s", "events/s", "%.0f"), ("server_cpu_us_per_event", "server us/ev", "%.3f"),
           ("watchload_cpu_us_per_event", "client us/ev", "%.3f"), ("puts_per_s", "Puts/s", "%.0f"),
           ("event_p50_ms", "p50 ms", "%.1f"), ("event_p99_ms", "p99 ms", "%.1f"), ("anon_mib", "anon MiB", "%.0f")]


def measure(name, binary, options, shape):
    with run.Server(name, binary, options.folder) as server:
        command = [options.watchload, "--json", *SHAPES[shape], "--warmup", str(options.warmup), "--duration",
                   str(options.seconds), "--value", str(options.value), "--server-pid", str(server.process.pid),
                   "127.0.0.1:%d" % server.port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.seconds + 200)
        if done.returncode != 0:
            raise RuntimeError("watchload against %s: %s\n%s" % (name, done.stderr, server.last_words()))
        result = json.loads(done.stdout)
        result.update(run.memory_mib(server.process.pid), server=name, shape=shape)
    print("  %-6s %-30s %9.0f events/s  %.3f us of server CPU per event" % (
        name, shape, result["events_per_s"], result["server_cpu_us_per_event"]), flush=True)
    return result


def print_table(results, servers):
    print("\n%-30s %-7s" % ("watchers", "server") + "".join("%14s" % title for _, title, _ in COLUMNS))
    for shape in SHAPES:
        rows = []
        for server in servers:
            legs = [r for r in results if r["server"] == server and r["shape"] == shape]
            rows.append({key: statistics.median(r[key] for r in legs) for key, _, _ in COLUMNS})
            print("%-30s %-7s" % (shape, server) + "".join("%14s" % (form % rows[-1][key]) for key, _, form in COLUMNS))
        if len(rows) == 2:
            print("%-30s %-7s" % ("", "ratio") + "".join("%13.2fx" % (rows[0][key] / rows[1][key]) for key, _, _ in COLUMNS))


def main():
    parser = run.argparse.ArgumentParser(description=__doc__, formatter_class=run.argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quoin", default=os.path.join(run.BUILD, "bin", "quoin"))
    parser.add_argument("--etcd", help="etcd's binary, or none (default: what tools/get-etcd gets)")
    parser.add_argument("--watchload", default=os.path.join(run.BUILD, "bin", "watchload"))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warmup", type=float, default=2)
    parser.add_argument("--value", type=int, default=64)
    parser.add_argument("--output", default=os.path.join(run.SOURCE, "build", "bench"))
    options = parser.parse_args()
    options.folder = os.path.join(options.output, "data")
    os.makedirs(options.folder, exist_ok=True)
    servers = run.servers_in_turns(options)
    results = []
    for number in range(options.rounds):
        print("round %d of %d" % (number + 1, options.rounds), flush=True)
        for shape in SHAPES:
            results += [measure(name, binary, options, shape) for name, binary in servers.items()]
    print_table(results, list(servers))
    with open(os.path.join(options.output, "watch_fanout.jsonl"), "a") as f:
        f.write(json.dumps(results) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, subprocess.SubprocessError) as error:
        sys.exit("watch_fanout: %s" % error)
