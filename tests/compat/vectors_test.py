#!/usr/bin/python3
"""quoinutl reads what etcd 3.5, 3.6 and 3.7 wrote: data directories, snapshot files, directories damaged on purpose.

For every recorded directory: the dump equals what the same etcd version answered from it (its revision, keys, leases,
users, roles, alarms and members), so does HashKV at each revision that was asked for, `check` is content, and
afterwards every file is byte for byte what it was. Snapshot files: status, and a restore with the recorded arguments
gives what etcdutl's gave. Damaged directories are refused by file and offset, or read, as their description wants.

    vectors_test.py [PART-OF-A-NAME …]     only the vectors whose names hold one of these
"""
import contextlib, functools, hashlib, json, os, shutil, struct, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, Skip, equal, finish, run

VECTORS = os.path.join(members.SHARED, "vectors", "datadir")
QUOINUTL = os.path.join(members.BIN, "quoinutl")


class Problem(AssertionError):
    pass


def require(condition, what):
    if not condition:
        raise Problem(what)


# ---- the tool ----

def quoinutl(*arguments):
    done = subprocess.run([QUOINUTL] + [str(a) for a in arguments], capture_output=True, text=True, timeout=120)
    require(done.returncode >= 0, "quoinutl %s: ended by signal %d\n%s" % (" ".join(map(str, arguments)),
                                                                         -done.returncode, done.stderr))
    return done


def output(*arguments):
    done = quoinutl(*arguments)
    require(done.returncode == 0, "quoinutl %s: exit %d: %s" % (" ".join(map(str, arguments)), done.returncode,
                                                               done.stderr.strip()))
    return done.stdout


def dump(path):
    return json.loads(output("dump", path))


# ---- vectors ----

def names(wanted):
    listed = sorted(n for n in os.listdir(VECTORS) if os.path.isdir(os.path.join(VECTORS, n)))
    return [n for n in listed if not wanted or any(w in n for w in wanted)]


@functools.lru_cache(None)
def expectation(name):
    with open(os.path.join(VECTORS, name, "expect.json")) as f:
        return json.load(f)


@contextlib.contextmanager
def unpacked(name):
    """The vector's files in a directory that is gone afterwards. Holes stay holes (tar's own doing)."""
    with tempfile.TemporaryDirectory(prefix="quoin-vector-") as folder:
        subprocess.run(["tar", "-xzf", os.path.join(VECTORS, name, "data.tar.gz"), "-C", folder], check=True)
        yield folder


def fingerprint(folder):
    """Every file and directory below `folder`: its mode, size and content."""
    found = {}
    for here, folders, files in os.walk(folder):
        for entry in folders + files:
            path = os.path.join(here, entry)
            status = os.stat(path)
            digest = None
            if entry in files:
                hasher = hashlib.sha256()
                with open(path, "rb") as f:
                    for piece in iter(lambda: f.read(1 << 20), b""):
                        hasher.update(piece)
                digest = (status.st_size, hasher.hexdigest())
            found[os.path.relpath(path, folder)] = (status.st_mode, digest)
    return found


@contextlib.contextmanager
def untouched(folder):
    before = fingerprint(folder)
    yield
    after = fingerprint(folder)
    changed = sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
    equal(changed, [], "files that reading changed")


# ---- comparing ----

def octets(value):
    """The bytes behind a JSON text of a dump or a vector."""
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value.encode("latin-1")


def same_bytes(got, want, what):
    got = octets(got)
    if isinstance(want, dict) and "sha256" in want:
        equal((len(got), hashlib.sha256(got).hexdigest()), (want["len"], want["sha256"]), what)
    else:
        equal(got, octets(want), what)


