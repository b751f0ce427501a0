#!/usr/bin/python3
"""tools/demo goes through to its end and shows what it promises."""
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))
BUILD = os.path.realpath(os.environ.get("QUOIN_BUILD", os.path.join(ROOT, "build", "release")))


def main():
    for name in ("quoin", "quoinctl"):
        if not os.access(os.path.join(BUILD, "bin", name), os.X_OK):
            print("SKIPPED the demo: no %s in %s/bin" % (name, BUILD))
            return 77
    done = subprocess.run([os.path.join(ROOT, "tools", "demo")], env=dict(os.environ, QUOIN_BUILD=BUILD),
                          capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    print(done.stdout)
    shown = done.stdout.replace("\033[1m", "").replace("\033[0m", "")
    missing = [text for text in ("\ngreen\n", "\nSUCCESS\n", "\nSnapshot saved at ", "\nThat was all")
               if text not in shown]
    # The leader that was killed, the one after it, and what the first one has when it is back.
    lost = re.search(r"^(\w+) is gone, and (\w+) leads\.$", shown, re.M)
    if not lost or lost.group(1) == lost.group(2):
        missing.append("a new leader")
    else:
        back = "\n%s $ quoinctl get fruit/ --prefix\nfruit/apple\ngreen\nfruit/pear\nyellow\nfruit/plum\nblue\n" % lost.group(1)
        missing += [] if back in shown else ["what %s has when it is back" % lost.group(1)]
        missing += [] if len(set(re.findall(r"^│ [\d.:]+ │ +(\d+) │", shown, re.M))) == 1 else ["one hash of all"]
    if done.returncode != 0 or missing:
        print("exit %d, missing %r\n%s" % (done.returncode, missing, done.stderr))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
