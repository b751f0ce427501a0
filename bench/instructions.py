#!/usr/bin/python3
"""Counts the instructions that a server runs for one operation, where the noise of the machine hides a difference.

    bench/instructions.py                                        # build/release/bin/quoin: put and range
    bench/instructions.py PATH PATH --only range --seconds 20    # two binaries beside each other

Runs each server, one member, under valgrind's callgrind, which counts while loadgen works and not before. A figure is
the whole process's count over loadgen's operations. Beside other work batches are smaller and the counts a twentieth
higher, of all binaries alike. Needs Debian's valgrind."""
import argparse, glob, os, subprocess, tempfile

from run import BUILD, Server, loadgen


def switch(server, to):
    subprocess.run(["callgrind_control", "-i", to, str(server.process.pid)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def count(binary, mode, options):
    with tempfile.TemporaryDirectory(prefix="quoin-instructions-") as folder:
        out = os.path.join(folder, "callgrind")
        callgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=" + out]
        with Server("counted", binary, folder, under=callgrind) as server:
            loadgen(server, options, "fill", 0)
            switch(server, "on")
            ops = loadgen(server, options, mode, options.seconds)["ops"]
            switch(server, "off")
        totals = [int(line.split()[1]) for path in glob.glob(out + "*") for line in open(path) if line.startswith("totals:")]
        return sum(totals) / ops


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", nargs="*", default=[os.path.join(BUILD, "bin", "quoin")])
    parser.add_argument("--only", default="put,range", help="modes of loadgen, comma separated")
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--loadgen", default=os.path.join(BUILD, "bin", "loadgen"))
    options = parser.parse_args()
    options.keys, options.value, options.connections, options.streams = 5000, 256, 100, 10
    for mode in options.only.split(","):
        for binary in options.binaries:
            print("%-6s %8.0f instructions  %s" % (mode, count(binary, mode, options), binary), flush=True)


if __name__ == "__main__":
    main()
