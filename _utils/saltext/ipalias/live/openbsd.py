"""OpenBSD: addresses read and changed by ``ifconfig``, routes read by ``netstat -rn``.

``ifconfig -a`` shows one IPv4 address a link and leaves its aliases out; ``-A`` shows them all
(ifconfig(8); ``ifconfig.c``, printif). The kernel takes another netmask for an IPv4 address
in place (``in.c``, in_ioctl_change_ifaddr) and refuses another prefix length for an IPv6
address (``in6.c``, in6_update_ifa): that one is taken away first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..effects import Effects
from ..host import Host
from ..model import IPV4, IPV6, Command
from . import LiveAddress, Route, Snapshot, bsd, neighbours
from .batch import Op

#: Frames would go through bpf(4). A new IPv6 address passes the kernel's own detection of
#: duplicates (``nd6_nbr.c``, nd6_dad_start); for an IPv4 address we ask, see `neighbours`.
FRAMES = False
DUMP = ("ifconfig", "-A")
_TABLES: Mapping[int, Sequence[str]] = {
    IPV4: ("netstat", "-rn", "-f", "inet"),
    IPV6: ("netstat", "-rn", "-f", "inet6"),
}
#: What keeps an IPv6 address from being a source. There is no word for it as on FreeBSD: the
#: kernel itself sets the flag once the preferred lifetime is over, within two seconds
#: (``nd6.c``, nd6_expire), and source selection looks at the flag (``in6_ifawithscope``).
HIDDEN = ("pltime", "0")
#: Gateways that stand for "the other end" of a link without neighbours, pppoe(4).
_OTHER_END = {IPV4: "0.0.0.1", IPV6: "fe80::%{}"}
_FAMILY = {IPV4: "-inet", IPV6: "-inet6"}


def read_snapshot(host: Host) -> Snapshot:
    """Return what the kernel holds now."""
    return bsd.read_snapshot(host, "openbsd", _TABLES, DUMP)


def change(
    interface: str,
    ops: Sequence[Op],
    deleted: Iterable[LiveAddress],
    *,
    go_on: bool = False,
) -> Effects[None]:
    """Carry out changes one by one; see `bsd.change`."""
    yield from bsd.change(interface, ops, HIDDEN, go_on=go_on)


def ping_argv(address: str) -> tuple[str, ...]:
    """Return the command that pings once and waits a second; ping(8)."""
    return ("ping6" if ":" in address else "ping", "-n", "-c", "1", "-w", "1", address)


def taken(
    interface: str, asked: Sequence[str], snapshot: Snapshot, host: Host
) -> Effects[tuple[dict[str, str], list[str]]]:
    """Ask for IPv4 addresses; see `neighbours.ask`."""
    return (yield from neighbours.ask(interface, asked, snapshot, host, ping_argv))


def check_gateway(host: Host, address: str, interface: str) -> str:
    """Return what is wrong with a gateway, or nothing."""
    return neighbours.check_gateway(host, address, interface, ping_argv(address))


def routes_back(routes: Sequence[Route]) -> list[Command]:
    """Return the commands that put default routes back as they were."""
    return [_route_back(route) for route in routes]


def _route_back(route: Route) -> Command:
    """Return the command for one, route(8).

    ``-mpath``: without it the second of several default routes is refused ("File exists").
    ``-ifp``: the gateway of a link between two ends lies in no subnet that would name it.
    """
    gateway = route.gateway or _OTHER_END[route.family].format(route.interface)
    words = [_FAMILY[route.family], "-mpath", "default", "-ifp", route.interface, gateway]
    return Command(("route", "-n", "add", *words))


def kernel_settings(interface: str) -> tuple[str, ...]:
    """Return nothing: a change borrows no setting."""
    return ()
