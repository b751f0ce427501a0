#!/usr/bin/python3
"""100,000 watches on one stream whose client reads nothing any more: the server's memory stays bounded, others write and
watch as before, and when the client goes nothing of it remains."""
import os, queue, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import members
from members import Member, equal, finish, run

WATCHES = 100000
PUTS = 100
VALUE = b"v" * 100000
KEY = b"bench/000000000000"  # the one that watchload watches
# One Put to all of them would be 10 GB. What is written is 10 MB, which the log, the cache and a checkpoint hold a few
# times over.
GROWTH_MIB_MAX = 200


def anonymous_mib(member):
    with open("/proc/%d/smaps_rollup" % member.process.pid) as f:
        return int(next(line for line in f if line.startswith("Anonymous:")).split()[1]) / 1024


class Watch:
    """A watcher of one key that reads."""

    def __init__(self, client):
        import etcdapi
        self._requests = queue.Queue()
        self._requests.put(etcdapi.rpc.WatchRequest(create_request=etcdapi.rpc.WatchCreateRequest(key=KEY)))
        call = client.channel.stream_stream("/etcdserverpb.Watch/Watch",
                                            request_serializer=lambda m: m.SerializeToString(),
                                            response_deserializer=etcdapi.rpc.WatchResponse.FromString)
        self._call = call(iter(self._requests.get, None), timeout=120)
        assert next(self._call).created

    def events(self, count):
        found = []
        while len(found) < count:
            found += next(self._call).events
        return found


def crowd(member):
    """The client that does not read; returns once its watches stand."""
    process = subprocess.Popen([os.path.join(members.BIN, "watchload"), "--mode", "silent", "--watchers", str(WATCHES),
                                "--connections", "1", "--streams", "1", "--duration", "1000", member.endpoint],
                               stdout=subprocess.PIPE, text=True)
    equal(process.stdout.readline(), "watching\n")
    return process


def leave(process):
    equal(process.poll(), None, "the silent client's exit code")
    process.kill()
    process.wait()
    process.stdout.close()


def silent():
    with Member(members.quoin_binary(), ["--quota-backend-bytes", str(8 << 30)]) as member:
        client = member.client()
        client.put(KEY, b"first")
        before = anonymous_mib(member)
        watchers = crowd(member)
        made = anonymous_mib(member)
        watch = Watch(client)
        for i in range(PUTS):
            client.put(KEY, b"%02d" % i + VALUE)
        equal([e.kv.value[:2] for e in watch.events(PUTS)], [b"%02d" % i for i in range(PUTS)])
        after = anonymous_mib(member)
        assert after - made < GROWTH_MIB_MAX, "the server grew from %.0f to %.0f MiB" % (made, after)
        leave(watchers)
        client.put(KEY, b"last")
        equal(watch.events(1)[0].kv.value, b"last")
        # The next crowd finds room where the first one was.
        leave(crowd(member))
        again = anonymous_mib(member)
        print("  anonymous memory: %.0f MiB, with %d watches %.0f MiB, after %d Puts %.0f MiB, with others %.0f MiB" % (
            before, WATCHES, made, PUTS, after, again), flush=True)
        assert again - after < (made - before) / 2, "the server grew from %.0f to %.0f MiB" % (after, again)


if __name__ == "__main__":
    run("%d watches of a client that does not read" % WATCHES, silent)
    finish()
