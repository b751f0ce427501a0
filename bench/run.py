#!/usr/bin/python3
"""Measures quoin and etcd beside each other on this machine.

    bench/run.py                                  # build/release/bin/quoin against tools/get-etcd's etcd
    bench/run.py --quoin PATH --etcd PATH --rounds 3 --seconds 20
    bench/run.py --only put,range                 # some workloads
    bench/run.py --etcd none                      # quoin alone
    bench/run.py --members 3                      # three members on this machine, clients talk to the leader

Servers take turns (A B A B …), each time with an empty data directory and every sync done. Before each turn the disk
itself is timed. Server CPU per operation is utime + stime of the process over the counted time; memory is read from
smaps_rollup after each workload, anonymous and file-backed apart; of several members both are sums. The table shows
the median over the rounds and the spread; every single figure goes to build/bench/results.jsonl."""
import argparse, hashlib, http.client, json, os, platform, re, shutil, signal, socket, statistics, subprocess, sys
import tempfile, time

import report

SOURCE = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))
BUILD = os.environ.get("QUOIN_BUILD", os.path.join(SOURCE, "build", "release"))
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
ONE_KEY = b"bench-one-key"


# ---- the disk and the process, as the kernel counts them ----

def sync_probe(folder, count=100):
    """Milliseconds of a 4 KiB write with fdatasync, as a log makes them: median and worst of `count`."""
    took = []
    path = os.path.join(folder, "probe")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        for i in range(count):
            started = time.perf_counter()
            os.pwrite(fd, b"x" * 4096, i * 4096)
            os.fdatasync(fd)
            took.append((time.perf_counter() - started) * 1e3)
    finally:
        os.close(fd)
        os.unlink(path)
    return {"p50_ms": round(statistics.median(took), 3), "max_ms": round(max(took), 3)}


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def memory_mib(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        kib = {line.split(":")[0]: int(line.split()[1]) for line in f if line.rstrip().endswith("kB")}
    return {"anon_mib": round(kib["Anonymous"] / 1024, 1), "file_mib": round((kib["Rss"] - kib["Anonymous"]) / 1024, 1)}


# ---- servers ----

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """Members with empty data directories, stopped and removed at the end of a `with`. `port` and `process` are those of
    the one that leads when it starts. `under`: the command line that runs the binary, valgrind's for example."""

    def __init__(self, name, binary, folder, members=1, under=()):
        self.name, self.binary, self.under = name, binary, list(under)
        self.root = tempfile.mkdtemp(prefix="bench-%s-" % name, dir=folder)
        self.ports = [free_port() for _ in range(members)]
        self.port, self.process, self.processes = self.ports[0], None, []

    def __enter__(self):
        peers = ["http://127.0.0.1:%d" % free_port() for _ in self.ports]
        cluster = ",".join("m%d=%s" % numbered for numbered in enumerate(peers))
        env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}
        self.log = open(os.path.join(self.root, "log"), "w+b")
        for number, (port, peer) in enumerate(zip(self.ports, peers)):
            client = "http://127.0.0.1:%d" % port
            arguments = ["--name", "m%d" % number, "--data-dir", os.path.join(self.root, "data%d" % number),
                         "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
                         "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster, "--quota-backend-bytes",
                         str(8 << 30), "--log-level", "error"]
            self.processes.append(subprocess.Popen(self.under + [self.binary] + arguments, stdout=self.log, stderr=self.log, env=env))
        self.process = self.processes[0]
        try:
            self.wait_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def wait_ready(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and all(p.poll() is None for p in self.processes):
            try:
                if all(self.http("GET", "/health", port=port)[0] == 200 for port in self.ports) and self.find_leader():
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError("%s does not get ready\n%s" % (self.name, self.last_words()))

    def find_leader(self):
        for port, process in zip(self.ports, self.processes):
            if b"\netcd_server_is_leader 1\n" in self.http("GET", "/metrics", port=port)[1]:
                self.port, self.process = port, process
                return True
        return False

    def cpu_seconds(self):
        return sum(cpu_seconds(p.pid) for p in self.processes)

    def memory_mib(self):
        each = [memory_mib(p.pid) for p in self.processes]
        return {key: round(sum(m[key] for m in each), 1) for key in each[0]}

    def last_words(self):
        """Whether it lives, and the end of its log."""
        self.log.seek(0)
        end = self.log.read().decode(errors="replace")[-2000:]
        codes = [p.poll() for p in self.processes]
        return ("still running" if codes == [None] * len(codes) else "ended with %s" % codes) + "\n" + end

    def http(self, method, path, body=None, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()

    def __exit__(self, *_):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()
        shutil.rmtree(self.root, ignore_errors=True)


# ---- workloads: each returns {"ops", "seconds", latencies…} of one counted run ----

def loadgen(server, options, mode, seconds):
    command = [options.loadgen, "--json", "--mode", mode, "--keys", str(options.keys), "--value", str(options.value),
               "--connections", str(options.connections), "--streams", str(options.streams), "--warmup", "0",
               "--duration", str(seconds), "127.0.0.1:%d" % server.port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 300)
    if done.returncode != 0:
        raise RuntimeError("loadgen --mode %s against %s: %s%s" % (mode, server.name, done.stdout, done.stderr))
    result = json.loads(done.stdout)
    kinds = [result[k] for k in ("put", "range") if k in result]
    worst = {q: max(k[q] for k in kinds) for q in ("p50_ms", "p99_ms", "p999_ms")}
    return {"ops": result["ops"], "seconds": result["seconds"], "kinds": result, **worst}


def grpc_body(fields):
    """A gRPC message of (number, bytes) fields, each shorter than 16384 bytes."""
    def varint(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7])
    message = b"".join(bytes([number << 3 | 2]) + varint(len(text)) + text for number, text in fields)
    return b"\0" + len(message).to_bytes(4, "big") + message


def h2load(server, options, method, body, seconds):
    path = os.path.join(server.root, "body")
    with open(path, "wb") as f:
        f.write(body)
    command = ["h2load", "-t1", "-c%d" % options.connections, "-m%d" % options.streams, "-D%d" % max(1, round(seconds)),
               "-d", path, "-H", "content-type: application/grpc", "-H", "te: trailers",
               "http://127.0.0.1:%d/etcdserverpb.KV/%s" % (server.port, method)]
    text = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=True).stdout
    counts = re.search(r"requests: .* (\d+) succeeded, (\d+) failed", text)
    mean = re.search(r"time for request: +\S+ +\S+ +([\d.]+)(us|ms|s) ", text)
    took = re.search(r"finished in ([\d.]+)(ms|s)", text)
    unit = {"us": 1e-3, "ms": 1, "s": 1e3}
    return {"ops": int(counts.group(1)), "seconds": float(took.group(1)) * unit[took.group(2)] / 1e3,
            "mean_ms": round(float(mean.group(1)) * unit[mean.group(2)], 3)}


