#!/usr/bin/env python3
"""What a peer may say that is false: forged, absurd, cut off or damaged. A real member refuses it with a clear line,
goes on, and never votes twice in a term."""
import gzip, http.client, json, os, shutil, struct, sys, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from members import SHARED, Member, Skip, equal, finish, quoin_binary, run, until
from raftpeer import (MSG_APP, MSG_APP_RESP, MSG_HEARTBEAT, MSG_HEARTBEAT_RESP, MSG_PROP, MSG_SNAP, MSG_VOTE,
                      MSG_VOTE_RESP, FakeMember, decode, encode, entry)

# Nobody but the test starts an election.
PATIENT = ["--heartbeat-interval", "1000", "--election-timeout", "50000"]


def members_of(real):
    """(cluster id, members) as a real member tells on its peer port; None while it does not."""
    assert real.process.poll() is None, real.log_tail()
    connection = http.client.HTTPConnection("127.0.0.1", real.peer_port, timeout=10)
    try:
        connection.request("GET", "/members")
        response = connection.getresponse()
        return int(response.getheader("X-Etcd-Cluster-Id"), 16), json.loads(response.read())
    except OSError:
        return None
    finally:
        connection.close()


class Trio:
    """One real member of a new cluster, and two that are the test's."""

    def __init__(self, flags=PATIENT, streams=None):
        self.fakes = [FakeMember("f%d" % i, streams) for i in range(2)]
        self.real = Member(quoin_binary(), flags, name="real", start=False)
        self.real.initial_cluster = ",".join(
            ["real=" + self.real.peer_url] + ["%s=%s" % (f.name, f.url) for f in self.fakes])

    def start(self):
        self.real.start(wait=False)
        self.member_list = until(self._members)
        for f in self.fakes:
            f.cluster_id = self.cluster_id
            f.id = next(m["id"] for m in self.member_list if m["peerURLs"] == [f.url])
        self.id = next(m["id"] for m in self.member_list if m["peerURLs"] == [self.real.peer_url])

    def _members(self):
        answer = members_of(self.real)
        if answer is None or len(answer[1]) != 1 + len(self.fakes):  # they are applied one by one
            return None
        self.cluster_id = answer[0]
        return answer[1]

    def message(self, kind, fake, **fields):
        return dict({"type": kind, "to": self.id, "from": fake.id}, **fields)

    def logged(self, *texts):
        """Whether one line of the real member's log holds all of these."""
        with open(self.real.log, errors="replace") as log:
            return any(all(text in line for text in texts) for line in log)

    def ask_for_vote(self, fake, term, **more):
        """True: granted. The log of the real member holds the three entries that made the cluster."""
        vote = self.message(MSG_VOTE, fake, term=term, log_term=1, index=3, **more)
        equal(fake.post(self.real, vote)[0], 204)
        answer = fake.next(MSG_VOTE_RESP)
        equal(answer["term"], term, "term of the answer")
        return not answer.get("reject", 0)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.real.__exit__()
        for f in self.fakes:
            f.__exit__()


def one_vote_in_a_term():
    with Trio() as trio:
        one, other = trio.fakes
        for term in (5, 6, 1000):
            assert trio.ask_for_vote(one, term)
            assert not trio.ask_for_vote(other, term), "two votes in term %d" % term
            # Heard of means durable: the power goes right after the answer.
            trio.real.kill()
            trio.start()
            assert not trio.ask_for_vote(other, term), "two votes in term %d, the second after a crash" % term
            assert trio.ask_for_vote(one, term), "the vote of term %d was forgotten" % term
        # Claims of another sender, another target, another cluster change nothing.
        vote = trio.message(MSG_VOTE, other, term=1001, log_term=1, index=3)
        forged = dict(vote, **{"from": one.id})
        equal(other.post(trio.real, forged), (500, "error processing raft message"))
        assert trio.logged("failed to process Raft message", "%x" % one.id, "brought by %x" % other.id)
        equal(other.post(trio.real, dict(vote, to=one.id)), (500, "error processing raft message"))
        assert trio.logged("failed to process Raft message", "mismatch member")
        equal(other.post(trio.real, vote, X_Etcd_Cluster_ID="%x" % (trio.cluster_id + 1)),
              (412, "cluster ID mismatch"))
        assert trio.logged("request cluster ID mismatch", "%x" % (trio.cluster_id + 1))
        equal(other.post(trio.real, vote, X_Server_Version="2.3.0"), (412, "incompatible version"))
        assert trio.logged("incompatible versions", "2.3.0")
        assert trio.ask_for_vote(one, 1001), "a refused request took the vote"


