#!/usr/bin/python3
"""A leader behind a firewall that refuses: the others take it for dead and elect another one in a moment, while it may
lead on for two election timeouts. What it tells the holder of a lease has to stay true.

    lease_firewall_test.py [--rounds N]
"""
import argparse, os, queue, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import netns
from members import Cluster, Skip, equal, finish, run, until

TTL = 3
FLAGS = ["--heartbeat-interval", "100", "--election-timeout", "1000"]


class Holder:
    """Renews all the time, and knows until when the lease lives at least by what it was told."""

    def __init__(self, client, lease):
        from etcdapi import rpc
        self.asked, self.requests, self.holds_until, self.answered = queue.Queue(), queue.Queue(), 0.0, threading.Event()
        call = client.channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive",
                                            request_serializer=lambda m: m.SerializeToString(),
                                            response_deserializer=rpc.LeaseKeepAliveResponse.FromString)
        self.answers, self.request = call(iter(self.requests.get, None), timeout=60), rpc.LeaseKeepAliveRequest(ID=lease)
        self.goes_on = True
        self.threads = [threading.Thread(target=self._ask), threading.Thread(target=self._hear)]
        for thread in self.threads:
            thread.start()
        self.answered.wait()

    def _ask(self):
        while self.goes_on:
            self.asked.put(time.monotonic())
            self.requests.put(self.request)
            time.sleep(0.01)  # the pace of the load

    def _hear(self):
        import grpc
        try:
            for answer in self.answers:
                asked = self.asked.get()
                if answer.TTL > 0:
                    self.holds_until = asked + answer.TTL
                self.answered.set()
        except grpc.RpcError:
            pass  # a member that leads nobody ends the stream

    def stop(self):
        self.goes_on = False
        self.answers.cancel()
        for thread in self.threads:
            thread.join()


def promises_are_kept(cluster, hosts):
    from etcdapi import rpc
    old = cluster.leader()
    others = [m for m in cluster if m is not old]
    client, elsewhere = old.client(), others[0].client()
    lease = client.call("Lease/LeaseGrant", rpc.LeaseGrantRequest(TTL=TTL), rpc.LeaseGrantResponse).ID
    client.put(b"held", b"alive", lease=lease)
    holder = Holder(client, lease)
    try:
        at = [m for m in cluster].index(old)
        for i in range(3):
            if i != at:
                hosts.reject(at, i)
                hosts.reject(i, at)
        cluster.leader(among=others)
        until(lambda: elsewhere.range(b"held").count == 0, seconds=60)
        ended = time.monotonic()
    finally:
        holder.stop()
        hosts.heal()
    print("the lease lived %.3f s longer than its holder was told" % (ended - holder.holds_until))
    equal(ended >= holder.holds_until, True, "the lease lived as long as its holder was told")
    client.channel.close()
    elsewhere.channel.close()
    until(lambda: [m.client().range(b"held") for m in cluster])  # all have found their leader again
    cluster.wait_equal()


def main(rounds):
    try:
        netns.enter()
    except Skip as why:
        print("SKIPPED leases behind a firewall: %s" % why)
        sys.exit(77)
    with netns.Hosts(3) as hosts, Cluster(3, flags=FLAGS, hosts=hosts) as cluster:
        for number in range(rounds):
            run("round %d" % (number + 1), promises_are_kept, cluster, hosts)
    finish()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    main(parser.parse_args().rounds)
