"""What FreeBSD and OpenBSD share: ``ifconfig`` and ``netstat -rn``, one command an address.

There is no batch: each address is a process of its own, and the list stops at the first that
is refused. Both kernels hold an address of either family once a link, whatever its prefix, and
``alias`` for one that is live sets it anew (``in.c``, in_aifaddr_ioctl; ``in6.c``,
in6_update_ifa).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network

from ..effects import Effects, Run
from ..errors import EffectError
from ..host import NOT_FOUND, Host, Result
from ..model import IPV4, IPV6, Alias, Command
from . import Route, Snapshot, ifconfig
from .batch import Op
from .ops import BatchError

#: Widest IPv4 prefix length that has a broadcast address (RFC 3021), and the one of a host.
_NO_BROADCAST = 31
#: Links without a broadcast address: those of the host itself, and those between two ends,
#: where the kernel keeps the other end's address in its place (``ifra_dstaddr``).
_NO_BROADCAST_LINKS = re.compile(r"(?:lo|gif|gre|ng|ppp|pppoe|tun|umb|wg)[0-9]+")
#: Columns of a route that are no name of an interface: counts, an unset MTU, a second route.
_NO_NAME = re.compile(r"[0-9]+|-|=>|!")
#: The words with which ifconfig passes on that the kernel has refused (``ifconfig.c``: Perror
#: of FreeBSD says ``ioctl (SIOCAIFADDR)``, err of OpenBSD ``SIOCAIFADDR``).
_REFUSED = re.compile(r"\bSIOC[A-Z]")
_FAMILY = {IPV4: "inet", IPV6: "inet6"}
_DEFAULTS = {IPV4: ("default", "0.0.0.0/0", "0/0"), IPV6: ("default", "::/0")}


def read_snapshot(
    host: Host,
    system: str,
    tables: Mapping[int, Sequence[str]],
    dump: Sequence[str] = ifconfig.DUMP,
) -> Snapshot:
    """Return what the kernel holds now.

    :param system: the name the snapshot bears (`host.SYSTEMS`).
    :param tables: by family, the command that prints its routes.
    :param dump: the command that prints every address.
    :raises EffectError: a command that cannot be run or read.
    """
    snapshot = ifconfig.parse(_output(host, dump))
    routes: list[Route] = []
    for family, argv in tables.items():
        routes += parse_routes(_output(host, argv), family)
    return replace(snapshot, routes=tuple(routes), system=system)


def _output(host: Host, argv: Sequence[str]) -> str:
    result = host.run(argv)
    if result.code == 0:
        return result.out
    line = f"`{' '.join(argv)}`"
    if result.code == NOT_FOUND:
        raise EffectError("is not installed", where=line, way_out=f"{argv[0]} is part of the base")
    said = (result.err or result.out).strip().splitlines()
    raise EffectError(f"exit {result.code}: {said[0] if said else 'no output'}", where=line)


def parse_routes(text: str, family: int) -> list[Route]:
    """Parse the routes of one family from ``netstat -rn``.

    netstat(1) of FreeBSD 9 to 14 (``usr.bin/netstat/route.c``, p_rtentry_sysctl) and of OpenBSD
    (``usr.bin/netstat/show.c``, p_rtentry): destination, gateway and flags, then counts, of
    which each release has others, the interface among them as the only name. A route of a
    link itself has ``link#1`` or a hardware address as its gateway.

    A default route that nobody has set (no ``S``) came with a router advertisement
    (``nd6_rtr.c``, defrouter_addreq).
    """
    routes: list[Route] = []
    listed = False
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["Destination", "Gateway"]:
            listed = True
        elif len(words) < 4 or not listed:
            listed = listed and bool(words)
        elif route := _route(words, family):
            routes.append(route)
    return routes


def _route(words: Sequence[str], family: int) -> Route | None:
    destination, gateway, flags = words[:3]
    name = next((word for word in words[3:] if not _NO_NAME.fullmatch(word)), "")
    if destination in _DEFAULTS[family]:
        destination = "default"
    else:
        try:
            destination = str(ip_network(destination, strict=False))
        except ValueError:
            return None  # a shortened network: nothing here asks for it
    via = gateway if "G" in flags and not gateway.startswith("link#") else None
    protocol = "static" if "S" in flags else ""
    if family == IPV6 and destination == "default" and not protocol:
        protocol = "ra"
    return Route(family, destination, name, via, protocol=protocol) if name else None


def has_broadcast(alias: Alias) -> bool:
    """Tell whether an address has a broadcast address: not a /31, not on loop or tunnel.

    That of a /32 is the address itself, as in the guides.
    """
    four = alias.family == IPV4 and alias.prefix != _NO_BROADCAST
    return four and not _NO_BROADCAST_LINKS.fullmatch(alias.interface)


def add_argv(alias: Alias, hidden: Sequence[str] = ("deprecated",)) -> tuple[str, ...]:
    """Return the command that adds an address, or sets one that is live anew.

    :param hidden: words that keep an IPv6 address from being a source (``source: never``).
    """
    if alias.family == IPV6:
        words = ["inet6", alias.address, "prefixlen", str(alias.prefix)]
        words += hidden if alias.never_source else ()
    else:
        words = ["inet", alias.address, "netmask", alias.netmask]
        words += ["broadcast", str(alias.broadcast)] if has_broadcast(alias) else []
    return ("ifconfig", alias.interface, *words, "alias")


def delete_argv(alias: Alias) -> tuple[str, ...]:
    """Return the command that takes an address away."""
    return ("ifconfig", alias.interface, _FAMILY[alias.family], alias.address, "-alias")


def change(
    interface: str,
    ops: Sequence[Op],
    hidden: Sequence[str] = ("deprecated",),
    *,
    go_on: bool = False,
) -> Effects[None]:
    """Carry out live changes one by one; stop at the first that is refused.

    One that takes away an address which was added before with another prefix is left out: the
    kernel has put the new form in its place, and would now take that.

    :param go_on: do what is behind a refused one as well; the error names the first.
    :raises BatchError: naming the address, and what was not come to.
    """
    added: set[str] = set()
    failed: BatchError | None = None
    for index, op in enumerate(ops):
        if op.delete and op.alias.address in added:
            continue
        added |= set() if op.delete else {op.alias.address}
        argv = delete_argv(op.alias) if op.delete else add_argv(op.alias, hidden)
        try:
            result: Result = yield Run(Command(argv), check=False)
        except EffectError as error:
            failed = failed or _stopped(interface, ops, index, error.text())
        else:
            if result.code != 0:
                lines = (result.err or result.out).strip().splitlines()
                said = lines[0] if lines else "no output"
                failed = failed or _stopped(interface, ops, index, said)
        if failed is not None and not go_on:
            break
    if failed is not None:
        raise failed


def _stopped(interface: str, ops: Sequence[Op], index: int, reason: str) -> BatchError:
    """Return the error for a list that stopped.

    What is behind it is spared; the change itself only where the kernel has refused it. Of a
    command that hung or was killed nobody knows what it has done.
    """
    op = ops[index]
    verb = "taken away" if op.delete else "changed" if op.change else "added"
    first = index if _REFUSED.search(reason) else index + 1
    spared = {o.alias.cidr for o in ops[first:]} - {o.alias.cidr for o in ops[:first]}
    return BatchError(
        f"{op.alias.cidr} could not be {verb}: {reason}",
        where=op.alias.where or interface,
        interface=interface,
        spared=spared,
    )


def routes_back(routes: Sequence[Route]) -> list[Command]:
    """Return the commands that put default routes back as they were, route(8)."""
    return [
        Command(("route", "-n", "add", f"-{_FAMILY[route.family]}", "default", *_way(route)))
        for route in routes
    ]


def _way(route: Route) -> tuple[str, ...]:
    return (route.gateway,) if route.gateway else ("-interface", route.interface)