def same_keys(got, want):
    equal([octets(kv["key"]) for kv in got if len(octets(kv["key"])) <= 256],
          [octets(kv["key"]) for kv in want if "sha256" not in kv["key"]], "keys")
    equal(len(got), len(want), "number of keys")
    for ours, theirs in zip(got, want):
        what = "key %r" % (theirs["key"],)
        same_bytes(ours["key"], theirs["key"], what)
        same_bytes(ours["value"], theirs["value"], what + " value")
        for field in ("create_revision", "mod_revision", "version"):
            equal(ours[field], theirs[field], what + " " + field)
        equal(ours["lease"], theirs["lease"], what + " lease")


def lease_rows(rows, ttl):
    return sorted((row["id"], row[ttl], sorted(octets(k) for k in row["keys"])) for row in rows)


def member_rows(rows):
    """Without client URLs: those of the answer belong to the restarted copy."""
    return sorted((m["id"], m["name"], sorted(m["peer_urls"]), m["learner"]) for m in rows)


def same_members(got, expected):
    """The members as etcd listed them; their client URLs as the data file has them."""
    want = expected["head"]["members"]
    stored = expected.get("members_bucket") or {}
    if any(not m["name"] for m in got):  # a restored member publishes its name again at its start
        raise Problem("a member has no name: %r" % (got,))
    if expected["case"].startswith("restored"):
        want = [{"id": key, "name": row.get("name", ""), "peer_urls": row["peerURLs"],
                 "learner": row.get("isLearner", False)} for key, row in stored.items()]
    equal(member_rows(got), member_rows(want), "members")
    for member in got:
        if member["id"] in stored:
            equal(sorted(member["client_urls"]), sorted(stored[member["id"]].get("clientURLs", [])),
                  "client URLs of %s" % member["id"])


def same_permissions(got, want):
    """`got`: a list of names, or of names with permissions."""
    if isinstance(got, dict):
        for role, rows in got.items():
            if role == "root":
                continue  # etcd answers with what root may do; nothing of it is stored
            equal([(p["type"], octets(p["key"]), octets(p["range_end"])) for p in rows],
                  [(p["type"], octets(p["key"]), octets(p["range_end"])) for p in want[role]], "role " + role)
    equal(sorted(got), sorted(want), "roles")


def alarm_rows(rows):
    out = []
    for row in rows:
        member = row.get("member", row.get("member_id"))
        out.append((member if isinstance(member, str) else "%x" % member, row["alarm"]))
    return sorted(out)


def same_state(got, expected):
    head = expected["head"]
    for field in ("revision", "compact_revision", "count"):
        equal(got[field], head[field], field)
    same_keys(got["keys"], head["live_keys"])
    equal(lease_rows(got["leases"], "ttl"), lease_rows(head["leases"], "granted_ttl"), "leases")
    if "users" in head:
        equal({u["name"]: sorted(u["roles"]) for u in got["users"]},
              {name: sorted(roles) for name, roles in head["users"].items()}, "users")
        same_permissions(got["roles"], head["roles"])
    if "alarms" in head:
        equal(alarm_rows(got["alarms"]), alarm_rows(head["alarms"]), "alarms")
    same_members(got["members"], expected)


def same_hash(got, want, what):
    equal((got["hash"], got["compact_revision"]), (want["hash"], want["compact_revision"]), what)
    if want["hash_revision"] is not None:  # 3.5 does not tell it
        equal(got["hash_revision"], want["hash_revision"], what + ": revision")


def same_hashes(path, asked):
    """HashKV at each revision that etcd was asked for after its restart, refusals included."""
    for want in asked:
        revision = want["revision_asked"]
        what = "hashkv --rev %d" % revision
        done = quoinutl("hashkv", path, "--rev", revision)
        if "error" in want:
            require(done.returncode != 0, "%s: answered %r, etcd refused with %s" % (what, done.stdout, want["error"]))
            text = "compacted" if "compacted" in want["error"] else "future"
            require(text in done.stderr, "%s: %r says nothing of %r" % (what, done.stderr, text))
            continue
        require(done.returncode == 0, "%s: exit %d: %s" % (what, done.returncode, done.stderr))
        hash_value, hash_revision, compact_revision = map(int, done.stdout.split(", "))
        got = {"hash": hash_value, "compact_revision": compact_revision, "hash_revision": hash_revision}
        same_hash(got, want, what)


