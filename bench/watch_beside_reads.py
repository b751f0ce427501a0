#!/usr/bin/python3
"""How old events are that reach a live watcher beside clients that read everything, again and again.

    bench/watch_beside_reads.py                     # quoin: alone, beside 4 and beside 8 readers of 200 MB
    bench/watch_beside_reads.py --server etcd
    bench/watch_beside_reads.py --readers 8 --keys 50000 --seconds 5

One key is put every 10 ms. An event's age counts from the moment at which its Put was made. h2load reads as fast as it can."""
import json, os, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import run


class Readers:
    """h2load: so many connections that each ask for everything, one call at a time."""

    def __init__(self, server, count):
        path = os.path.join(server.root, "range-body")
        with open(path, "wb") as f:
            f.write(run.grpc_body([(1, b"\0"), (2, b"\0")]))
        self.command = ["h2load", "-t1", "-c%d" % count, "-m1", "-w24", "-W24", "-n", "1000000", "-d", path, "-H",
                        "content-type: application/grpc", "-H", "te: trailers",
                        "http://127.0.0.1:%d/etcdserverpb.KV/Range" % server.port]
        self.count = count

    def __enter__(self):
        if self.count > 0:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        if self.count == 0:
            return
        ended = self.process.poll()
        self.process.terminate()
        self.process.wait()
        if ended is not None:
            raise RuntimeError("h2load ended with %d" % ended)


def events(server, options):
    command = [options.watchload, "--json", "--keys", "1", "--watchers", "1", "--connections", "1", "--streams", "1", "--writers",
               "1", "--calls", "1", "--rate", "100", "--value", "64", "--warmup", "2", "--duration", str(options.seconds),
               "--server-pid", str(server.process.pid), "127.0.0.1:%d" % server.port]
    if options.prev_kv:
        command.insert(1, "--prev-kv")
    done = subprocess.run(command, capture_output=True, text=True, timeout=options.seconds + 200)
    if done.returncode != 0:
        raise RuntimeError("watchload: %s\n%s" % (done.stderr, server.last_words()))
    return json.loads(done.stdout)


def main():
    parser = run.argparse.ArgumentParser(description=__doc__, formatter_class=run.argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=("quoin", "etcd"), default="quoin")
    parser.add_argument("--quoin", default=os.path.join(run.BUILD, "bin", "quoin"))
    parser.add_argument("--etcd")
    for program in ("loadgen", "watchload"):
        parser.add_argument("--" + program, default=os.path.join(run.BUILD, "bin", program))
    parser.add_argument("--readers", type=int, nargs="+", default=[0, 4, 8])
    parser.add_argument("--keys", type=int, default=100000)
    parser.add_argument("--value", type=int, default=2000)
    parser.add_argument("--prev-kv", action="store_true", help="the watcher asks for previous values")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--output", default=os.path.join(run.SOURCE, "build", "bench"))
    options = parser.parse_args()
    options.folder, options.connections, options.streams = os.path.join(options.output, "data"), 20, 10
    os.makedirs(options.folder, exist_ok=True)
    binary = options.quoin if options.server == "quoin" else run.find_etcd(options.etcd)
    with run.Server(options.server, binary, options.folder) as server:
        run.loadgen(server, options, "fill", 0)
        time.sleep(2)  # the last checkpoint of the fill is not the readers'
        for readers in options.readers:
            with Readers(server, readers):
                time.sleep(0.5)  # they are in the middle of it
                record = {"server": options.server, "readers": readers, **events(server, options)}
            print("%s, %d readers: events p50 %.1f, p99 %.1f, max %.1f ms; Puts p50 %.1f, p99 %.1f ms" % (
                options.server, readers, record["event_p50_ms"], record["event_p99_ms"], record["event_max_ms"],
                record["put_p50_ms"], record["put_p99_ms"]), flush=True)
            with open(os.path.join(options.output, "watch_beside_reads.jsonl"), "a") as f:
                f.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, subprocess.SubprocessError) as error:
        sys.exit("watch_beside_reads: %s" % error)
