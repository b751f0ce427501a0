#!/usr/bin/python3
"""Leases in great number: quoin and etcd in turns.

    bench/leases.py keepalive                  # renewals per second and server CPU for each, spread over 10,000 leases
    bench/leases.py million                    # 1,000,000 live leases: memory, grants, renewals, a restart
    bench/leases.py storm --server quoin       # 100,000 leases that end in the same second, small Puts beside them
    bench/leases.py keepalive --rounds 1 --seconds 2 --etcd none

keepalive and million: 100 connections with one keepalive stream each and --ahead renewals on their way on each; each renewal
is a message in a frame of its own. Server CPU is utime + stime of the process over the counted time.

storm: each lease has one key. All leases are renewed once, within a second; then 4 connections make one small Put after
another. Counted are the Puts of the last --idle seconds before the first lease may end ("idle"), and those from there until a
watcher has seen every key deleted ("storm"): that time is also how long it took until all were gone. So each round is a pair of
one server, and the rounds are its repetitions. A probe of the disk (4 KiB, fdatasync, every 50 ms) runs beside both; a
round whose probes differ by more than 20 % is shown as such and not counted."""
import json, os, statistics, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import pairs
import run

TRIES_MORE = 4  # rounds, for those whose disk was not equal


def leaseload(server, options, mode, *more, leases=None):
    command = [options.leaseload, "--json", "--mode", mode, "--leases", str(leases or options.leases), "--server-pid",
               str(server.process.pid), *more, "127.0.0.1:%d" % server.port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    if done.returncode != 0:
        raise RuntimeError("%s: %s%s\n%s" % (" ".join(command), done.stdout, done.stderr, server.last_words()))
    return json.loads(done.stdout)


def renewals(server, options):
    return leaseload(server, options, "renew", "--ahead", str(options.ahead), "--warmup", str(options.warmup), "--duration",
                     str(options.seconds))


# ---- renewals ----

def keepalive_leg(name, binary, options):
    with run.Server(name, binary, options.folder) as server:
        leaseload(server, options, "grant", "--streams", "10")
        result = renewals(server, options)
        result.update(server=name, **run.memory_mib(server.process.pid))
    print("  %-6s %8d renewals/s  %6.2f us of server CPU each (leaseload %.2f)  p50 %.2f, p99 %.2f ms" % (
        name, result["per_second"], result["server_cpu_us_per_op"], result["leaseload_cpu_us_per_op"], result["p50_ms"],
        result["p99_ms"]), flush=True)
    return result


# ---- a million of them ----

def restart(server):
    """Seconds from the start of the process on what it left behind to a linearizable read."""
    server.process.terminate()
    server.process.wait(120)
    command, env = server.process.args, {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}
    started = time.monotonic()
    server.process = subprocess.Popen(command, stdout=server.log, stderr=server.log, env=env)
    server.processes = [server.process]
    server.wait_ready()
    return time.monotonic() - started


def million_leg(name, binary, options):
    with run.Server(name, binary, options.folder) as server:
        before = run.memory_mib(server.process.pid)["anon_mib"]
        grants = leaseload(server, options, "grant", "--streams", "10")
        with_leases = run.memory_mib(server.process.pid)["anon_mib"]
        renewed = renewals(server, options)
        seconds = restart(server)
        after = run.memory_mib(server.process.pid)["anon_mib"]
        leaseload(server, options, "renew", "--once")  # all of them live
    result = {"server": name, "grants_per_s": grants["per_second"], "cpu_us_per_grant": grants["server_cpu_us_per_op"],
              "anon_mib": with_leases, "bytes_per_lease": round((with_leases - before) * (1 << 20) / options.leases),
              "renewals_per_s": renewed["per_second"], "cpu_us_per_renewal": renewed["server_cpu_us_per_op"],
              "restart_s": round(seconds, 2), "anon_mib_after_restart": after}
    print("  " + ", ".join("%s %s" % pair for pair in result.items()), flush=True)
    return result


# ---- all at once ----

def storm_round(server, options, first):
    ttl = str(options.idle + 6)
    more = ["--first", str(first), "--ttl", ttl]
    leaseload(server, options, "grant", "--streams", "10", *more)
    leaseload(server, options, "attach", "--streams", "10", *more)
    with pairs.Probe(options.folder) as probe:
        result = leaseload(server, options, "storm", "--duration", str(options.idle), *more)
    result["idle"]["probe_ms"] = round(probe.median_between(result["idle_from"], result["storm_from"]), 3)
    result["storm"]["probe_ms"] = round(probe.median_between(result["storm_from"], result["storm_until"]), 3)
    result["p99_ratio"] = round(result["storm"]["p99_ms"] / result["idle"]["p99_ms"], 2)
    a, b = sorted((result["idle"]["probe_ms"], result["storm"]["probe_ms"]))
    result["equal_disk"] = b <= a * pairs.PROBE_RATIO
    print("  %d leases renewed in %.2f s, gone %.2f s after the first may end; Put p99 idle %.2f ms (%d), storm %.2f ms (%d): "
          "%.2fx; probe %.2f and %.2f ms%s" % (
              result["leases"], result["renewed_s"], result["gone_s"], result["idle"]["p99_ms"], result["idle"]["count"],
              result["storm"]["p99_ms"], result["storm"]["count"], result["p99_ratio"], result["idle"]["probe_ms"],
              result["storm"]["probe_ms"], "" if result["equal_disk"] else ": not equal"), flush=True)
    return result


def storm(name, binary, options):
    results, good = [], []
    with run.Server(name, binary, options.folder) as server:
        while len(good) < options.rounds and len(results) < options.rounds + TRIES_MORE:
            results.append(storm_round(server, options, 1 + len(results) * options.leases))
            good = [r for r in results if r["equal_disk"]]
    counted = good or results
    print("%s: median of %d rounds%s: gone after %.2f s, Put p99 %.2fx of idle (%s)" % (
        name, len(counted), " on an equal disk" if good else "", statistics.median(r["gone_s"] for r in counted),
        statistics.median(r["p99_ratio"] for r in counted), ", ".join("%.2f" % r["p99_ratio"] for r in counted)))
    return results


def in_turns(leg, servers, options):
    results = []
    for number in range(options.rounds):
        print("round %d of %d" % (number + 1, options.rounds), flush=True)
        results += [leg(name, binary, options) for name, binary in servers.items()]
    keys = [k for k in results[0] if k not in ("server", "errors", "count", "seconds")]
    print("\n%-26s" % "median" + "".join("%12s" % name for name in servers) + ("%12s" % "ratio" if len(servers) == 2 else ""))
    for key in keys:
        row = [statistics.median(r[key] for r in results if r["server"] == name) for name in servers]
        ratio = "%11.2fx" % (row[0] / row[1]) if len(row) == 2 and row[1] else ""
        print("%-26s" % key + "".join("%12.2f" % value for value in row) + ratio)
    return results


def main():
    parser = run.argparse.ArgumentParser(description=__doc__, formatter_class=run.argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("keepalive", "million", "storm"))
    parser.add_argument("--server", choices=("quoin", "etcd"), default="quoin", help="of storm")
    parser.add_argument("--quoin", default=os.path.join(run.BUILD, "bin", "quoin"))
    parser.add_argument("--etcd", help="etcd's binary, or none (default: what tools/get-etcd gets)")
    parser.add_argument("--leaseload", default=os.path.join(run.BUILD, "bin", "leaseload"))
    parser.add_argument("--leases", type=int, help="default 10,000; 1,000,000; 100,000")
    parser.add_argument("--rounds", type=int, help="default 3; 1; 5")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warmup", type=float, default=2)
    parser.add_argument("--idle", type=int, default=30, help="seconds of Puts before a storm")
    parser.add_argument("--ahead", type=int, default=10)
    parser.add_argument("--output", default=os.path.join(run.SOURCE, "build", "bench"))
    options = parser.parse_args()
    leases, rounds = {"keepalive": (10000, 3), "million": (1000000, 1), "storm": (100000, 5)}[options.part]
    options.leases, options.rounds = options.leases or leases, options.rounds or rounds
    options.folder = os.path.join(options.output, "data")
    os.makedirs(options.folder, exist_ok=True)
    servers = run.servers_in_turns(options)
    if options.part == "storm":
        results = storm(options.server, servers[options.server], options)
    else:
        results = in_turns(keepalive_leg if options.part == "keepalive" else million_leg, servers, options)
    with open(os.path.join(options.output, "leases.jsonl"), "a") as f:
        f.write(json.dumps({"part": options.part, "leases": options.leases, "results": results}) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        sys.exit("leases: %s" % error)
