"""Hosts in network namespaces, on segments of their own: nothing touches the machine's network."""

from __future__ import annotations

import itertools
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rig import process
from rig.holder import Holder, maker_is_gone, unique
from rig.keeper import remove_cgroup
from rig.machine import Machine
from rig.roots import cache
from rig.salt import SaltMinion

CHECKOUT = Path(__file__).resolve().parents[2]

# Written before the first interface comes: those made later take the default over.
NO_DAD = """
for key in all default; do echo 0 >/proc/sys/net/ipv6/conf/$key/accept_dad; done
"""

# /sys anew, for it shows the interfaces of the namespace it was mounted in.
# Of the first folders the machine's files show through and changes go to memory; the
# others start empty. The checkout is bound first, for it may lie below one of them.
PRIVATE_FILES = f"""
checkout={shlex.quote(str(CHECKOUT))}
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/checkout
mount --bind "$checkout" /mnt/checkout
for folder in /etc /usr/local/lib /var/lib /srv; do
    mkdir -p "/mnt/upper$folder" "/mnt/work$folder"
    mount -t overlay -o "lowerdir=$folder,upperdir=/mnt/upper$folder,workdir=/mnt/work$folder" \
        overlay "$folder"
done
for folder in /run /var/cache /var/log /var/spool; do
    mount -t tmpfs -o mode=755 tmpfs "$folder"
done
mkdir -p /run/lock /srv/ipalias
rm -rf /etc/network /etc/netplan /etc/systemd/network /etc/NetworkManager /etc/resolv.conf
rm -rf /etc/salt /etc/sysctl.d /etc/keepalived /var/lib/ipalias /usr/local/lib/ipalias
rm -rf /srv/pillar
mount --bind /mnt/checkout /srv/ipalias
mount -o remount,bind,ro /srv/ipalias
: >/etc/resolv.conf
printf '127.0.0.1 localhost\\n127.0.1.1 %s\\n::1 localhost ip6-localhost\\n' "$1" >/etc/hosts
echo "$1" >/etc/hostname
"""


class Segment(Machine):
    """An Ethernet segment: a bridge in a namespace of its own.

    The bridge answers as the gateway, 192.0.2.1 and 2001:db8::1, and has 198.51.100.0/24 and
    203.0.113.0/24 on link, so that an alias can be tried from there.

    :param gateway: False for a segment without anyone on it.
    """

    python = sys.executable

    def __init__(self, *, gateway: bool = True) -> None:
        self.name = unique()
        self._numbers = itertools.count(2)
        self._ports = itertools.count(1)
        self._holder = Holder("segment", NO_DAD)
        lines = [
            "link set lo up",
            "link add name br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            "link set br0 up",
        ]
        if gateway:
            lines += [
                "address add 192.0.2.1/24 dev br0",
                "address add 2001:db8::1/64 dev br0",
                "route add 198.51.100.0/24 dev br0",
                "route add 203.0.113.0/24 dev br0",
            ]
        try:
            self.ip_batch(*lines)
        except BaseException:
            self.close()
            raise

    def enter(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs a program beside the bridge."""
        return self._holder.enter(argv)

    def number(self) -> int:
        """Return the next free host number, for 192.0.2.N and 2001:db8::N."""
        return next(self._numbers)

    def plug(self, pid: int, number: int, interface: str = "eth0") -> str:
        """Give the network namespace of a process an interface on this segment.

        The hardware address follows from the number, the same after a reboot.

        :return: name of the port on this side.
        """
        port = f"p{next(self._ports)}"
        mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
        # From outside the PID namespace: ip reads the process id as its own namespace counts.
        process.run(
            self._holder.enter(["ip", "-batch", "-"], pid=False),
            f"link add name {port} type veth peer name {interface} address {mac} netns {pid}\n"
            f"link set dev {port} master br0 up\n",
        )
        return port

    def carrier(self, port: str, *, up: bool) -> None:
        """Take the carrier from what is behind a port, or give it back."""
        self.ip("link", "set", "dev", port, "up" if up else "down")

    def close(self) -> None:
        """End the segment and all that is on it."""
        self._holder.close()

    def __enter__(self) -> Segment:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class NetHost(SaltMinion, Machine):
    """A host in namespaces, with the machine's programs but none of its configuration.

    /etc, /srv, /var/lib and /usr/local/lib are the machine's with changes kept in memory, without
    any network configuration; /run, /var/cache, /var/log and /var/spool start empty;
    the checkout is read-only at /srv/ipalias. /tmp is the machine's own.

    :param number: N of its addresses 192.0.2.N/24 and 2001:db8::N/64; the next one by default.
    :param configure: False leaves eth0 down and without address.
    :param dad: True for duplicate address detection as the kernel does it by default.
    """

    python = sys.executable

    def __init__(
        self,
        segment: Segment,
        number: int | None = None,
        *,
        configure: bool = True,
        dad: bool = False,
    ) -> None:
        self.name = unique()
        self.number = segment.number() if number is None else number
        self.segment = segment
        self.primary = f"192.0.2.{self.number}"
        self._dad = dad
        self._holder = Holder(self.name, PRIVATE_FILES if dad else NO_DAD + PRIVATE_FILES)
        try:
            self.port = segment.plug(self._holder.pid, self.number)
            self.ip("link", "set", "lo", "up")
            if configure:
                self.configure()
        except BaseException:
            self.close()
            raise

    def configure(self) -> None:
        """Bring eth0 up with the primary addresses and the default routes."""
        self.ip_batch(
            "link set eth0 up",
            f"address add {self.primary}/24 brd + dev eth0",
            f"address add 2001:db8::{self.number:x}/64 dev eth0",
            "route add default via 192.0.2.1 dev eth0",
            "route add default via 2001:db8::1 dev eth0",
        )
        if not self._dad:
            # Without detection too an address is tentative for a moment, a long one where
            # another host of the machine adds thousands: the kernel has one queue for all.
            process.wait_until(self._is_settled, f"the addresses of {self.name} to settle")

    def _is_settled(self) -> bool:
        return not any("tentative" in a.flags for a in self.addresses("eth0", links=True))

    @property
    def pid(self) -> int:
        """Return the process that holds the namespaces."""
        return self._holder.pid

    def enter(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs a program on this host."""
        return self._holder.enter(argv)

    def close(self) -> None:
        """End the host with every process on it."""
        self._holder.close()

    def __enter__(self) -> NetHost:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def hosts(count: int) -> Iterator[list[NetHost]]:
    """Give that many hosts on one segment."""
    with Segment() as segment:
        made: list[NetHost] = []
        try:
            for _ in range(count):
                made.append(NetHost(segment))
            yield made
        finally:
            for host in made:
                host.close()


def cgroup_mounts() -> list[Path]:
    """Return the mounts of the unified cgroup tree and, where there is one, of systemd's own."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options):
            found.append(Path(before.split()[4]))
    return found


def cleanup_leftovers() -> list[str]:
    """Remove what processes that are gone have left, and name it.

    Namespaces and their mounts cannot be left: they have no name and end with their maker.
    Cgroups and folders can, when the keeper was killed as well.
    """
    removed = []
    for mount in cgroup_mounts():
        for folder in mount.glob("ipalias-*"):
            if maker_is_gone(folder.name) and remove_cgroup(str(folder)):
                removed.append(str(folder))
    for folder in (cache() / "run").glob("ipalias-*"):
        if maker_is_gone(folder.name):
            # What systemd-nspawn has made immutable would stop a plain rmtree.
            subprocess.run(["rm", "-rf", "--", str(folder)], check=False, capture_output=True)
            removed.append(str(folder))
    return removed
