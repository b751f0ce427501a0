#!/usr/bin/python3
"""A lock, and why it needs fencing: distributed_lock.cc once more, with Debian's python3-etcd3.

    distributed_lock.py [HOST:PORT]

The holder is stopped for longer than its lease lives, another one takes over, and the late write of the first is refused by
the store, because each write names the revision at which its lock was taken: the fencing token."""
import multiprocessing, os, signal, sys

import etcd3

LOCK, GUARDED, TTL = "locks/python-report", "python-report", 2


def connect(endpoint):
    host, _, port = endpoint.rpartition(":")
    return etcd3.client(host=host, port=int(port), timeout=10)


def lock(client):
    """Waits for the lock; returns the fencing token. The lease is not kept alive: the lock holds for TTL seconds."""
    while True:
        taken, _ = client.transaction(compare=[client.transactions.create(LOCK) == 0],
                                      success=[client.transactions.put(LOCK, "", client.lease(TTL))], failure=[])
        if taken:
            return client.get(LOCK)[1].create_revision
        try:
            client.watch_once(LOCK, timeout=1)
        except etcd3.exceptions.WatchTimedOut:
            pass  # it may have been free before we looked


def write_guarded(client, token, value):
    """False: the lock is not held with this token any more, and nothing was written."""
    return client.transaction(compare=[client.transactions.create(LOCK) == token],
                              success=[client.transactions.put(GUARDED, value)], failure=[])[0]


def first_holder(endpoint, pipe):
    client = connect(endpoint)
    token = lock(client)
    print("first holder: locked, fencing token %d" % token, flush=True)
    pipe.send(write_guarded(client, token, "by the first"))
    pipe.recv()
    late = write_guarded(client, token, "by the first, too late")
    print("first holder: the late write was %s" % ("ACCEPTED" if late else "refused"), flush=True)
    pipe.send(late)


def main(endpoint):
    spawn = multiprocessing.get_context("spawn")
    pipe, far_end = spawn.Pipe()
    holder = spawn.Process(target=first_holder, args=(endpoint, far_end))
    holder.start()
    first_wrote = pipe.recv()
    os.kill(holder.pid, signal.SIGSTOP)
    print("the first holder is stopped; its lease of %d s runs out" % TTL, flush=True)
    client = connect(endpoint)
    token = lock(client)
    print("second holder: locked, fencing token %d" % token, flush=True)
    second_wrote = write_guarded(client, token, "by the second")
    os.kill(holder.pid, signal.SIGCONT)
    pipe.send("go on")
    late_wrote = pipe.recv()
    holder.join()
    value = client.get(GUARDED)[0].decode()
    print("the report is %s" % value)
    client.delete(LOCK)
    return 0 if first_wrote and second_wrote and not late_wrote and value == "by the second" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2379"))