def newest_hash(expected):
    """The hash of everything, as the restarted copy gave it, or the running member before."""
    for source in ("hashkv_after_restart", "hashkv_before_stop"):
        for row in expected.get(source) or []:
            if row["revision_asked"] == 0 and "error" not in row:
                return row
    return None


# ---- sound directories ----

def sound_directory(name):
    expected = expectation(name)
    with unpacked(name) as folder, untouched(folder):
        got = dump(folder)
        same_state(got, expected)
        equal(got["member_id"], expected["member_id"], "member id")
        equal(got["cluster_id"], expected["cluster_id"], "cluster id")
        if expected["consistent_index"] is not None:
            equal(got["consistent_index_in_file"], expected["consistent_index"], "consistent index in the file")
        if newest_hash(expected):
            same_hash(got["hashkv"], newest_hash(expected), "hashkv")
        same_hashes(folder, expected.get("hashkv_after_restart") or [])
        output("check", folder)


# ---- snapshot files ----

def snapshot_status(name):
    expected = expectation(name)
    want = dict(expected["etcdutl_status"])
    want["totalKey"] = expected["db_live_keys_count"]  # 3.5 counted every record of every bucket
    want.setdefault("version", "")
    with unpacked(name) as folder, untouched(folder):
        path = os.path.join(folder, "snapshot.db")
        equal(json.loads(output("snapshot", "status", path, "-w", "json")), want, "status")
        simple = output("snapshot", "status", path).rstrip("\n").split(", ")
        equal(simple[:3] + simple[4:],
              ["%x" % want["hash"], str(want["revision"]), str(want["totalKey"]), want["version"]], "status, simple")
        fields = dict(line.split(" : ") for line in output("-w", "fields", "snapshot", "status", path).splitlines())
        equal({k: fields[k] for k in ('"Hash"', '"Revision"', '"Keys"', '"Size"')},
              {'"Hash"': str(want["hash"]), '"Revision"': str(want["revision"]), '"Keys"': str(want["totalKey"]),
               '"Size"': str(want["totalSize"])}, "status, fields")
        equal(quoinutl("snapshot", "status", path, "-w", "protobuf").returncode, 4, "exit code for protobuf")


def snapshot_content(name):
    expected = expectation(name)
    with unpacked(name) as folder, untouched(folder):
        path = os.path.join(folder, "snapshot.db")
        got = dump(path)
        same_state(got, expected)
        same_hash(got["hashkv"], newest_hash(expected), "hashkv")
        # A compaction's own revision is left out: the running member remembered that hash, a file does not.
        compacted = expected["finished_compact_rev"]
        same_hashes(path, [r for r in expected["hashkv_before_stop"] if r["revision_asked"] != compacted])
        output("check", path)


def damaged_snapshot(name):
    """One bit flipped in the content: nobody takes it for whole."""
    with unpacked(name) as folder:
        path = os.path.join(folder, "snapshot.db")
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 1]))
        target = os.path.join(folder, "restored")
        done = quoinutl("snapshot", "restore", path, "--data-dir", target)
        require(done.returncode != 0 and "sha" in done.stderr.lower(), "restore: exit %d, %r" % (done.returncode, done.stderr))
        require(not os.path.exists(os.path.join(target, "member", "wal")), "a refused restore left a directory to start from")


# ---- restore ----

