"""One value in a member's database file, damaged and mended; and the alarms that come of it."""
import os

from etcdapi import rpc

VALUE, DAMAGED = b"the value that was written once", b"the value that Was written once"
CORRUPT = 2


def rewrite(member, old, new):
    """Replaces bytes in the database file of a stopped member."""
    path = os.path.join(member.data_dir, "member", "snap", "db")
    with open(path, "rb") as f:
        data = f.read()
    assert old in data, "%s does not hold the value" % path
    with open(path, "wb") as f:
        f.write(data.replace(old, new))


def damage(member, old=VALUE, new=DAMAGED):
    """Stops the member, damages the value, starts it again."""
    member.stop()
    rewrite(member, old, new)
    member.start(wait=False).wait_ready(alarms=True)


def mend(member):
    damage(member, DAMAGED, VALUE)


def alarms(client):
    """[(member id, kind)] of all active alarms."""
    answer = client.call("Maintenance/Alarm", rpc.AlarmRequest(), rpc.AlarmResponse)
    return [(row.memberID, row.alarm) for row in answer.alarms]
