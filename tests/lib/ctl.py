"""quoinctl as a user runs it: with a terminal's signals, standard input and output, and nothing of this process's environment."""
import os, subprocess

import members

QUOINCTL = os.path.join(members.BIN, "quoinctl")
PATIENCE = 20  # seconds after which a command counts as stuck


class Command:
    """A quoinctl that runs; `lines()` reads its output."""

    def __init__(self, endpoint, *arguments, stdin=subprocess.PIPE, **variables):
        env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD")}
        env.update(ETCDCTL_ENDPOINTS=endpoint, **variables)
        self.process = subprocess.Popen([QUOINCTL] + list(arguments), stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env, text=True)

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self, sig=None):
        """(exit code, standard output, errors without the client's log lines)"""
        if sig is not None:
            self.process.send_signal(sig)
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("%s does not end" % self.process.args)
        return self.process.returncode, out, "".join(l + "\n" for l in err.splitlines() if not l.startswith("{"))


def ctl(endpoint, *arguments):
    return Command(endpoint, *arguments, stdin=subprocess.DEVNULL).end()
