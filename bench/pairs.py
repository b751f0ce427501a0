"""How much something disturbs small Puts: pairs of runs on one server, without and with it, in turns.

A pair counts when the disk was equally fast in both halves: a probe of its own (4 KiB, fdatasync, every 50 ms) runs
beside each half, and a pair whose probe medians differ by more than PROBE_RATIO is not counted and another is run.
"""
import os, statistics, threading, time

import run

PROBE_RATIO = 1.2
TRIES_MAX = 3  # for each pair wanted


class Probe:
    """Times the disk while a half runs."""

    def __init__(self, folder):
        self._path, self._stop, self._samples = os.path.join(folder, "probe"), threading.Event(), []  # (when, ms)

    def __enter__(self):
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()
        return self

    def _loop(self):
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # it times the disk, not its turn on a processor
        except PermissionError:
            pass
        fd = os.open(self._path, os.O_CREAT | os.O_WRONLY)
        try:
            while not self._stop.wait(0.05):
                started = time.perf_counter()
                os.pwrite(fd, b"x" * 4096, 4096 * (len(self._samples) % 256))
                os.fdatasync(fd)
                self._samples.append((started, (time.perf_counter() - started) * 1e3))
        finally:
            os.close(fd)
            os.unlink(self._path)

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    @property
    def median_ms(self):
        return self.median_between(0, float("inf"))

    def median_between(self, a, b):
        """Of two moments of the monotonic clock."""
        return statistics.median(took for at, took in self._samples if a <= at < b)


class MemoryPeak:
    """The largest anonymous memory of a process while something runs."""

    def __init__(self, pid):
        self.before = self.peak = run.memory_mib(pid)["anon_mib"]
        self._pid, self._stop = pid, threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()
        return self

    def _loop(self):
        while not self._stop.wait(0.1):
            self.peak = max(self.peak, run.memory_mib(self._pid)["anon_mib"])

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def small_puts(server, options):
    """Latencies of a light load of small Puts, for options.seconds."""
    narrow = run.argparse.Namespace(**{**vars(options), "keys": 1000, "value": 64, "connections": 4, "streams": 1})
    return run.loadgen(server, narrow, "put", options.seconds)


def one_half(server, options, disturb, load):
    with Probe(options.folder) as probe, disturb():
        result = load(server, options)
    kept = {key: value for key, value in result.items() if key.endswith("p50_ms") or key.endswith("p99_ms")}
    return {**kept, "ops_per_s": round(result["ops"] / result["seconds"]), "probe_ms": round(probe.median_ms, 3)}


class Quiet:
    """The half without anything."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def one_pair(server, options, disturb, load):
    without = one_half(server, options, Quiet, load)
    with_it = one_half(server, options, disturb, load)
    slower, faster = max(without["probe_ms"], with_it["probe_ms"]), min(without["probe_ms"], with_it["probe_ms"])
    return {"without": without, "with": with_it, "p99_ratio": round(with_it["p99_ms"] / without["p99_ms"], 2),
            "equal_disk": slower <= faster * PROBE_RATIO}


def run_pairs(server, options, disturb, pairs, load=small_puts):
    """disturb: makes a context in which the disturbance goes on; load: what is measured. Returns every pair that was run,
    at most TRIES_MAX * pairs, `pairs` of them on an equal disk unless the disk would not have it."""
    done = []
    while sum(p["equal_disk"] for p in done) < pairs and len(done) < TRIES_MAX * pairs:
        pair = one_pair(server, options, disturb, load)
        done.append(pair)
        without, with_it = pair["without"], pair["with"]
        print("  pair %d: p99 without %.2f ms, with %.2f ms (%.2fx); %d and %d Puts/s; probe %.2f and %.2f ms%s" % (
            len(done), without["p99_ms"], with_it["p99_ms"], pair["p99_ratio"], without["ops_per_s"], with_it["ops_per_s"],
            without["probe_ms"], with_it["probe_ms"], "" if pair["equal_disk"] else ": the disk changed, not counted"),
            flush=True)
    return done


def summary(done):
    """Of the pairs on an equal disk."""
    ratios = [p["p99_ratio"] for p in done if p["equal_disk"]]
    return {"p99_ratio_median": round(statistics.median(ratios), 2) if ratios else None, "p99_ratios": ratios,
            "pairs_not_counted": len(done) - len(ratios)}
