#!/usr/bin/python3
"""Directories that lost something: a data file that the log makes up for, a log that was cut short, and a log that no
server starts with, for which `quoinutl repair` says the price and pays it."""
import hashlib, os, re, shutil, signal, struct, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, Skip, equal, finish, quoin_binary, run

QUOINUTL = os.path.join(members.BIN, "quoinutl")


def utl(*arguments):
    done = subprocess.run([QUOINUTL, *arguments], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def filled(m, keys=400):
    """Keys, leases, deletions, a transaction's worth of versions, a compaction. Returns (revision, hash of all)."""
    import etcdapi
    client = m.client()
    for i in range(keys):
        client.put(b"key/%03d" % (i % 60), b"%d " % i + b"v" * 100)
    lease = client.call("Lease/LeaseGrant", etcdapi.rpc.LeaseGrantRequest(TTL=3600, ID=0x77),
                        etcdapi.rpc.LeaseGrantResponse).ID
    client.put(b"leased", b"1", lease=lease)
    client.delete(b"key/007")
    client.compact(client.put(b"last", b"1").header.revision - 20, physical=True)
    return state(m)


def state(m):
    client = m.client()
    h = client.hashkv(0)
    return h.hash_revision, h.hash, h.compact_revision, client.range(b"leased").kvs[0].lease


def snap(m):
    return os.path.join(m.data_dir, "member", "snap")


def segment(m):
    folder = os.path.join(m.data_dir, "member", "wal")
    return os.path.join(folder, sorted(n for n in os.listdir(folder) if n.endswith(".wal"))[-1])


def image(folder):
    out = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(place, name), "rb") as f:
                out[os.path.relpath(os.path.join(place, name), folder)] = hashlib.sha256(f.read()).hexdigest()
    return out


def frames(path):
    """[(offset, type)] of the segment's records, and where they end."""
    with open(path, "rb") as f:
        content = f.read()
    at, out = 0, []
    while at + 8 <= len(content):
        length, = struct.unpack_from("<Q", content, at)
        if length == 0:
            break
        padding = (length >> 56) & 7 if length >> 63 else 0
        out.append((at, content[at + 9]))
        at += 8 + (length & (1 << 56) - 1) + padding
    return out, at


def lost_data_file():
    """member/snap is gone, snapshots were made, the log has its first entry: everything is made again."""
    with Member(quoin_binary(), ["--snapshot-count", "50"]) as m:
        before = filled(m)
        m.stop()
        assert "snapshot  term" in utl("dump", "--wal", m.data_dir)[1], "there is a snapshot that the log could begin at"
        shutil.rmtree(snap(m))
        code, out, err = utl("check", m.data_dir)
        equal(code, 0, err)
        m.start()
        equal(state(m), before, "after the data file was lost")
        m.client().put(b"more", b"1")
        more = state(m)
        m.stop()
        equal(utl("check", m.data_dir)[0], 0)
        # Interrupted again and again on the way: each start goes on.
        shutil.rmtree(snap(m))
        for _ in range(5):
            m.start(wait=False)
            while m.process.poll() is None and not os.path.exists(os.path.join(snap(m), "db")):
                time.sleep(0.002)  # a poll of another process
            m.kill()
        m.start()
        equal(state(m), more, "after interrupted starts")
        m.kill()
        # The data file of long ago, from before the newest snapshot, is no other case.
        m.start()
        equal(state(m), more, "after a kill")
        m.stop()


def old_data_file():
    with Member(quoin_binary(), ["--snapshot-count", "50"]) as m:
        m.client().put(b"early", b"1")
        m.stop()
        shutil.copy(os.path.join(snap(m), "db"), os.path.join(m.root, "early"))
        m.start()
        before = filled(m)
        m.stop()
        shutil.copy(os.path.join(m.root, "early"), os.path.join(snap(m), "db"))
        m.start()
        equal(state(m), before, "from an older data file")
        m.stop()


def not_everything():
    """A restored directory's log does not hold what was restored: without its data file it is refused, in true words."""
    with Member(quoin_binary()) as m:
        filled(m)
        m.stop()
        folder = os.path.join(m.root, "restored")
        code, _, err = utl("snapshot", "restore", os.path.join(snap(m), "db"), "--skip-hash-check", "--data-dir", folder,
                           "--name", m.name, "--initial-cluster", "%s=%s" % (m.name, m.peer_url),
                           "--initial-advertise-peer-urls", m.peer_url)
        equal(code, 0, err)
        m.data_dir = folder
        shutil.rmtree(snap(m))
        before = image(folder)
        m.start(wait=False)
        assert m.process.wait(60) != 0
        m.process = None
        assert "begins after a restored snapshot" in m.log_tail(), m.log_tail()
        equal(image(folder), before, "a refused directory")
        code, _, err = utl("check", folder)
        assert code == 1 and "begins after a restored snapshot" in err, err


