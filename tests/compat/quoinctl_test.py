#!/usr/bin/python3
"""quoinctl beside etcdctl: the same command lines against one real etcd, the same standard output and exit codes.

Needs etcd and etcdctl 3.5 (tools/get-etcd); with Debian's 3.4 alone, fewer commands are compared. Where 3.7.1, whose
output quoinctl keeps, prints more than the etcdctl at hand, the command is not in the list."""
import json, os, re, shutil, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, Skip, equal, finish, run

QUOINCTL = os.path.join(members.BIN, "quoinctl")
FORMATS = ["simple", "fields", "json", "protobuf", "table"]


def find_pair():
    """(etcd, etcdctl, is it 3.5?)"""
    etcd = members.etcd_binary()
    if etcd and os.path.exists(etcd + "ctl"):
        return etcd, etcd + "ctl", True
    if shutil.which("etcd") and shutil.which("etcdctl"):
        return shutil.which("etcd"), shutil.which("etcdctl"), False
    return None


class Ctl:
    def __init__(self, program, endpoint):
        self.program, self.endpoint = program, endpoint

    def __call__(self, *arguments, text=b"", **variables):
        env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
        env.update(ETCDCTL_API="3", ETCDCTL_ENDPOINTS=self.endpoint)
        env.update(variables)
        done = subprocess.run([self.program] + list(arguments), input=text, capture_output=True, env=env, timeout=60)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")


class Pair:
    """Runs a command line with both programs. Commands that change something run on two servers alike."""

    def __init__(self, theirs, ours):
        self.theirs, self.ours = theirs, ours

    def same(self, *arguments, **options):
        code, out, err = self.theirs(*arguments, **options)
        got_code, got_out, got_err = self.ours(*arguments, **options)
        line = " ".join(arguments)
        if "flag" in err:  # the usage that follows is each program's own
            out = got_out = b""
        if line.startswith("member list"):  # 3.7 leaves out the revision that such answers do not carry
            out = out.replace(b'"Revision" : 0\n', b"")
        equal((got_code, got_out), (code, out), "%s\n%s---\n%s" % (line, err, got_err))
        err = err.replace('"etcdctl"', '"quoinctl"')
        error = [x for x in err.split("\n") if x.startswith("Error:")]
        if code not in (0, 1) or (error and "rpc error" not in error[0] and "flag" not in error[0]):
            equal([x for x in got_err.split("\n") if x.startswith("Error:")], error[:1], line)


def reading(pair):
    for form in FORMATS:
        for command in ("get a", "get nothing", "get --prefix app/", "get --prefix app/ --keys-only", "get a c",
                        "get --from-key b --limit 2", "get --prefix app/ --order DESCEND --sort-by MODIFY",
                        "get a --rev 2", "get bin", "member list", "alarm list", "get --prefix= --consistency s"):
            pair.same(*command.split(" "), "-w", form)
    for command in ("get a --hex", "get bin --hex", "get --prefix app/ --print-value-only", "ge a", "-w=json get a",
                    "get a -wjson", "get -- a", "--hex=false get a"):
        pair.same(*command.split(" "))


def refusing(pair):
    for command in ("get", "get a b --prefix", "get a --prefix --from-key", "get a --order x", "get a --sort-by x",
                    "get a --consistency x", "get a --rev 1000", "get a -w xml", "get a --limit x", "get a --nonsense",
                    "put", "put a b --lease zz", "put a b --lease 1f", "put a b --ignore-value", "del", "del a b c",
                    "del a b --prefix", "compaction", "compaction x", "compaction 1000", "alarm list x",
                    "alarm disarm x", "txn x", "snapshot save", "get a --print-value-only -w json", "get a --rev",
                    "endpoint status -w protobuf", "nonsense", "member add x --peer-urls=127.0.0.1:1",
                    "member add x --peer-urls=localhost:1", "member add x --peer-urls=http://h", "member add x --peer-urls=ftp://h:1",
                    "member add x --peer-urls=http://h:1/p", "member add x --peer-urls=http://h:1,y",
                    "member add x --peer-urls=http://h:x", "member add x http://h:1", "member add x y z", "member add x",
                    "member add", "member update 1 --peer-urls=127.0.0.1:1", "member update 1", "member update 1 http://h:1",
                    "member update", "member update zz --peer-urls=a", "check perf --load q", "check datascale --load q",
                    "make-mirror", "make-mirror a b"):
        pair.same(*[] if command == "" else command.split(" "))
    pair.same("get", "")
    pair.same("put", "", "x")