def a_wiped_member_does_not_vote_again():
    with Trio() as trio:
        one, other = trio.fakes
        assert trio.ask_for_vote(one, 7)
        trio.real.kill()
        shutil.rmtree(trio.real.data_dir)
        for m in trio.member_list:  # as the others know it, once it has told them where its clients find it
            m["clientURLs"] = ["http://127.0.0.1:1"]
        for f in trio.fakes:
            f.members = trio.member_list
        for state in ("new", "existing"):
            trio.real.initial_state = state
            trio.real.start(wait=False)
            equal(trio.real.process.wait(30), 1, "exit of a wiped member, " + state)
            assert "member %x has already been bootstrapped" % trio.id in trio.real.log_tail()
        trio.real.process = None


def absurd_numbers():
    with Trio() as trio:
        one, other = trio.fakes
        most = 2 ** 64 - 1
        for kind in (MSG_VOTE, MSG_APP, MSG_APP_RESP, MSG_HEARTBEAT, MSG_HEARTBEAT_RESP, MSG_VOTE_RESP, MSG_PROP):
            for fields in ({"term": most}, {"term": 2 ** 63}, {"term": 2, "index": most}, {"term": 2, "log_term": most},
                           {"term": 2, "commit": most}, {"term": 0, "index": most}):
                one.post(trio.real, trio.message(kind, one, **fields))
        for entries in ([entry(2, most)], [entry(most, 4)], [entry(2, 4), entry(2, 6)], [entry(2, 4), entry(1, 5)],
                        [entry(2, 0)]):
            one.post(trio.real, trio.message(MSG_APP, one, term=2, log_term=1, index=3, entries=entries, commit=most))
        assert trio.logged("refused a raft message", "%x" % one.id)
        equal(one.post(trio.real, None, body=b"\xff" * 100), (400, "error unmarshalling raft message"))
        # A term of 2 was believed, as it should be, and its leader; nothing beyond.
        assert trio.ask_for_vote(other, 3, context=b"CampaignTransfer")
        # The log is as it was: an append behind its end finds it.
        equal(one.post(trio.real, trio.message(MSG_APP, one, term=4, log_term=1, index=3))[0], 204)
        answer = one.next(MSG_APP_RESP)
        while answer["term"] < 4:
            answer = one.next(MSG_APP_RESP)
        equal((answer.get("index"), answer.get("reject", 0)), (3, 0))
        trio.real.kill()
        trio.start()
        assert trio.ask_for_vote(other, 5)


def streams_that_stall_or_lie():
    said, ended = {}, threading.Event()

    def stream(kind, write):
        n = said[kind] = said.get(kind, 0) + 1
        if n == 1:
            return write(struct.pack(">Q", 2 ** 62) + b"x" * 1000)  # far too long
        if n == 2:
            return write(b"\x07" * 1000)  # no record, or one that is far too long
        if n == 3:
            return write(struct.pack(">Q", 1000) + b"half")  # and ends
        ended.wait(60)  # says nothing

    with Trio(streams=stream) as trio:
        # It dials again after each of them; the silent ones it gives up after five seconds.
        until(lambda: all(f.streams_opened > 5 for f in trio.fakes))
        assert trio.logged("became inactive", "at most"), "the oversized frame left no line"
        ended.set()
        assert trio.ask_for_vote(trio.fakes[0], 9)


# ---- snapshots: the bytes that etcd sent to a member that joined ----