def log_records(folder):
    """Types and payloads of the one segment of a log that was never appended to."""
    directory = os.path.join(folder, "member", "wal")
    segments = [n for n in os.listdir(directory) if n.endswith(".wal")]
    equal(segments, ["%016x-%016x.wal" % (0, 0)], "segments")
    with open(os.path.join(directory, segments[0]), "rb") as f:
        content = f.read()
    records, at = [], 0
    while at + 8 <= len(content):
        field = struct.unpack_from("<Q", content, at)[0]
        if field == 0:
            break
        length, padding = field & ((1 << 56) - 1), field >> 56 & 7
        records.append(record(content[at + 8:at + 8 + length]))
        at += 8 + length + padding
    require(not content[at:].strip(b"\0"), "something stands behind the end of the log")
    # A crc record with data is a mark of ours: it says how the records were written, not what they are.
    return [r for r in records if r[0] != "crc" or not r[1]], len(content)


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def fields_of(data):
    """Field number → last value of a protobuf message of varints and bytes."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at)
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        fields[tag >> 3] = value
    return fields


def record(data):
    """(type name, payload) of one record; its running CRC is quoinutl's to check."""
    fields = fields_of(data)
    return [None, "metadata", "entry", "state", "crc", "snapshot"][fields[1]], fields.get(3, b"")


def restore_arguments(expected, target):
    return [target if a == "<data-dir>" else a for a in expected["etcdutl_arguments"]]


def restore(name, snapshot_folder, target):
    """Repeats the restore that made vector `name`."""
    output("snapshot", "restore", os.path.join(snapshot_folder, "snapshot.db"),
           *restore_arguments(expectation(name), target))


def snapshot_of(name):
    source = "%s-snapshot-file" % expectation(name)["version"]
    if not os.path.isdir(os.path.join(VECTORS, source)):
        raise Skip("no vector %s" % source)
    return source


def restored(name):
    """A restore with etcdutl's recorded arguments gives the state, the ids and the log that etcdutl's gave."""
    expected = expectation(name)
    with unpacked(snapshot_of(name)) as source, unpacked(name) as theirs, tempfile.TemporaryDirectory() as scratch:
        ours = os.path.join(scratch, "data")
        with untouched(source):
            restore(name, source, ours)
        got, want = dump(ours), dump(theirs)
        equal(got, want, "dump of ours and of etcdutl's")
        same_state(got, expected)
        records, size = log_records(ours)
        equal(size, 64000000, "length of the segment")
        kinds = [kind for kind, _ in records]
        their_records, _ = log_records(theirs)
        equal(sorted(kinds), sorted(kind for kind, _ in their_records), "records of the log")
        equal([r for r in records if r[0] == "metadata"], [r for r in their_records if r[0] == "metadata"], "metadata")
        equal(len(os.listdir(os.path.join(ours, "member", "snap"))), 2, "files beside the data file")
        output("check", ours)
        again = quoinutl("snapshot", "restore", os.path.join(source, "snapshot.db"), *restore_arguments(expected, ours))
        equal(again.returncode, 1, "exit code of a second restore to the same place")
        require("not empty or could not be read" in again.stderr, again.stderr)


def legacy_store(folder):
    """The membership in the directory's .snap file, for members of 3.6 and older."""
    directory = os.path.join(folder, "member", "snap")
    path, = [os.path.join(directory, n) for n in os.listdir(directory) if n.endswith(".snap")]
    with open(path, "rb") as f:
        return json.loads(fields_of(fields_of(f.read())[2])[1])


def leaves(node, out=None):
    """Path → value of every leaf below a node of the legacy store."""
    out = {} if out is None else out
    for child in (node["Children"] or {}).values():
        if child["Children"] is None:
            value = child["Value"]
            out[child["Path"]] = json.loads(value) if value.startswith("{") else value
        leaves(child, out)
    return out


def restored_snap_file(name):
    """Peer URLs and nothing else: with a cluster version in it, no older member would start from the file."""
    with unpacked(snapshot_of(name)) as source, tempfile.TemporaryDirectory() as scratch:
        ours = os.path.join(scratch, "data")
        restore(name, source, ours)
        theirs = expectation(name)["snap_files"][0]["v2store_root"]
        equal(leaves(legacy_store(ours)["Root"]), leaves(theirs), "leaves of the membership in the .snap file")