def transactions(twins, pair):
    for text in ('value("a") = "1"\n\nput t 1\nget t\n\nput t 2\n\n', 'mod("a") > "0"\nver("zzz") = "0"\n\nget a\n\n\n',
                 'c("a") != "0"\n\nput "q k" "v\\x00\\n"\n\n\n', "\n\n\n", 'val("a") = "no"\n\n\ndel t --prefix\nget a\n\n',
                 '\nget --prefix app/ --keys-only\nput x \'it is\' --prev-kv\n\n\n'):
        for arguments in (["txn"], ["txn", "-i"], ["txn", "-w", "json"], ["txn", "-w", "fields"], ["txn", "-w", "table"]):
            form = arguments[-1]
            code, out, err = twins.theirs(*arguments, text=text.encode())
            got_code, got_out, got_err = twins.ours(*arguments, text=text.encode())
            equal((got_code, without_ids(got_out, form)), (code, without_ids(out, form)), "%r\n%s" % (text, got_err))
    pair.same("txn", "-w", "protobuf", text=b'ver("a") > "0"\n\nget app/ --prefix\nget b\n\n\n')
    for text in ('value("a") = "1"\n', "nonsense\n\n\n\n", 'size("a") = "1"\n\n\n\n', 'ver("a") = "x"\n\n\n\n',
                 "\nwatch a\n\n\n", "\nget\n\n\n", "\nget a --nonsense\n\n\n", "\nput a\n\n\n"):
        code, _, _ = pair.theirs("txn", text=text.encode())
        got, _, err = pair.ours("txn", text=text.encode())
        equal(got, code, "exit code of %r, %s" % (text, err))


def writing(pair):
    """Changes both servers in the same order, so that every answer must be the same."""
    for arguments in (["put", "w", "1"], ["put", "w", "2", "--prev-kv"], ["put", "w", "3", "--prev-kv", "-w", "json"],
                      ["put", "w", "--ignore-value"], ["put", "w", "4", "-w", "fields", "--prev-kv"],
                      ["put", "--", "w2", "-x"], ["del", "w", "--prev-kv"], ["del", "w2", "-w", "json"], ["del", "zz"],
                      ["put", "w/1", "1"], ["put", "w/2", "2"], ["del", "--prefix", "w/", "--prev-kv", "-w", "fields"],
                      ["compaction", "3"], ["compaction", "3"], ["alarm", "disarm"], ["endpoint", "hashkv", "--rev", "5"]):
        form = "simple" if "-w" not in arguments else arguments[arguments.index("-w") + 1]
        code, out, err = pair.theirs(*arguments)
        got_code, got_out, got_err = pair.ours(*arguments)
        if arguments[:2] == ["endpoint", "hashkv"]:  # the endpoints differ, and 3.7 shows one column more
            out, got_out = out.split(b", ")[1].strip(), got_out.split(b", ")[1]
        equal((got_code, without_ids(got_out, form)), (code, without_ids(out, form)),
              " ".join(arguments) + "\n" + err + "---\n" + got_err)
    for ctl in (pair.theirs, pair.ours):
        equal(ctl("put", "from-stdin", text=b"a\0b\n")[:2], (0, b"OK\n"))
    equal(pair.ours("get", "from-stdin", "--print-value-only")[1], b"a\0b\n\n")


def without_ids(out, form):
    if form in ("json", "fields"):
        return re.sub(rb"((cluster_id|member_id|raft_term)\"|(ClusterID|MemberID|RaftTerm)\" )\s*:\s*\d+", rb"\1:0", out)
    return out


