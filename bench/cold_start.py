#!/usr/bin/python3
"""Two of three members start, in new directories: the time until the first Put is answered.

    bench/cold_start.py                         # quoin and etcd, five rounds each, in turn
    bench/cold_start.py --rounds 1 --etcd none

The time counts from the start of the first process. A Put goes to whichever of the two has its client port open,
which is looked at every 2 ms, until one is answered. The third member is never there."""
import argparse, json, os, shutil, socket, statistics, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "tests", "lib"))
import members
import run


def opens(member):
    with socket.socket() as s:
        return s.connect_ex((member.host, member.client_port)) == 0


def put(member):
    """Whether it was answered. A port may be open for a moment only: servers try theirs before they begin."""
    import grpc
    client = member.client()
    try:
        client.put(b"k", b"v", timeout=60)
        return True
    except grpc.RpcError:
        return False
    finally:
        client.channel.close()


def first_put(two, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for member in two:
            if opens(member) and put(member):
                return
            if member.process.poll() is not None:
                raise RuntimeError("a member ended\n" + member.log_tail())
        time.sleep(0.002)  # a poll of another process: there is no event to wait for
    raise RuntimeError("no Put was answered\n" + two[0].log_tail())


def cold_start(binary):
    """Seconds until the first Put was answered."""
    cluster = members.Cluster(3, binary)
    two = cluster.members[:2]
    try:
        started = time.monotonic()
        for member in two:
            member.start(wait=False)
        first_put(two)
        return time.monotonic() - started
    finally:
        cluster.__exit__()
        for member in cluster.members:
            shutil.rmtree(member.root, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quoin", default=os.path.join(run.BUILD, "bin", "quoin"))
    parser.add_argument("--etcd", help="etcd's binary, or none (default: what tools/get-etcd gets)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", default=os.path.join(run.SOURCE, "build", "bench"))
    options = parser.parse_args()
    os.makedirs(options.output, exist_ok=True)
    servers = {"quoin": options.quoin}
    if options.etcd != "none":
        servers["etcd"] = run.find_etcd(options.etcd)
    import etcdapi  # makes its classes, before anything counts
    assert etcdapi
    seconds = {name: [] for name in servers}
    for _ in range(options.rounds):
        for name, binary in servers.items():
            seconds[name].append(round(cold_start(binary), 3))
    for name, all_of_it in seconds.items():
        print("%-6s median %.2f s (%s)" % (name, statistics.median(all_of_it), ", ".join("%.2f" % s for s in all_of_it)))
    with open(os.path.join(options.output, "cold_start.jsonl"), "a") as f:
        f.write(json.dumps(seconds) + "\n")


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit("cold_start: %s" % error)