def served_by_etcd_3_4(name):
    """The oldest reader of all: takes the configuration from the .snap file and the log from its snapshot record on."""
    etcd = shutil.which("etcd")
    if etcd is None:
        raise Skip("etcd 3.4 is not installed")
    expected = expectation(name)
    with unpacked(name) as folder, Member(etcd, start=False) as server:
        output("snapshot", "restore", os.path.join(folder, "snapshot.db"), "--data-dir", server.data_dir,
               "--name", server.name, "--initial-cluster", "%s=http://127.0.0.1:%d" % (server.name, server.peer_port),
               "--initial-advertise-peer-urls", "http://127.0.0.1:%d" % server.peer_port)
        server.start()
        answer = server.client().range(b"\0", b"\0")
        equal([kv.key for kv in answer.kvs], [octets(kv["key"]) for kv in expected["head"]["live_keys"]], "keys served")


def bad_restore_arguments(name):
    with unpacked(name) as folder:
        path, target = os.path.join(folder, "snapshot.db"), os.path.join(folder, "data")
        for wrong in (["--bump-revision", "5"], ["--mark-compacted"]):
            equal(quoinutl("snapshot", "restore", path, "--data-dir", target, *wrong).returncode, 128, " ".join(wrong))
        done = quoinutl("snapshot", "restore", path, "--data-dir", target, "--name", "stranger")
        equal(done.returncode, 1, "a name that is not in the initial cluster")
        done = quoinutl("snapshot", "restore", path, "--data-dir", target, "--initial-cluster", "default=http://h:1",
                        "--initial-advertise-peer-urls", "http://other:1")
        equal(done.returncode, 1, "peer URLs that the initial cluster does not have")
        require(not os.path.exists(target), "a refused restore made its directory")


def served_by_quoin(name):
    """A server starts on the restored directory and has every key."""
    if not os.path.exists(members.quoin_binary()):
        raise Skip("no %s" % members.quoin_binary())
    expected = expectation(name)
    with unpacked(name) as folder, Member(members.quoin_binary(), start=False) as server:
        output("snapshot", "restore", os.path.join(folder, "snapshot.db"), "--data-dir", server.data_dir,
               "--name", server.name, "--initial-cluster", "%s=http://127.0.0.1:%d" % (server.name, server.peer_port),
               "--initial-advertise-peer-urls", "http://127.0.0.1:%d" % server.peer_port)
        server.start()
        answer = server.client().range(b"\0", b"\0")
        equal([kv.key for kv in answer.kvs], [octets(kv["key"]) for kv in expected["head"]["live_keys"]], "keys served")
        busy = quoinutl("snapshot", "restore", os.path.join(folder, "snapshot.db"), "--data-dir", server.data_dir)
        equal(busy.returncode, 1, "exit code of a restore onto a running member")


# ---- damaged directories ----

# What each must do. refuse: check and dump exit 1 and name the place. whole: the state is the undamaged one.
# cut: the torn last entry is left off and said. unseen: readable, but the hash tells.
DAMAGED = {
    "bad-crc-last": ("refuse", ".wal", "record_at"),
    "db-empty": ("whole",),  # the log holds every entry: etcd refuses, because of its snapshot record
    "db-meta-both": ("refuse", "snap/db", None),
    "db-meta-newer": ("whole",),
    "db-meta0": ("whole",),
    "db-missing": ("whole",),
    "db-missing-full-log": ("whole",),
    "db-page-zeroed": ("refuse", "snap/db", "zeroed_page"),
    "db-truncated": ("refuse", "snap/db", None),
    "db-truncated-half-page": ("refuse", "snap/db", None),
    "db-value-bit": ("unseen",),
    "length-slightly-long-middle": ("refuse", ".wal", "length_field_at"),
    "length-too-long-last": ("cut",),
    "length-too-long-middle": ("refuse", ".wal", "length_field_at"),
    "length-zero-middle": ("refuse", ".wal", "length_field_at"),
    "torn-tail": ("cut",),
    "wal-first-segment-missing": ("whole",),
    "wal-missing": ("refuse", "wal", None),
    "zero-sector-applied": ("refuse", ".wal", "record_at"),
    "zero-sector-middle": ("refuse", ".wal", "record_at"),
}


