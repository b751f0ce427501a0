#!/usr/bin/python3
"""quoinutl on directories that quoin left behind: the log and the data file as text, tables, and defrag, after which
quoin (and etcd's tools) find the same content in a smaller file. What its command lines say is in quoinutl_lines_test.py."""
import os, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import members
import vectors_test as vectors
from members import Member, Skip, equal, finish, quoin_binary, run

QUOINUTL = os.path.join(members.BIN, "quoinutl")


def tool(*arguments, code=0):
    done = subprocess.run([QUOINUTL, *arguments], capture_output=True, text=True, timeout=120)
    equal(done.returncode, code, "exit code of quoinutl %s (%s)" % (" ".join(arguments), done.stderr))
    return done.stdout if code == 0 else done.stderr


def require(condition, what):
    if not condition:
        raise AssertionError(what)


def filled(m):
    """Keys, a lease, a deletion, a compaction; then the member stops."""
    import etcdapi
    rpc = etcdapi.rpc
    client = m.client()
    for i in range(400):
        client.put(b"key/%03d" % (i % 40), b"%d " % i + b"v" * 900)
    client.delete(b"key/007")
    lease = client.call("Lease/LeaseGrant", rpc.LeaseGrantRequest(TTL=3600, ID=0x1234), rpc.LeaseGrantResponse).ID
    client.put(b"leased", b"\0\1", lease=lease)
    client.compact(300, physical=True)
    hash = client.hashkv(0)
    m.stop()
    return hash


def dumps():
    with Member(quoin_binary()) as m:
        filled(m)
        log = tool("dump", "--wal", m.data_dir)
        line = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.wal +\d+  (crc|mark|metadata|snapshot|entry|state) ")
        lines = log.splitlines()
        for text in lines[:-1]:
            require(line.match(text), "a line of the log: %r" % text)
        require(lines[-1].startswith("ends at offset "), lines[-1])
        require('put { key: "key/003" value: "3 vvv' in log, "a put")
        require('delete_range { key: "key/007" }' in log, "a deletion")
        require("add member" in log and '"peerURLs":["%s"]' % m.peer_url in log, "the member")
        equal(tool("dump", "--wal", os.path.join(m.data_dir, "member", "wal")), log, "the log, by its own directory")
        tree = tool("dump", "--tree", m.data_dir)
        for wanted in (r"^meta [01]: transaction \d+, root page \d+, \d+ pages to the high-water mark, the newest$",
                       r"^pages of 4096 bytes: 2 meta, \d+ branch, \d+ leaf, \d+ overflow, \d+ free; \d+ % of",
                       r"^bucket key: \d+ pairs of \d+ bytes, \d+ branch, \d+ leaf, \d+ overflow pages, depth \d+$",
                       r'^  402\.0 delete "key/007"$',
                       r'^  403\.0 put "leased" = "\\x00\\x01", created 403, modified 403, version 1, lease 1234$',
                       r"^  finishedCompactRev 300\.0$", r"^  consistent_index \d+$",
                       r"^  1234 TTL 3600, remaining \d+$"):
            require(re.search(wanted, tree, re.M), "no %r in\n%s" % (wanted, tree[:3000]))
        require("excludes" in tool("dump", "--wal", "--tree", m.data_dir, code=128), "one of the two")


def secrets():
    name = "3.7.1-auth"
    if not os.path.isdir(os.path.join(vectors.VECTORS, name)):
        raise Skip("no vector %s" % name)
    with vectors.unpacked(name) as folder, vectors.untouched(folder):
        log, tree = tool("dump", "--wal", folder), tool("dump", "--tree", folder)
        require('auth_user_add { name: "alice"' in log and '"alice", roles empty r1' in tree, "users are shown")
        for text in (log, tree):
            require(not re.search(r'\$2a\$|[pP]assword: "', text), "what they hide is not")


def damage_has_a_line():
    with Member(quoin_binary()) as m:
        filled(m)
        path = os.path.join(m.data_dir, "member", "wal", "%016x-%016x.wal" % (0, 0))
        with open(path, "r+b") as f:
            f.seek(20000)
            f.write(b"damage")
        done = subprocess.run([QUOINUTL, "dump", "--wal", m.data_dir], capture_output=True, text=True, timeout=120)
        equal(done.returncode, 1, "exit code")
        require("  damaged   crc " in done.stdout.splitlines()[-1], done.stdout[-300:])
        require("at offset" in done.stderr and "synced records would be lost" in done.stderr, done.stderr)


def tables():
    with Member(quoin_binary()) as m:
        hash = filled(m)
        path = os.path.join(m.data_dir, "member", "snap", "db")
        simple = tool("snapshot", "status", path).strip().split(", ")
        table = tool("snapshot", "status", path, "-w", "table").splitlines()
        equal([c.strip() for c in table[1].split("│")[1:-1]],
              ["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "STORAGE VERSION"], "header")
        equal([c.strip() for c in table[3].split("│")[1:-1]], simple, "cells")
        equal(len({len(line) for line in table}), 1, "widths of %r" % table)
        equal((table[0][0], table[2][0], table[4][0]), ("┌", "├", "└"), "borders")
        numbers = [str(n) for n in (hash.hash, hash.hash_revision, hash.compact_revision)]
        equal(tool("hashkv", path).strip(), ", ".join(numbers), "hashkv")
        equal([c.strip() for c in tool("hashkv", path, "-w", "table").splitlines()[3].split("│")[1:-1]], numbers, "cells")
        equal(tool("hashkv", path, "-w", "json"),
              '{"hash":%s,"hashRevision":%s,"compactRevision":%s}\n' % tuple(numbers), "json")
        tool("hashkv", path, "-w", "protobuf", code=4)


def defrag():
    with Member(quoin_binary()) as m:
        hash = filled(m)
        path = os.path.join(m.data_dir, "member", "snap", "db")
        status, before = tool("snapshot", "status", path), os.path.getsize(path)
        rows = [l for l in tool("dump", "--tree", m.data_dir).splitlines() if l.startswith("  ")]
        tool("defrag", "--data-dir", m.data_dir)
        require(os.path.getsize(path) < before * 3 / 4, "%d bytes before, %d after" % (before, os.path.getsize(path)))
        equal(os.listdir(os.path.dirname(path)), ["db"], "files beside the data file")
        equal([l for l in tool("dump", "--tree", m.data_dir).splitlines() if l.startswith("  ")], rows, "rows")
        equal(tool("snapshot", "status", path).split(",")[0], status.split(",")[0], "hash of everything")
        tool("check", m.data_dir)
        m.start()
        again = m.client().hashkv(0)
        equal((again.hash, again.hash_revision), (hash.hash, hash.hash_revision), "HashKV")
        m.client().put(b"after", b"defrag")
        require("another process uses it" in tool("defrag", "--data-dir", m.data_dir, "--timeout", "100ms", code=1),
                "a running server")


def nothing_to_defragment():
    with tempfile.TemporaryDirectory() as folder:
        require("cannot open database at" in tool("defrag", "--data-dir", folder, code=1), "no data file")
        equal(os.listdir(folder), [], "what it left")


run("the log and the data file as text", dumps)
run("passwords are left out", secrets)
run("damage has a line, and the exit code says so", damage_has_a_line)
run("tables", tables)
run("defrag", defrag)
run("defrag without a data file", nothing_to_defragment)
finish()