class Joined:
    """A real member that joins a recorded cluster, in the place of n4; the test sends it what n3 sent."""

    def __init__(self):
        folder = os.path.join(SHARED, "vectors", "peer", "3.7.1")
        if not os.path.isdir(folder):
            raise Skip("shared/vectors/peer is not here")
        with open(os.path.join(folder, "snapshot-1.json")) as f:
            self.recorded = json.load(f)
        with gzip.open(os.path.join(folder, self.recorded["request_body_file"])) as f:
            self.body = f.read()
        size, = struct.unpack(">Q", self.body[:8])
        self.envelope, self.db = self.body[8:8 + size], self.body[8 + size:]
        self.real = Member(quoin_binary(), PATIENT, name="n4", start=False)
        ids = {name: int(m["id"], 16) for name, m in json.load(open(os.path.join(folder, "scenario.json")))["members"].items()}
        self.fakes = {name: FakeMember(name) for name in ("n1", "n2", "n3")}
        urls = dict({name: f.url for name, f in self.fakes.items()}, n4=self.real.peer_url)
        for name, f in self.fakes.items():
            f.id, f.cluster_id = ids[name], 0xc547b6c6b4371e14
            f.members = [{"id": ids[n], "peerURLs": [url], "name": n, "clientURLs": ["http://127.0.0.1:1"]}
                         for n, url in urls.items() if n != "n4"]
            f.members.append({"id": ids["n4"], "peerURLs": [urls["n4"]], "name": "", "isLearner": True})
        self.real.initial_cluster = ",".join("%s=%s" % item for item in urls.items())
        self.real.initial_state = "existing"

    def _listens(self):
        assert self.real.process.poll() is None, self.real.log_tail()
        try:
            http.client.HTTPConnection("127.0.0.1", self.real.peer_port, timeout=10).connect()
            return True
        except OSError:
            return False

    def send(self, body):
        return self.fakes["n3"].post(self.real, None, path="/raft/snapshot", body=body)

    def with_db(self, db):
        return struct.pack(">Q", len(self.envelope)) + self.envelope + db

    def logged(self, text):
        with open(self.real.log, errors="replace") as log:
            return text in log.read()

    def __enter__(self):
        try:
            self.real.start(wait=False)
            until(self._listens)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.real.__exit__()
        for f in self.fakes.values():
            f.__exit__()


def reachable_pages(db):
    """The pages of a bbolt file that its newest meta reaches."""
    root, = struct.unpack_from("<Q", db, max((0, 4096), key=lambda at: struct.unpack_from("<Q", db, at + 64)[0]) + 32)
    todo, found = [root], []
    while todo:
        page = todo.pop()
        found.append(page)
        flags, count = struct.unpack_from("<HH", db, page * 4096 + 8)
        for element in range(page * 4096 + 16, page * 4096 + 16 + 16 * count, 16):
            if flags == 1:
                todo.append(struct.unpack_from("<Q", db, element + 8)[0])
            else:
                is_bucket, pos, key_size = struct.unpack_from("<III", db, element)
                child, = struct.unpack_from("<Q", db, element + pos + key_size) if is_bucket else (0,)
                todo += [child] if child else []
    return sorted(found)