def h2load_put(server, options, seconds):
    return h2load(server, options, "Put", grpc_body([(1, ONE_KEY), (2, b"v" * options.value)]), seconds)


def h2load_range(server, options, seconds):
    return h2load(server, options, "Range", grpc_body([(1, ONE_KEY)]), seconds)


def check_one_key(server, options, puts):
    """h2load sees HTTP's status alone, so the store is asked whether the puts have arrived."""
    done = subprocess.run([options.quoinctl, "--endpoints", "127.0.0.1:%d" % server.port, "-w", "json", "get", ONE_KEY],
                          capture_output=True, text=True, timeout=60, check=True)
    version = json.loads(done.stdout).get("kvs", [{}])[0].get("version", 0)
    if version < puts:
        raise RuntimeError("%s answered %d puts of one key, which is at version %d" % (server.name, puts, version))


def fill(server, options, _seconds):
    return loadgen(server, options, "fill", 0)


WORKLOADS = {
    "put-1": ("put, 1 key (h2load)", h2load_put),
    "range-1": ("range, 1 key (h2load)", h2load_range),
    "fill": ("put, each key once", fill),
    "put": ("put", lambda server, options, seconds: loadgen(server, options, "put", seconds)),
    "range": ("range, linearizable", lambda server, options, seconds: loadgen(server, options, "range", seconds)),
    "mixed": ("half puts, half ranges", lambda server, options, seconds: loadgen(server, options, "mixed", seconds)),
}


