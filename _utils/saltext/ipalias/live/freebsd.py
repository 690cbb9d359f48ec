"""FreeBSD: addresses read and changed by ``ifconfig``, routes read by ``netstat``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..effects import Effects
from ..host import Host
from ..model import IPV4, IPV6, Command
from . import LiveAddress, Route, Snapshot, bsd, neighbours
from .batch import Op

#: There are no packet sockets; the kernel sends gratuitous ARP and looks for duplicates of IPv6.
FRAMES = False
#: ``-W`` keeps names of interfaces whole, netstat(1); without it ``vlan0.100`` may lose its end.
TABLES = {
    IPV4: ("netstat", "-rnW", "-f", "inet"),
    IPV6: ("netstat", "-rnW", "-f", "inet6"),
}


def read_snapshot(host: Host) -> Snapshot:
    """Return what the kernel holds now."""
    return bsd.read_snapshot(host, "freebsd", TABLES)


def change(
    interface: str,
    ops: Sequence[Op],
    deleted: Iterable[LiveAddress],
    *,
    go_on: bool = False,
) -> Effects[None]:
    """Run one ``ifconfig`` an address, in their order.

    ``deprecated`` gives an IPv6 address a preferred lifetime of 0 that does not run out
    (``in6.c``, in6_update_ifa_internal); set anew without it, it is a source address again.
    """
    yield from bsd.change(interface, ops, go_on=go_on)


def ping_argv(address: str) -> tuple[str, ...]:
    """Return the command that pings once and waits a second; ping(8), ping6(8).

    The option by which ping6 waits no longer has another letter from release to release (``-X``,
    since 13 ``-t``): there our own limit ends it.
    """
    if ":" in address:
        return ("ping6", "-n", "-c", "1", address)
    return ("ping", "-n", "-c", "1", "-t", "1", address)


def taken(
    interface: str, asked: Sequence[str], snapshot: Snapshot, host: Host
) -> Effects[tuple[dict[str, str], list[str]]]:
    """Ask for IPv4 addresses; see `neighbours.ask`."""
    return (yield from neighbours.ask(interface, asked, snapshot, host, ping_argv))


def check_gateway(host: Host, address: str, interface: str) -> str:
    """Return what is wrong with a gateway, or nothing."""
    return neighbours.check_gateway(host, address, interface, ping_argv(address))


def routes_back(routes: Sequence[Route]) -> list[Command]:
    """Return the commands that put routes back as they were."""
    return bsd.routes_back(routes)


def kernel_settings(interface: str) -> tuple[str, ...]:
    """Return none: nothing is borrowed."""
    return ()