def cut_short():
    """The log ends within its last record: it starts, and nothing is missing."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        with Member(quoin_binary()) as m:
            before = filled(m, 30)
            m.stop(sig)
            kept = os.path.join(m.root, "kept")
            shutil.copytree(m.data_dir, kept)
            records, end = frames(segment(m))
            equal(records[-1][1], 3, "the last record is a state")
            for cut in (end - 1, end - 8, end - 17, records[-1][0] + 9, records[-1][0] + 1, records[-1][0]):
                shutil.rmtree(m.data_dir)
                shutil.copytree(kept, m.data_dir)
                os.truncate(segment(m), cut)
                code, out, err = utl("check", m.data_dir)
                equal(code, 0, err)
                m.start()
                equal(state(m), before, "cut at %d of %d" % (cut, end))
                m.client().put(b"on", b"1")
                m.kill()


def cut_short_by_etcd():
    """What etcd starts with, of its own, we start with, and find the same."""
    etcd = members.etcd_binary()
    if etcd is None:
        raise Skip("no etcd here (tools/get-etcd)")
    with Member(etcd) as m:
        filled(m, 30)
        m.kill()
        records, end = frames(segment(m))
        os.truncate(segment(m), end - 5)
        shutil.copytree(m.data_dir, os.path.join(m.root, "copy"))
        m.start()
        theirs = state(m)
        m.stop()
        m.binary, m.data_dir = quoin_binary(), os.path.join(m.root, "copy")
        m.start()
        equal(state(m)[1:], theirs[1:], "etcd's log, cut; 3.5 tells no revision of the hash")
        m.stop()


def repaired():
    """A record rotted in the middle. Nothing starts; repair says the price, changes nothing until told to, and keeps what
    it replaces."""
    with Member(quoin_binary()) as m:
        before = filled(m, 50)
        m.stop()  # the data file holds everything now
        with open(segment(m), "r+b") as f:
            f.seek(4000)
            f.write(b"rot")
        m.start(wait=False)
        assert m.process.wait(60) != 0
        m.process = None
        untouched = image(m.data_dir)
        code, out, err = utl("repair", "--data-dir", m.data_dir)
        equal((code, err), (1, ""), out)
        for wanted in (r"^refused: .*at offset \d+", r"^the log: entries up to index \d+ can be read", r"^behind that stand \d+ bytes; "
                       r"\d+ entries of it can be read, from index \d+ to \d+", r"^the way: a new log that begins behind entry \d+",
                       r"^the price: every entry that can be read is kept", r"^nothing was changed; --cut does this$"):
            assert re.search(wanted, out, re.M), (wanted, out)
        equal(image(m.data_dir), untouched, "a dry run")
        code, out, err = utl("repair", "--data-dir", m.data_dir, "--cut")
        equal(code, 0, out + err)
        kept = {k.replace("wal.broken/", "wal/"): v for k, v in image(m.data_dir).items() if "wal.broken/" in k}
        equal(kept, {k: v for k, v in untouched.items() if "/wal/" in k}, "what was replaced")
        m.start()
        equal(state(m), before, "everything was in the data file")
        m.client().put(b"on", b"1")
        m.stop()
        equal(utl("check", m.data_dir)[0], 0)
        equal(utl("repair", "--data-dir", m.data_dir)[1], "the log is sound: nothing to repair\n")


def repaired_by_a_cut():
    """The data file is behind: the log's damaged end is cut off, and the entries that this costs are named."""
    with Member(quoin_binary(), ["--checkpoint-interval", "10m"]) as m:
        m.client().put(b"first", b"1")
        m.stop()
        m.start()
        for i in range(40):
            m.client().put(b"key/%02d" % i, b"v" * 300)
        m.kill()
        records, _ = frames(segment(m))
        entries = [at for at, kind in records if kind == 2]
        with open(segment(m), "r+b") as f:  # the tenth from the end
            f.seek(entries[-10] + 60)
            f.write(b"rot")
        m.start(wait=False)
        assert m.process.wait(60) != 0
        m.process = None
        code, out, err = utl("repair", "--data-dir", m.data_dir)
        equal(code, 1, out + err)
        assert "the way: cut the log off where it stops" in out, out
        price = re.search(r"^the price: entries (\d+) to (\d+) are lost", out, re.M)
        assert price, out
        code, out, err = utl("repair", "--data-dir", m.data_dir, "--cut")
        equal(code, 0, out + err)
        m.start()
        found = [kv.key for kv in m.client().range(b"key/", b"key0").kvs]
        equal(found, [b"key/%02d" % i for i in range(30)], "what is kept, and what was named as lost: " + price.group(0))
        assert os.path.exists(segment(m) + ".broken")
        m.stop()


