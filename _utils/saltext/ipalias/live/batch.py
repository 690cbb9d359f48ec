"""Write the batch that changes live addresses, and read what it complains of.

One ``ip -batch -`` for any number of addresses: a process per address costs 1.5 ms each
and nothing is gained. Format: ip(8) ``-batch``, ip-address(8), ip-route(8).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..model import IPV4, IPV6, Alias
from . import Route, Snapshot

#: Reads a batch from standard input; it stops at the first line that fails.
BATCH = ("ip", "-batch", "-")
#: The same, but it goes on behind a line that fails: on the way back no line waits for another.
BATCH_ON = ("ip", "-force", "-batch", "-")
#: Widest IPv4 prefix length that has a broadcast address (RFC 3021).
_MAX_BROADCAST_PREFIX = 30


@dataclass(frozen=True)
class Op:
    """Hold one change of a live address.

    :param delete: take it away instead of adding it.
    :param change: set the preferred lifetime of an IPv6 address that is live already.
    :param take: take it as it is where somebody has added it meanwhile, instead of failing.
    :param label: live label to add it with (`Backend.live_label`).
    :param broadcast: add it with the broadcast address of its subnet.
    :param route: add, or take away, the subnet's route too (`wants_route`, `frees_route`).
    :param bare: add it without the kernel's own route to its subnet (``noprefixroute``).
    """

    alias: Alias
    delete: bool = False
    label: str | None = None
    broadcast: bool = True
    route: bool = False
    change: bool = False
    take: bool = False
    bare: bool = False


def add_line(
    alias: Alias,
    label: str | None = None,
    broadcast: bool = True,
    *,
    take: bool = False,
    bare: bool = False,
) -> str:
    """Return the batch line that adds an address.

    ``source: never`` on IPv6 is a preferred lifetime of 0. The IPv4 kernel ignores that;
    with scope host the address is passed over in source selection and still answers ARP.
    ``noprefixroute`` then keeps the kernel from making a route for its subnet whose
    source is this address.
    """
    words = ["address replace" if take else "address add", alias.cidr, "dev", alias.interface]
    if alias.family == IPV6:
        if alias.never_source:
            words.append("preferred_lft 0")
        if bare:
            words.append("noprefixroute")
        return " ".join(words)
    if label:
        words += ["label", label]
    if broadcast and alias.prefix <= _MAX_BROADCAST_PREFIX:
        words.append("broadcast +")
    if alias.never_source:
        words.append("scope host")
    if bare or (alias.never_source and not alias.single):
        words.append("noprefixroute")
    return " ".join(words)


def delete_line(alias: Alias) -> str:
    """Return the batch line that takes an address away."""
    return f"address delete {alias.cidr} dev {alias.interface}"


def change_line(alias: Alias) -> str:
    """Return the batch line that makes a live IPv6 address a source address, or no more.

    It stays where it is: no gap, no duplicate address detection anew. IPv4 has no such
    change; the kernel takes another scope or label only with a new address.
    """
    lifetime = "0" if alias.never_source else "forever"
    return (
        f"address change {alias.cidr} dev {alias.interface}"
        f" valid_lft forever preferred_lft {lifetime}"
    )


def route_line(alias: Alias, delete: bool = False) -> str:
    """Return the batch line for the route of the subnet of a wide never-source alias."""
    verb = "delete" if delete else "add"
    return f"route {verb} {alias.network_object} dev {alias.interface} scope link"


def _lines(op: Op) -> tuple[str, ...]:
    if op.change:
        return (change_line(op.alias),)
    if not op.delete:
        line = add_line(op.alias, op.label, op.broadcast, take=op.take, bare=op.bare)
        return (line, route_line(op.alias)) if op.route else (line,)
    if op.route:
        # The route first: with its last IPv4 address a link loses every route by itself.
        return (route_line(op.alias, delete=True), delete_line(op.alias))
    return (delete_line(op.alias),)


def render_batch(ops: Sequence[Op]) -> str:
    """Return the standard input of `BATCH` for a list of changes, in their order."""
    return "".join(f"{line}\n" for op in ops for line in _lines(op))


_FAILED = re.compile(r"^Command failed (?:-|[^\n:]*):(\d+)", re.MULTILINE)


def parse_batch_error(stderr: str, ops: Sequence[Op]) -> int | None:
    """Return the index of the change at which a batch stopped.

    Every change before it is done, every one behind it is not; one that takes two lines
    may be half done.

    :returns: None where the message names no line of this batch (``ip`` leaves at once,
        without a line number, at a word it cannot parse).
    """
    found = _FAILED.search(stderr)
    if not found:
        return None
    failed, seen = int(found[1]), 0
    for index, op in enumerate(ops):
        seen += len(_lines(op))
        if failed <= seen:
            return index if failed > 0 else None
    return None


def _hides_subnet(alias: Alias) -> bool:
    return alias.family == IPV4 and alias.never_source and not alias.single


def wants_route(alias: Alias, snapshot: Snapshot) -> bool:
    """Tell whether adding an alias must add a route for its subnet.

    Not where the interface has a route for it already, whatever its source: the kernel
    refuses a second one. Not on a link that is down: the kernel takes no route there.
    Callers with several such aliases in one subnet set `Op.route` on the first only.
    """
    link = snapshot.by_link.get(alias.interface)
    if not _hides_subnet(alias) or link is None or "UP" not in link.flags:
        return False
    return not any(_serves(route, alias) for route in snapshot.routes)


def frees_route(alias: Alias, snapshot: Snapshot, remaining: Iterable[Alias] = ()) -> bool:
    """Tell whether taking an alias away must take the route of its subnet away.

    :param remaining: aliases that stay; one of the same subnet keeps the route.
    """
    if not _hides_subnet(alias):
        return False
    if any(
        _hides_subnet(other)
        and other.interface == alias.interface
        and other.cidr != alias.cidr
        and other.network_object == alias.network_object
        for other in remaining
    ):
        return False
    return any(
        _serves(route, alias)
        and route.source is None
        and route.gateway is None
        and route.scope == "link"
        and route.protocol != "kernel"
        for route in snapshot.routes
    )


def _serves(route: Route, alias: Alias) -> bool:
    if route.family != alias.family or route.interface != alias.interface:
        return False
    return route.destination != "default" and alias.network_object == ipaddress.ip_network(
        route.destination, strict=False
    )


def route_back_line(route: Route) -> str:
    """Return the batch line that puts a route back as it was."""
    default = "default" if route.family == IPV4 else "::/0"
    words = ["route add", default if route.destination == "default" else route.destination]
    if route.gateway:
        words += ["via", route.gateway]
    words += ["dev", route.interface]
    if route.protocol:
        words += ["proto", route.protocol]
    if route.source:
        words += ["src", route.source]
    if route.metric:
        words += ["metric", str(route.metric)]
    return " ".join(words) + "\n"
