#!/usr/bin/python3
"""Counts the instructions that a server runs for one operation, where the noise of the machine hides a difference.

    bench/instructions.py                                        # build/release/bin/quoin: put and range
    bench/instructions.py PATH PATH --only range --seconds 20    # two binaries beside each other

Runs each server, one member, under valgrind's callgrind, which counts while loadgen works and not before. A figure is
the whole process's count over loadgen's operations. Beside other work batches are smaller and the counts a twentieth
higher, of all binaries alike. Needs Debian's valgrind."""
import argparse, glob, json, os, signal, subprocess, sys, tempfile, time, urllib.request

from run import BUILD, free_port


def arguments(folder, client, peer):
    return ["--name", "a", "--data-dir", os.path.join(folder, "data"), "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", "a=" + peer]


def await_ready(process, url):
    while process.poll() is None:
        try:
            return urllib.request.urlopen(url + "/health", timeout=60).read()
        except OSError:
            time.sleep(0.2)
    sys.exit("the server has ended")


def loadgen(options, client, *more):
    address = client.removeprefix("http://")
    command = [options.loadgen, "--keys", "5000", "--value", "256", *more, "--json", address]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def count(binary, mode, options):
    with tempfile.TemporaryDirectory(prefix="quoin-instructions-") as folder:
        client, peer = ("http://127.0.0.1:%d" % free_port() for _ in range(2))
        out = os.path.join(folder, "callgrind")
        with open(os.path.join(folder, "log"), "wb") as log:
            process = subprocess.Popen(["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=" + out,
                                        binary, *arguments(folder, client, peer)], stdout=log, stderr=log)
            try:
                await_ready(process, client)
                loadgen(options, client, "--mode", "fill", "--connections", "20")
                subprocess.run(["callgrind_control", "-i", "on", str(process.pid)], check=True, stdout=log, stderr=log)
                ops = loadgen(options, client, "--mode", mode, "--warmup", "0", "--duration", str(options.seconds))["ops"]
                subprocess.run(["callgrind_control", "-i", "off", str(process.pid)], check=True, stdout=log, stderr=log)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait()
        totals = [int(line.split()[1]) for path in glob.glob(out + "*") for line in open(path) if line.startswith("totals:")]
        return sum(totals) / ops


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", nargs="*", default=[os.path.join(BUILD, "bin", "quoin")])
    parser.add_argument("--only", default="put,range", help="modes of loadgen, comma separated")
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--loadgen", default=os.path.join(BUILD, "bin", "loadgen"))
    options = parser.parse_args()
    for mode in options.only.split(","):
        for binary in options.binaries:
            print("%-6s %8.0f instructions  %s" % (mode, count(binary, mode, options), binary), flush=True)


if __name__ == "__main__":
    main()
