#!/usr/bin/python3
"""Runs the command blocks of the README and of docs/ that are marked `shell`, in a copy of the tree.

    ```shell            each line must succeed
    ```shell server     its one line is started and kept running until the page ends; the next block waits for its port
    ```text             is not run

Everything happens in a network namespace of its own where that is allowed, so that port 2379 is free; the copy gets the
binaries of this build. Each line may take a minute.
"""
import ctypes
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))
BUILD = os.path.realpath(os.environ.get("QUOIN_BUILD", os.path.join(ROOT, "build", "release")))
LINE_SECONDS = 60
SERVER_SECONDS = 60
PORT = 2379
BLOCK = re.compile(r"^```(\S+)[ \t]*(\S*)\n(.*?)^```$", re.M | re.S)


def own_network():
    """Moves this process into a network namespace with a loopback of its own. False when that is not allowed."""
    clone_newnet = 0x40000000
    if ctypes.CDLL(None, use_errno=True).unshare(clone_newnet) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        siocsifflags, up = 0x8914, 1
        fcntl.ioctl(s, siocsifflags, struct.pack("16sh14x", b"lo", up))
    return True


def port_answers():
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", PORT)) == 0


def documents():
    pages = ["README.md"]
    for folder, _, names in sorted(os.walk(os.path.join(ROOT, "docs"))):
        pages += [os.path.relpath(os.path.join(folder, n), ROOT) for n in sorted(names) if n.endswith(".md")]
    return pages


def blocks(text):
    """(word after the language, commands) of each shell block."""
    for language, word, body in BLOCK.findall(text):
        if language == "shell":
            yield word, [line for line in body.split("\n") if line.strip() and not line.startswith("#")]


def copy_tree(target):
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True)
    if listed.returncode == 0:
        for path in filter(None, listed.stdout.decode().split("\0")):
            source = os.path.join(ROOT, path)
            if os.path.isfile(source):
                os.makedirs(os.path.dirname(os.path.join(target, path)), exist_ok=True)
                shutil.copy2(source, os.path.join(target, path))
    else:
        shutil.copytree(ROOT, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build", ".git", "node_modules"))
    os.makedirs(os.path.join(target, "build"), exist_ok=True)
    os.symlink(BUILD, os.path.join(target, "build", "release"))


class Page:
    """The commands of one page, run in its own copy of the tree."""

    def __init__(self, path, folder):
        self.path, self.folder, self.server, self.groups = path, folder, None, []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
        self.env["QUOIN_NO_BUILD"] = "1"

    def run(self, text):
        count = 0
        try:
            for word, lines in blocks(text):
                for line in lines:
                    self.start(line) if word == "server" else self.execute(line)
                    count += 1
        finally:
            self.stop()
        return count

    def execute(self, line):
        done = subprocess.Popen(["bash", "-c", line], cwd=self.folder, env=self.env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, start_new_session=True)
        self.groups.append(done.pid)  # a line may leave something in the background
        output, errors = done.communicate(timeout=LINE_SECONDS)
        print("%s: %s\n%s" % (self.path, line, output), end="", flush=True)
        if done.returncode != 0:
            raise AssertionError("%s: `%s` ended with %d\n%s" % (self.path, line, done.returncode, errors))

    def start(self, line):
        log = os.path.join(self.folder, "server.log")
        with open(log, "wb") as out:
            self.server = subprocess.Popen(["bash", "-c", line], cwd=self.folder, env=self.env, stdout=out, stderr=out,
                                           stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + SERVER_SECONDS
        while not port_answers():
            if self.server.poll() is not None or time.monotonic() > deadline:
                with open(log, errors="replace") as text:
                    raise AssertionError("%s: `%s` serves nothing\n%s" % (self.path, line, text.read()[-4000:]))
            time.sleep(0.02)  # a poll of another process: there is no event to wait for

    def stop(self):
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGTERM)
            self.groups.append(self.server.pid)
        try:
            if self.server is not None:
                self.server.wait(30)
        finally:
            for group in self.groups:
                try:
                    os.killpg(group, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def skip(why):
    print("SKIPPED %s" % why)
    sys.exit(77)


def main():
    for name in ("quoin", "quoinctl"):
        if not os.access(os.path.join(BUILD, "bin", name), os.X_OK):
            skip("the commands of README and docs: no %s in %s" % (name, os.path.join(BUILD, "bin")))
    if not own_network() and port_answers():
        skip("the commands of README and docs: port %d is taken" % PORT)
    count = 0
    for path in documents():
        with open(os.path.join(ROOT, path)) as f:
            text = f.read()
        if not any(blocks(text)):
            continue
        with tempfile.TemporaryDirectory(prefix="quoin-readme-") as folder:
            copy_tree(folder)
            count += Page(path, folder).run(text)
    print("%d commands ran" % count)
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())
