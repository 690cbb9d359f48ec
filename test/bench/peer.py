"""Salt's own ``network.managed`` beside ours, with the few aliases that its pace allows."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import places
from measure import RUNS, Pair, Row

from rig.host import BootedHost
from rig.netns import Segment
from rig.setups import ifupdown

INTERFACES = "/etc/network/interfaces"

#: It takes a second for each alias, and again when nothing changes.
FEW, MANY = 4, 100

STATE = """
peer-vip{number}:
  network.managed:
    - name: eth0:vip{number}
    - enabled: true
    - type: eth
    - proto: static
    - ipaddr: {address}
    - netmask: 255.255.255.255
"""


def measure(full: bool) -> Iterator[Row]:
    """Yield a row for aliases that are new and one for a second run."""
    count = MANY if full else FEW
    listed = places.ipv4(count)
    new: list[Pair] = []
    same: list[Pair] = []
    with Segment() as segment, BootedHost("bookworm", segment) as host:
        ifupdown(host)
        # Where netplan is merely installed, Salt's module writes its files and not these.
        host.remove("/etc/netplan", "/usr/sbin/netplan")
        places.install(host)
        states = "".join(
            STATE.format(number=number, address=address) for number, address in enumerate(listed)
        )
        host.write(f"{places.FORMULA}/peer.sls", states)
        places.write_pillar(host, listed)
        host.boot()
        host.run([*host.salt_argv(), "--local", "saltutil.sync_all"], env=host.salt_environment())
        start = host.read(INTERFACES) or ""
        for _ in range(1 if full else RUNS):
            ours = places.apply_changes(host, expected=True)
            assert places.count_live(host) == count
            ours_same = places.apply_changes(host, expected=False)
            places.apply_changes(host, expected=True, sls="ipalias.clean")
            theirs, _ = places.apply(host, "peer")
            assert places.count_live(host) == count
            theirs_same, _ = places.apply(host, "peer")
            host.run(["ifdown", *(f"eth0:vip{number}" for number in range(count))])
            host.write(INTERFACES, start)
            new.append(Pair(ours, theirs))
            same.append(Pair(ours_same, theirs_same))
    note = f"on Debian 12 with ifupdown; {count} aliases, for it takes about a second for each"
    for what, pairs in ((f"{count} new aliases", new), (f"{count} aliases, no change", same)):
        yield Row("b  beside Salt's own", what, "network.managed", "ratio", pairs, None, note)


if __name__ == "__main__":
    sys.exit("run bench.py")