def endpoints(pair):
    ours = pair.ours
    code, out, err = ours("endpoint", "status", "--cluster", "-w", "json")
    status = json.loads(out)[0]
    equal((code, status["Endpoint"]), (0, "http://" + ours.endpoint))
    equal(json.loads(pair.theirs("endpoint", "status", "-w", "json")[1])[0]["Status"], status["Status"])
    equal(len(ours("endpoint", "status")[1].decode().split(", ")), 16, "columns")
    code, out, err = ours("endpoint", "health", "-w", "json")
    equal((code, json.loads(out)[0]["health"]), (0, True))
    both = "127.0.0.1:%d,%s" % (members.free_port(), ours.endpoint)
    for command in (["endpoint", "health"], ["endpoint", "status"], ["endpoint", "hashkv"], ["defrag"]):
        code, out, err = ours(*command, "--command-timeout", "300ms", ETCDCTL_ENDPOINTS=both)
        equal(code, 1, command)
        equal(out.count(ours.endpoint.encode()), 1, "%s\n%s%s" % (command, out, err))
        assert "context deadline exceeded" in err, err
    # A read finds the endpoint that lives.
    equal(ours("get", "a", "--print-value-only", ETCDCTL_ENDPOINTS=both)[1], b"1\n")


def environment(pair):
    ours = pair.ours
    equal(json.loads(ours("get", "a", ETCDCTL_WRITE_OUT="json")[1])["count"], 1)
    code, _, err = ours("get", "a", "-w", "json", ETCDCTL_WRITE_OUT="json")
    equal(code, 1)
    assert "conflicting environment variable is shadowed" in err, err
    code, _, err = ours("get", "a", ETCDCTL_NONSENSE="1")
    equal(code, 0)
    assert '"unrecognized environment variable","environment-variable":"ETCDCTL_NONSENSE=1"' in err, err


def snapshots(pair):
    etcdctl, ours = pair.theirs, pair.ours
    folder = members.tempfile.mkdtemp(prefix="quoin-test-")
    members.atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, "snap.db")
    code, out, err = ours("snapshot", "save", path)
    equal((code, out), (0, b"Snapshot saved at %s\n" % path.encode()), err)
    equal(os.listdir(folder), ["snap.db"])
    equal(os.stat(path).st_mode & 0o777, 0o600)
    code, out, _ = etcdctl("snapshot", "status", path, "-w", "json")
    revision = json.loads(ours("get", "a", "-w", "json")[1])["header"]["revision"]
    equal((code, json.loads(out)["revision"]), (0, revision))
    code, _, err = ours("snapshot", "save", path, ETCDCTL_ENDPOINTS=ours.endpoint + "," + ours.endpoint)
    equal(code, 5, err)
    code, _, err = ours("snapshot", "save", path + "2", ETCDCTL_ENDPOINTS="127.0.0.1:%d" % members.free_port())
    equal((code, os.listdir(folder)), (5, ["snap.db"]), err)


def authentication(pair):
    theirs, ours = pair.theirs, pair.ours
    for arguments in ("user add root:pw", "role add root", "user grant-role root root", "auth enable"):
        equal(theirs(*arguments.split())[0], 0, arguments)
    pair.same("get", "a")
    pair.same("get", "a", "--user", "root:pw")
    pair.same("get", "a", "--user", "root", "--password", "pw")
    pair.same("get", "a", ETCDCTL_USER="root:pw")
    pair.same("get", "a", "--user", "root:wrong")
    equal(ours("endpoint", "health", "--user", "root:pw")[0], 0)
    equal(theirs("auth", "disable", "--user", "root:pw")[0], 0)