def run_workload(server, options, name):
    run = WORKLOADS[name][1]
    server.wait_ready()  # under load the lead may have passed on
    if name != "fill":
        run(server, options, options.warmup)
    cpu = server.cpu_seconds()
    result = run(server, options, options.seconds)
    cpu = server.cpu_seconds() - cpu
    result.update(server.memory_mib(), ops_per_s=round(result["ops"] / result["seconds"]),
                  cpu_us_per_op=round(cpu * 1e6 / result["ops"], 2))
    if name == "put-1":
        check_one_key(server, options, result["ops"])
    return result


def run_leg(name, binary, options):
    probe = sync_probe(options.folder)
    leg = {"server": name, "sync_probe": probe, "load_average": os.getloadavg()[0], "workloads": {}}
    with Server(name, binary, options.folder, options.members) as server:
        for workload in options.workloads:
            try:
                leg["workloads"][workload] = result = run_workload(server, options, workload)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                raise RuntimeError("%s\n%s: %s" % (error, name, server.last_words())) from error
            print("  %-6s %-8s %8d op/s  %7.2f us CPU/op  anon %6.1f MiB" % (
                name, workload, result["ops_per_s"], result["cpu_us_per_op"], result["anon_mib"]), flush=True)
    return leg


# ---- the whole ----

def describe_binary(path):
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip().split("\n")[0]
    return {"version": version, "sha256": digest[:16]}


def find_etcd(path):
    if path == "none":
        return None
    if path:
        return path
    tool = subprocess.run([os.path.join(SOURCE, "tools", "get-etcd"), os.path.join(SOURCE, "build", "etcd")],
                          capture_output=True, text=True)
    lines = [line for line in tool.stdout.split("\n") if line.endswith("/etcd")]
    return lines[0] if tool.returncode == 0 and lines else None


def servers_in_turns(options):
    """Name and binary of what is compared."""
    servers = {"quoin": options.quoin}
    etcd = find_etcd(options.etcd)
    if etcd:
        servers["etcd"] = etcd
    else:
        print("SKIPPED: etcd, there is none to compare with")
    return servers


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quoin", default=os.path.join(BUILD, "bin", "quoin"))
    parser.add_argument("--etcd", help="etcd's binary, or none (default: what tools/get-etcd gets)")
    parser.add_argument("--loadgen", default=os.path.join(BUILD, "bin", "loadgen"))
    parser.add_argument("--quoinctl", default=os.path.join(BUILD, "bin", "quoinctl"))
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warmup", type=float, default=2)
    parser.add_argument("--keys", type=int, default=100000)
    parser.add_argument("--value", type=int, default=256)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--only", help="workloads, comma separated: " + ",".join(WORKLOADS))
    parser.add_argument("--docs", help="a document whose table is written anew: docs/bench.md")
    parser.add_argument("--output", default=os.path.join(SOURCE, "build", "bench"), help="folder for results and data")
    options = parser.parse_args()
    options.workloads = options.only.split(",") if options.only else list(WORKLOADS)
    unknown = [w for w in options.workloads if w not in WORKLOADS]
    if unknown:
        parser.error("no such workload: " + ", ".join(unknown))
    if not shutil.which("h2load"):
        print("SKIPPED: workloads with one key, h2load (package nghttp2-client) is not installed")
        options.workloads = [w for w in options.workloads if not w.endswith("-1")]
    options.folder = os.path.join(options.output, "data")
    os.makedirs(options.folder, exist_ok=True)
    return options


def main():
    options = parse_options()
    servers = servers_in_turns(options)
    legs = []
    for number in range(options.rounds):
        print("round %d of %d" % (number + 1, options.rounds), flush=True)
        for name, binary in servers.items():
            legs.append(run_leg(name, binary, options))
    titles = {workload: WORKLOADS[workload][0] for workload in options.workloads}
    report.print_table(legs, list(servers), titles)
    if options.docs:
        place = "one member" if options.members == 1 else "%d members" % options.members
        report.replace_between(options.docs, place, report.markdown(legs, list(servers), titles))
    record = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": platform.machine(),
              "kernel": platform.release(), "cpus": os.cpu_count(),
              "servers": {name: describe_binary(path) for name, path in servers.items()},
              "options": {k: getattr(options, k) for k in ("members", "seconds", "warmup", "keys", "value", "connections",
                                                           "streams")},
              "legs": legs}
    with open(os.path.join(options.output, "results.jsonl"), "a") as f:
        f.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, subprocess.SubprocessError) as error:
        sys.exit("bench: %s" % error)
