#!/usr/bin/python3
"""What the program says and how it ends when its flags are wrong: alone, and side by side with etcd 3.5 where it can be
had. Nothing here gets as far as serving."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Skip, equal, finish, run

# Wrong in the same way for both.
BAD = [["--foo"], ["---x"], ["--=x"], ["--name"], ["--snapshot-count=x"], ["--snapshot-count=-1"],
       ["--heartbeat-interval=99999999999999999999"], ["--pre-vote=maybe"], ["--pre-vote="],
       ["--grpc-keepalive-interval=5"], ["--quota-backend-bytes=0x10z"], ["--max-concurrent-streams=5000000000"],
       ["--initial-cluster-state=foo"], ["--listen-client-urls=ftp://x"], ["--listen-client-urls=http://x"],
       ["--listen-client-urls=http://1.1.1.1:1/abc"], ["--cors=x"], ["--discovery-fallback=x"]]
INVALID = [["--heartbeat-interval=0"], ["--election-timeout=0"], ["--heartbeat-interval=300"],
           ["--election-timeout=60000"], ["--listen-client-urls=http://a.b:1", "--advertise-client-urls=http://a:1"],
           ["--initial-advertise-peer-urls=http://:2380"], ["--auto-compaction-mode=x"],
           ["--listen-client-urls=http://127.0.0.1:1"], ["--tls-min-version=TLS1.0"], ["--logger=capnslog"],
           ["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"], ["--log-outputs=stderr,default"],
           ["--log-outputs=/nonexistent/log"], ["--log-level=ERROR", "--log-outputs=stdout,/nonexistent/log"],
           ["--config-file=/nonexistent"]]
LATE = [["--auto-compaction-retention=-5"], ["--auto-compaction-mode=revision", "--auto-compaction-retention=x"],
        ["--auth-token=foo"]]


def execute(binary, flags, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
    with tempfile.TemporaryDirectory(prefix="quoin-flags-") as folder:
        return subprocess.run([binary] + flags, cwd=folder, env=dict(clean, **env), capture_output=True, text=True,
                              timeout=30, stdin=subprocess.DEVNULL)


def last_line(done):
    """The last log line: (level, message, error)."""
    line = json.loads(done.stderr.strip().split("\n")[-1])
    return line["level"], line["msg"], line.get("error")


def quoin():
    if not os.access(members.quoin_binary(), os.X_OK):
        raise Skip("no %s" % members.quoin_binary())
    return members.quoin_binary()


def bad_flags_print_the_usage():
    for flags in BAD:
        done = execute(quoin(), flags)
        equal(done.returncode, 2, flags)
        equal(done.stdout, "", flags)
        equal(done.stderr.split("\n")[1], "Usage:", flags)


def invalid_values_end_with_one_line():
    for flags in INVALID:
        done = execute(quoin(), flags)
        equal(done.returncode, 1, flags)
        equal(last_line(done)[0], "warn", flags)
    for flags in LATE:
        done = execute(quoin(), flags)
        equal(done.returncode, 1, flags)
        equal(last_line(done)[:2], ("fatal", "discovery failed"), flags)


def what_is_not_built_is_refused():
    for flag in ("--listen-peer-urls=https://127.0.0.1:1", "--discovery-srv=x"):
        done = execute(quoin(), [flag])
        equal(done.returncode, 1, flag)
        level, message, error = last_line(done)
        equal((level, message), ("warn", "failed to verify flags"), flag)
        equal(" is not built in quoin" in error, True, flag)


def environment_and_flags_must_not_meet():
    done = execute(quoin(), ["--name=y"], ETCD_NAME="x")
    equal(done.returncode, 1)
    line = json.loads(done.stderr.strip().split("\n")[-1])
    equal((line["level"], line["environment-variable"]), ("fatal", "ETCD_NAME"))
    equal(last_line(execute(quoin(), [], ETCD_PRE_VOTE="zz"))[2], 'invalid value "zz" for ETCD_PRE_VOTE: parse error')


def help_and_version_are_no_errors():
    done = execute(quoin(), ["--version"])
    equal(done.returncode, 0)
    lines = done.stdout.split("\n")
    equal([line.split(":")[0] for line in lines[:5]],
          ["etcd Version", "Git SHA", "Go Version", "Go OS/Arch", "quoin Version"])
    equal(lines[0], "etcd Version: 3.7.1")
    for flag in ("-h", "--help"):
        done = execute(quoin(), [flag])
        equal(done.returncode, 0)
        equal("--listen-client-urls" in done.stdout and done.stderr.startswith("Usage:"), True)


def same_as_etcd():
    """Exit codes and texts, word for word. `-log-outputs` and the rest that 3.7 says differently are not in the lists."""
    etcd = members.etcd_binary()
    if etcd is None:
        raise Skip("no etcd 3.5 to compare with (tools/get-etcd)")
    for flags in BAD:
        ours, theirs = execute(quoin(), flags), execute(etcd, flags)
        equal(ours.returncode, theirs.returncode, flags)
        equal(ours.stderr.split("\n")[0], theirs.stderr.split("\n")[0], flags)
    for flags in INVALID + LATE:
        ours, theirs = execute(quoin(), flags), execute(etcd, flags)
        equal(ours.returncode, theirs.returncode, flags)
        equal(last_line(ours), last_line(theirs), flags)


for test in (bad_flags_print_the_usage, invalid_values_end_with_one_line, what_is_not_built_is_refused,
             environment_and_flags_must_not_meet, help_and_version_are_no_errors, same_as_etcd):
    run(test.__name__, test)
finish()