def on_paper():
    """What needs no server."""
    ours = Ctl(QUOINCTL, "127.0.0.1:1")
    code, out, _ = ours("version")
    equal((code, out.split(b"\n")[1]), (0, b"API version: 3.7"))
    for arguments in ([], ["--help"], ["help", "put"], ["endpoint", "status", "-h"], ["endpoint", "nonsense"], ["options"]):
        code, out, err = ours(*arguments)
        assert code == 0 and len(out) > 200 and not err, (arguments, code, out, err)
    code, _, err = ours("gte", "a")
    assert code == 1 and "Did you mean this?\n\tget\n" in err and "Run 'quoinctl --help' for usage." in err, err
    for line in ("auth", "auth enable", "user list", "user add root:pw --no-password", "role add r"):
        code, out, err = ours(*line.split())
        equal((code, out), (1, b""), line)
        assert err.startswith("Error: quoinctl %s is not built yet" % line.split()[0]) and "Did you mean" not in err, err
    for line in ("snapshot status x", "snapshot restore x --data-dir d --skip-hash-check"):
        code, out, err = ours(*line.split())
        what = " ".join(line.split()[:2])
        equal((code, out, err), (128, b"", "Error: quoinctl %s works on files: use quoinutl %s\n" % (what, what)))
    for shell in ("bash", "zsh", "fish", "powershell"):
        code, out, _ = ours("completion", shell)
        assert code == 0 and b"hashkv" in out and b"--write-out" in out, shell
    equal(ours("completion", "tcsh")[0], 1)
    code, _, err = ours("get", "a", "--command-timeout", "200ms")
    equal((code, err.rstrip().split("\n")[-1]), (1, "Error: context deadline exceeded"))


def bash_completion():
    bash = shutil.which("bash")
    if not bash:
        raise Skip("there is no bash")
    script = Ctl(QUOINCTL, "x")("completion", "bash")[1].decode()

    def complete(*words):
        program = script + '\nCOMP_WORDS=(%s) COMP_CWORD=%d\n_quoinctl\nprintf "%%s\\n" "${COMPREPLY[@]}"' % (
            " ".join("'%s'" % w for w in words), len(words) - 1)
        return subprocess.run([bash, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    equal(complete("quoinctl", "en"), ["endpoint"])
    equal(sorted(complete("quoinctl", "endpoint", "h")), ["hashkv", "health"])
    equal(complete("quoinctl", "-w", "json", "endpoint", "hashkv", "--r"), ["--rev"])
    equal(complete("quoinctl", "get", "--pri"), ["--print-value-only"])


if __name__ == "__main__":
    run("quoinctl: without a server", on_paper)
    run("quoinctl: completion in bash", bash_completion)
    found = find_pair()
    if found is None:
        print("SKIPPED quoinctl beside etcdctl: etcd is not to be had here (tools/get-etcd, or package etcd-server)")
        finish()
    etcd, etcdctl, modern = found
    with Member(etcd) as server, Member(etcd) as twin:
        pair = Pair(Ctl(etcdctl, server.endpoint), Ctl(QUOINCTL, server.endpoint))
        twins = Pair(Ctl(etcdctl, server.endpoint), Ctl(QUOINCTL, twin.endpoint))
        for ctl in (pair.theirs, twins.ours):
            for key, value in (("a", "1"), ("b", "<2>"), ("app/1", "x"), ("app/2", "y"), ("app/1", "z"), ("bin", "\x01\u2028é")):
                equal(ctl("put", key, value)[0], 0)
        if modern:
            run("quoinctl beside etcdctl: get, member list, alarm list", reading, pair)
            run("quoinctl beside etcdctl: refusals", refusing, pair)
            run("quoinctl beside etcdctl: environment", environment, pair)
        else:
            print("SKIPPED quoinctl beside etcdctl 3.5: formats and refusals, only 3.4 is here")
        run("quoinctl beside etcdctl: put, del, compaction", writing, twins)
        run("quoinctl beside etcdctl: txn", transactions, twins, pair)
        run("quoinctl beside etcdctl: endpoint, defrag", endpoints, pair)
        run("quoinctl beside etcdctl: snapshot save", snapshots, pair)
        run("quoinctl beside etcdctl: users", authentication, pair)
    finish()
