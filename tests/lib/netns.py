"""Hosts of a test's own: network namespaces on one bridge, and links between them that can be cut in one direction.

    netns.enter()                      # first thing in the program: runs it again in a network of its own, or skips
    with netns.Hosts(3) as hosts:
        Member(..., host=hosts.address(0), prefix=hosts.prefix(0))
        hosts.cut(0, 1)                # what 0 sends to 1 is lost
        hosts.heal()

The program itself, and so its clients, is on the bridge too and reaches every host. All of it ends with the program.
"""
import ctypes, os, shutil, signal, subprocess, sys

from members import Skip

_ENTERED = "QUOIN_TEST_NETWORK"


def enter():
    """Runs this program again in a network namespace of its own. Returns there; raises Skip where that is not allowed."""
    if os.environ.get(_ENTERED):
        return
    for tool in ("nft", "ip", "unshare", "nsenter"):
        if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            raise Skip("%s is not installed" % tool)
    unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    if subprocess.run(unshare + ["true"], capture_output=True).returncode != 0:
        raise Skip("network namespaces are not allowed here")
    env = dict(os.environ, **{_ENTERED: "1"})
    env["PATH"] = env.get("PATH", "") + ":/usr/sbin:/sbin"
    os.execvpe(unshare[0], unshare + [sys.executable] + sys.argv, env)


def _end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _call(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stderr))


class Hosts:
    def __init__(self, count):
        self.count, self._anchors = count, []

    def address(self, i):
        return "10.77.0.%d" % (i + 1)

    def prefix(self, i):
        """What stands before a command that is to run on host i."""
        return ["nsenter", "--target", str(self._anchors[i].pid), "--net"]

    def __enter__(self):
        _call("ip", "link", "set", "lo", "up")
        _call("ip", "link", "add", "hub", "type", "bridge")
        _call("ip", "addr", "add", "10.77.0.254/24", "dev", "hub")
        _call("ip", "link", "set", "hub", "up")
        for i in range(self.count):
            # A process that does nothing holds the namespace; it is there once it has said so.
            anchor = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo up; exec cat"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, preexec_fn=_end_with_parent)
            anchor.stdout.readline()
            self._anchors.append(anchor)
            _call("ip", "link", "add", "h%d" % i, "type", "veth", "peer", "name", "eth0", "netns", str(anchor.pid))
            _call("ip", "link", "set", "h%d" % i, "master", "hub", "up")
            for command in (["ip", "link", "set", "lo", "up"], ["ip", "link", "set", "eth0", "up"],
                            ["ip", "addr", "add", self.address(i) + "/24", "dev", "eth0"],
                            ["nft", "add table ip cuts; add chain ip cuts in { type filter hook input priority 0; }"]):
                _call(*self.prefix(i), *command)
        return self

    def __exit__(self, *_):
        for anchor in self._anchors:
            anchor.kill()
            anchor.wait()
        _call("ip", "link", "del", "hub")

    def cut(self, sender, receiver):
        _call(*self.prefix(receiver), "nft", "add rule ip cuts in ip saddr %s drop" % self.address(sender))

    def cut_both(self, a, b):
        self.cut(a, b)
        self.cut(b, a)

    def isolate(self, group):
        """No packet passes between `group` and the other hosts."""
        for a in group:
            for b in range(self.count):
                if b not in group:
                    self.cut_both(a, b)

    def reject(self, sender, receiver):
        """As a firewall that refuses: what sender says to receiver is answered with a reset."""
        _call(*self.prefix(receiver), "nft", "add rule ip cuts in ip saddr %s meta l4proto tcp reject with tcp reset"
              % self.address(sender))

    def heal(self):
        for i in range(self.count):
            _call(*self.prefix(i), "nft", "flush chain ip cuts in")