def damaged_snapshots_are_refused():
    with Joined() as j:
        refused = {}

        def refuse(what, body):
            try:
                status, text = j.send(body)
            except OSError as error:  # the connection is closed before all is sent
                status, text = 500, str(error)
            assert status in (400, 500), (what, status, text)
            assert j.real.process.poll() is None, (what, j.real.log_tail())
            refused[what] = text

        refuse("nothing", b"")
        refuse("half a length", j.body[:4])
        refuse("half a message", j.body[:1000])
        refuse("no file", j.with_db(b""))
        for part in (4096, 8192, 10000, 4 * 4096 - 1):  # what follows is free
            refuse("the first %d bytes of the file" % part, j.with_db(j.db[:part]))
        refuse("an envelope that is too long", struct.pack(">Q", 2 ** 40) + j.body[8:])
        message = decode(j.envelope)
        refuse("no MsgSnap", struct.pack(">Q", 2) + b"\x08\x03")
        forged = encode(dict(message, **{"from": j.fakes["n1"].id}))
        refuse("a forged sender", struct.pack(">Q", len(forged)) + forged + j.db)
        other = encode(dict(message, to=j.fakes["n1"].id))
        refuse("another target", struct.pack(">Q", len(other)) + other + j.db)
        for page in reachable_pages(j.db):
            for at in (0, 8, 10, 16):  # its number, kind and count, and its first element
                db = bytearray(j.db)
                db[page * 4096 + at] ^= 0x41
                refuse("page %d, byte %d" % (page, at), j.with_db(bytes(db)))
        # A name within a sound page.
        db = bytearray(j.db)
        db[db.index(b"consistent_index", min(reachable_pages(j.db)) * 4096)] ^= 1
        refuse("a file that does not say how far it goes", j.with_db(bytes(db)))
        both = bytearray(j.db)
        both[16 + 60] ^= 1
        both[4096 + 16 + 60] ^= 1
        refuse("both metas", j.with_db(bytes(both)))
        assert j.logged("failed to receive a snapshot"), j.real.log_tail()
        assert not [n for n in os.listdir(os.path.join(j.real.data_dir, "member", "snap")) if n.endswith(".snap.db")]
        # What was sent in the end is taken, and is what etcd's member held.
        equal(j.send(j.body)[0], 204)
        recorded = {int(id, 16) for id in j.recorded["db"]["members"]}
        for _ in range(2):
            until(lambda: {m["id"] for m in (members_of(j.real) or (0, []))[1]} == recorded)
            j.real.kill()
            j.real.start(wait=False)
        assert j.logged("installed snapshot from leader"), j.real.log_tail()


def a_snapshot_of_a_later_version_ends_the_member():
    """It would be refused and sent again without end."""
    with Joined() as j:
        at = j.db.index(b"clusterVersion") + len(b"clusterVersion")
        assert j.db[at:at + 5] == b"3.7.0", j.db[at:at + 5]
        try:
            j.send(j.with_db(j.db[:at] + b"9.7.0" + j.db[at + 5:]))
        except (OSError, http.client.HTTPException):
            pass  # it has ended, and answers nobody
        until(lambda: j.real.process.poll() is not None)
        equal(j.real.process.poll(), 1)
        assert j.logged("this version cannot go on: a leader's snapshot: invalid downgrade"), j.real.log_tail()


def snapshots_that_come_again_leave_nothing():
    with Joined() as j:
        # Without its tree: raft would take it, and there would be nothing to install.
        equal(j.fakes["n3"].post(j.real, None, body=j.envelope)[0], 204)
        for _ in range(4):
            equal(j.send(j.body)[0], 204)
        folder = os.path.join(j.real.data_dir, "member", "snap")
        until(lambda: j.logged("installed snapshot from leader"))
        until(lambda: not [name for name in os.listdir(folder) if name.endswith(".snap.db")])
        equal(j.send(j.body)[0], 204)
        until(lambda: not [name for name in os.listdir(folder) if name.endswith(".snap.db")])
        fds = "/proc/%d/fd" % j.real.process.pid
        until(lambda: not [fd for fd in os.listdir(fds) if folder in read_link(os.path.join(fds, fd))
                           and not read_link(os.path.join(fds, fd)).endswith("/db")])
        assert j.real.process.poll() is None, j.real.log_tail()


def read_link(path):
    try:
        return os.readlink(path)
    except OSError:  # closed meanwhile
        return ""


for test in (one_vote_in_a_term, a_wiped_member_does_not_vote_again, absurd_numbers, streams_that_stall_or_lie,
             damaged_snapshots_are_refused, a_snapshot_of_a_later_version_ends_the_member,
             snapshots_that_come_again_leave_nothing):
    run(test.__name__.replace("_", " "), test)
finish()
