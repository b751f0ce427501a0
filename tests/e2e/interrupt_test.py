#!/usr/bin/python3
"""quoinctl can always be interrupted: every command that may wait, against SIGINT, SIGTERM, a closed standard input, a closed
standard output and a server that is gone. What it leaves behind (a place in a queue) is looked up afterwards."""
import os, signal, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from ctl import PATIENCE, QUOINCTL, Command, ctl
from members import Member, equal, finish, quoin_binary, run, until


def queue_length(member, prefix):
    return len(ctl(member.endpoint, "get", prefix, "--prefix", "--keys-only")[1].split())


def waiting_in_a_queue(member):
    """lock and elect behind somebody else: told at once, and nobody waits behind them afterwards."""
    for arguments in (["lock", "q1"], ["elect", "q2", "me"]):
        holder = Command(member.endpoint, *arguments)
        assert holder.line().startswith(arguments[1] + "/")
        for sig in (signal.SIGINT, signal.SIGTERM):
            waiter = Command(member.endpoint, *arguments)
            until(lambda: queue_length(member, arguments[1]) == 2)
            equal(waiter.end(sig), (1, "", "Error: context canceled\n"), arguments)
            equal(queue_length(member, arguments[1]), 1, arguments)
        equal(holder.end(signal.SIGTERM)[0], 0, arguments)
        equal(queue_length(member, arguments[1]), 0, arguments)


def holding(member):
    """Who holds gives back and exits with 0; a command that runs under a lock is waited for."""
    for sig in (signal.SIGINT, signal.SIGTERM):
        for arguments in (["lock", "h1"], ["elect", "h2", "me"]):
            holder = Command(member.endpoint, *arguments)
            assert holder.line().startswith(arguments[1] + "/")
            equal(holder.end(sig)[0], 0, arguments)
            equal(queue_length(member, arguments[1]), 0, arguments)
        observer = Command(member.endpoint, "elect", "h3", "-l")
        leader = Command(member.endpoint, "elect", "h3", "me")
        assert observer.line().startswith("h3/")
        equal(observer.end(sig)[::2], (0, ""), "elect -l")
        equal(leader.end(sig)[0], 0)
        runner = Command(member.endpoint, "lock", "h4", "--", "sh", "-c", "echo started; read line; exit 7")
        equal(runner.line(), "started")
        runner.process.send_signal(sig)
        runner.say("go on")
        equal(runner.end()[0], 7)
        equal(queue_length(member, "h4"), 0)


def without_a_signal_handler(member):
    """Commands with nothing to give back end by the signal."""
    for sig in (signal.SIGINT, signal.SIGTERM):
        for arguments in (["watch", "w", "--rev", "1"], ["watch", "-i"], ["txn"], ["put", "k"]):
            command = Command(member.endpoint, *arguments)
            if arguments[:2] == ["watch", "w"]:
                ctl(member.endpoint, "put", "w", "1")
                equal(command.line(), "PUT")
            equal(command.end(sig)[0], -sig, arguments)
        lease = ctl(member.endpoint, "lease", "grant", "60")[1].split()[1]
        renewing = Command(member.endpoint, "lease", "keep-alive", lease)
        equal(renewing.line(), "lease %s keepalived with TTL(60)" % lease)
        equal(renewing.end(sig)[0], -sig)


def closed_input(member):
    """Standard input that ends at once."""
    for arguments, code, err in ((["watch", "-i"], 3, "Error: error reading watch request line: EOF\n"),
                                 (["put", "in"], 128, "Error: put command needs 1 argument and input from stdin or 2 arguments\n"), (["get", "in"], 0, ""), (["lease", "list"], 0, "")):
        got = ctl(member.endpoint, *arguments)
        equal((got[0], got[2]), (code, err), arguments)
    equal(ctl(member.endpoint, "txn")[0], 3)


def unreadable_input(member):
    """A directory, or no standard input at all, as under cron."""
    for arguments, code in ((["put", "in"], 128), (["txn"], 3), (["watch", "-i"], 3)):
        for shell in ('exec "$@" </', 'exec "$@" <&-'):
            got = subprocess.run(["sh", "-c", shell, "sh", QUOINCTL, "--endpoints", member.endpoint, *arguments],
                                 capture_output=True, timeout=PATIENCE)
            equal(got.returncode, code, (arguments, shell, got.stderr))