def refused(folder, damage, place, where):
    for command in ("check", "dump"):
        done = quoinutl(command, folder)
        equal(done.returncode, 1, "exit code of %s (stdout %r, stderr %r)" % (command, done.stdout[:200], done.stderr))
        require(place in done.stderr, "%s does not name %s: %r" % (command, place, done.stderr))
        if where == "zeroed_page":
            page = damage[where]
            require("page %d" % page in done.stderr or str(page * damage["page_size"]) in done.stderr,
                    "%s names neither page %d nor its offset: %r" % (command, page, done.stderr))
        elif where is not None:
            require("offset %d" % damage[where] in done.stderr, "%s does not name offset %d: %r" % (command, damage[where],
                                                                                               done.stderr))


def undamaged_keys(expected):
    keys = expected["base"]["live_keys"]
    return keys if isinstance(keys, list) else None


def damaged_directory(name):
    expected = expectation(name)
    base, wanted = expected["base"], DAMAGED[name.split("-broken-", 1)[1]]
    with unpacked(name) as folder, untouched(folder):
        if wanted[0] == "refuse":
            return refused(folder, expected["damage"], wanted[1], wanted[2])
        output("check", folder)
        got = dump(folder)
        if wanted[0] == "cut":  # what etcd has after it cut the same bytes off
            equal(got["torn_tail"], True, "torn tail told of")
            equal(got["revision"], expected["etcd_3.7.1"]["revision"], "revision without the last entry")
            equal(got["consistent_index"], base["last_index_in_wal"] - 1, "index without the last entry")
            same_hash(got["hashkv"], expected["etcd_3.7.1"]["hashkv"], "hashkv")
            return
        equal(got["torn_tail"], False, "torn tail told of")
        equal(got["revision"], base["revision"], "revision")
        equal(got["consistent_index"], base["last_index_in_wal"], "consistent index")
        equal(got["count"], len(undamaged_keys(expected)), "number of keys")
        if wanted[0] == "unseen":
            require(got["hashkv"]["hash"] != base["hashkv"]["hash"], "the hash does not tell of the flipped bit")
            return
        same_keys(got["keys"], undamaged_keys(expected))
        same_hash(got["hashkv"], base["hashkv"], "hashkv")


def every_damage_is_listed():
    there = {n.split("-broken-", 1)[1] for n in names([]) if "-broken-" in n}
    equal(there - DAMAGED.keys(), set(), "damaged vectors that no rule is given for")


# ---- all of them ----

def main(wanted):
    if not os.path.isdir(VECTORS):
        print("SKIPPED all: no vectors in %s" % VECTORS)
        return finish()
    require(os.path.exists(QUOINUTL), "no %s: build quoinutl, or name the build directory in QUOIN_BUILD" % QUOINUTL)
    for name in names(wanted):
        if "-broken-" in name:
            run(name, damaged_directory, name)
        elif name.endswith("-snapshot-file"):
            run(name + " status", snapshot_status, name)
            run(name + " content", snapshot_content, name)
            run(name + " damaged", damaged_snapshot, name)
            run(name + " bad arguments", bad_restore_arguments, name)
            run(name + " served", served_by_quoin, name)
            run(name + " served by etcd 3.4", served_by_etcd_3_4, name)
        else:
            run(name, sound_directory, name)
            if "etcdutl_arguments" in expectation(name):
                run(name + " by quoinutl", restored, name)
                run(name + " .snap file", restored_snap_file, name)
    run("every damaged vector has a rule", every_damage_is_listed)
    finish()


if __name__ == "__main__":
    main(sys.argv[1:])