class Segments:
    """A directory whose log has three segments, its data file of early on, and the one that it ended with; what the log
    holds behind that is ten puts."""

    def __init__(self, m):
        self.m, self.kept = m, os.path.join(m.root, "kept")
        client = m.client()
        client.put(b"first", b"1")
        m.stop()
        shutil.copy(os.path.join(snap(m), "db"), os.path.join(m.root, "early"))
        m.start()
        client, value = m.client(), os.urandom(1 << 20)
        for i in range(130):
            client.put(b"key/%03d" % i, value)
        m.stop()
        shutil.copy(os.path.join(snap(m), "db"), os.path.join(m.root, "late"))
        m.start()
        client = m.client()
        for i in range(130, 140):
            client.put(b"key/%03d" % i, b"small")
        m.kill()
        os.rename(m.data_dir, self.kept)
        equal(len(self.paths(self.kept)), 3, "segments")

    @staticmethod
    def paths(data_dir):
        folder = os.path.join(data_dir, "member", "wal")
        return [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if n.endswith(".wal")]

    def again(self, data_file, lost):
        """The directory anew, with this data file and without these segments."""
        shutil.rmtree(self.m.data_dir, ignore_errors=True)
        shutil.copytree(self.kept, self.m.data_dir)
        shutil.copy(os.path.join(self.m.root, data_file), os.path.join(snap(self.m), "db"))
        for i in lost:
            os.remove(self.paths(self.kept)[i].replace(self.kept, self.m.data_dir))

    def repair(self):
        """What the dry run says; then it is done, and the member starts. Returns the words and the keys."""
        m, untouched = self.m, image(self.m.data_dir)
        code, out, err = utl("repair", "--data-dir", m.data_dir)
        equal(code, 1, out + err)
        equal(image(m.data_dir), untouched, "a dry run")
        code, done, err = utl("repair", "--data-dir", m.data_dir, "--cut")
        equal(code, 0, done + err)
        equal(done.splitlines()[:-1], out.splitlines()[:-1], "what was said before")
        m.start()
        keys = [kv.key for kv in m.client().range(b"key/", b"key0").kvs]
        m.client().put(b"on", b"1")
        m.stop()
        equal(utl("check", m.data_dir)[0], 0)
        return out, keys


def segments_are_missing():
    with Member(quoin_binary()) as m:
        s, everything = Segments(m), [b"key/%03d" % i for i in range(140)]

        s.again("early", [1])
        out, keys = s.repair()
        assert "segment 1 is missing" in out and "the way: cut the log off where it stops" in out, out
        price = re.search(r"^the price: entries (\d+) to (\d+) are lost\. Up to \d+ they were committed", out, re.M)
        assert price, out
        equal(keys, everything[:len(keys)], "what stands before the gap")
        assert len(keys) > 40, keys
        lost = int(price.group(2)) - int(price.group(1)) + 1
        equal(lost, len(everything) - len(keys) + 1, "puts, and the first entry of the last term: " + price.group(0))

        s.again("late", [1])
        out, keys = s.repair()
        assert "the way: a new log" in out, out
        equal(keys, everything[:130], "the data file holds more than what stands before the gap")
        assert re.search(r"^the price: entries \d+ to \d+ are lost\. Up to \d+ they were committed", out, re.M), out

        s.again("late", [0])
        out, keys = s.repair()
        assert re.search(r"^the way: a new log that begins behind entry \d+, in term \d+, with the \d+ entries that follow", out,
                         re.M), out
        assert "the price: every entry that can be read is kept" in out, out
        equal(keys, everything, "what follows on the data file is kept")

        s.again("early", [0, 1])
        out, keys = s.repair()
        assert re.search(r"^the price: entries \d+ to \d+ are lost\. Up to \d+ they were committed", out, re.M), out
        equal(keys, [], "nothing follows on the data file")

        s.again("early", [0, 1])
        os.remove(os.path.join(snap(m), "db"))
        untouched = image(m.data_dir)
        for more in ([], ["--cut"]):
            code, out, err = utl("repair", "--data-dir", m.data_dir, *more)
            equal((code, out), (1, ""), "nothing can be made of it")
            assert "There is no data file that could stand for what is missing" in err, err
        equal(image(m.data_dir), untouched, "a refused directory")


def not_repaired_while_it_runs():
    with Member(quoin_binary()) as m:
        code, _, err = utl("repair", "--data-dir", m.data_dir, "--timeout", "50ms")
        assert code == 1 and "another process uses it" in err, err


run("a lost data file", lost_data_file)
run("a data file of long ago", old_data_file)
run("a log that does not hold everything", not_everything)
run("a log that was cut within its last record", cut_short)
run("the same of etcd's", cut_short_by_etcd)
run("repair, when the data file holds more", repaired)
run("repair, when the log holds more", repaired_by_a_cut)
run("repair, when segments are missing", segments_are_missing)
run("repair waits for no running member", not_repaired_while_it_runs)
finish()
