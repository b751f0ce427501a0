#!/usr/bin/python3
"""run_tests.py BUILD_DIR [ctest options]: runs ctest and repeats what was left out before ctest's closing lines.

A test inside a program that could not run says so in a line of its own (`[  SKIPPED ]`, `SKIPPED …`); ctest counts
the program as passed and would hide it.
"""
import os
import re
import subprocess
import sys

SKIPPED = re.compile(r"^\[  SKIPPED \] (?!\d+ test)(\S+)(?: \(\d+ ms\))?$|^SKIPPED (.+)$")
TEST = re.compile(r"^\d+/\d+ Test: (.+)$")


def skipped(log_path):
    """["test: what was left out", …] of a ctest log, each once."""
    found, name = [], "?"
    if not os.path.exists(log_path):
        return found
    with open(log_path, errors="replace") as log:
        for line in log:
            line = line.rstrip("\n")
            test = TEST.match(line)
            if test:
                name = test.group(1)
            match = SKIPPED.match(line)
            if match:
                text = "%s: %s" % (name, match.group(1) or match.group(2))
                if text not in found:
                    found.append(text)
    return found


def main():
    folder, options = sys.argv[1], sys.argv[2:]
    command = ["ctest", "--test-dir", folder, "--output-on-failure", "--no-tests=error"] + options
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace", stdin=subprocess.DEVNULL)
    closing = []
    for line in process.stdout:
        if closing or re.match(r"\d+% tests passed", line):
            closing.append(line)
        else:
            sys.stdout.write(line)
            sys.stdout.flush()
    code = process.wait()
    left_out = skipped(os.path.join(folder, "Testing", "Temporary", "LastTest.log"))
    if left_out:
        print("\nLeft out inside tests that ran:")
        print("".join("  SKIPPED %s\n" % text for text in left_out))
    sys.stdout.write("".join(closing))
    return code


if __name__ == "__main__":
    sys.exit(main())