def closed_output(member):
    """Nobody reads any more: the command ends by itself as soon as it writes."""
    ctl(member.endpoint, "put", "o", "1")
    for arguments in (["get", "o"], ["watch", "o", "--rev", "1"], ["lock", "o1"], ["elect", "o2", "me"], ["member", "list"],
                      ["elect", "o2", "-l"]):
        command = Command(member.endpoint, *arguments)
        command.process.stdout.close()
        command.process.stdout = None
        if arguments == ["elect", "o2", "-l"]:
            leader = Command(member.endpoint, "elect", "o2", "me")
            leader.line()
        try:
            code = command.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            command.process.kill()
            raise AssertionError("%s goes on without a reader" % arguments)
        assert code != 0, arguments
        if arguments == ["elect", "o2", "-l"]:
            leader.end(signal.SIGTERM)


def lines_of_watch(member):
    """watch -i takes what it understands, says what it does not, and goes on."""
    watch = Command(member.endpoint, "watch", "-i")
    watch.say("bogus")
    watch.say("")
    watch.say("watch")
    watch.say("watch i")
    until(lambda: put_until_seen(member, watch))
    watch.say("progress")
    line = watch.line()
    while line in ("PUT", "i", "x"):  # later events of the same key
        line = watch.line()
    assert line.startswith("progress notify: "), line
    equal(watch.end(), (3, "", "Invalid command bogus (only support watch)\n"
                               "Invalid command:  (watch and progress supported)\n"
                               "Invalid command watch (bad number of arguments)\n"
                               "Error: error reading watch request line: EOF\n"))
    named = Command(member.endpoint, "watch", "-i", ETCDCTL_WATCH_KEY="i")
    named.say("watch --rev 1")
    equal([named.line() for _ in range(3)], ["PUT", "i", "x"])
    equal(named.end()[0], 3)


def put_until_seen(member, watch):
    """One Put a time until the watch, which stands at a moment that nobody tells, has seen one."""
    import select
    ctl(member.endpoint, "put", "i", "x")
    return bool(select.select([watch.process.stdout], [], [], 0.2)[0])


def lost_server():
    """The server goes away while lock and elect wait, and while they hold: the end of the session ends them."""
    with Member(quoin_binary()) as member:
        holder = Command(member.endpoint, "lock", "s", "--ttl", "2")
        assert holder.line().startswith("s/")
        waiter = Command(member.endpoint, "lock", "s", "--ttl", "2")
        until(lambda: queue_length(member, "s") == 2)
        member.kill()
        code, _, err = holder.end()
        equal((code, err), (1, "Error: session expired\n"))
        code, _, err = waiter.end()
        equal((code, err), (1, "Error: session expired\n"))


def nobody_there():
    """No server from the start: every command ends within its timeout, and at once by a signal."""
    endpoint = "127.0.0.1:%d" % members.free_port()
    for arguments in (["get", "k"], ["put", "k", "v"], ["del", "k"], ["lock", "l"], ["elect", "e", "me"], ["member", "list"],
                      ["endpoint", "health"], ["endpoint", "status"], ["lease", "grant", "5"], ["compaction", "1"]):
        code, out, err = ctl(endpoint, *arguments, "--command-timeout", "300ms", "--dial-timeout", "200ms")
        equal((code, out), (1, ""), arguments)
        assert "context deadline exceeded" in err or "unhealthy" in err or "Failed to get the status" in err, err
    for sig in (signal.SIGINT, signal.SIGTERM):
        for arguments in (["get", "k"], ["lock", "l"], ["elect", "e", "me"], ["watch", "k"], ["lease", "list"],
                          ["lease", "timetolive", "1"], ["lease", "keep-alive", "1"]):
            command = Command(endpoint, *arguments)
            code = command.end(sig)[0]
            assert code in (-sig, 1), (arguments, code)


def main():
    with Member(quoin_binary()) as member:
        for check in (waiting_in_a_queue, holding, without_a_signal_handler, closed_input, unreadable_input, closed_output, lines_of_watch):
            run(check.__name__, check, member)
        lease = "00000000000abcde"
        run("keep_alive_once", lambda: equal(ctl(member.endpoint, "lease", "keep-alive", "--once", lease),
                                             (2, "", "Error: etcdserver: requested lease not found\n")))
    run("lost_server", lost_server)
    run("nobody_there", nobody_there)
    finish()


main()
