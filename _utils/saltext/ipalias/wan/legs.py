"""What a line is at this moment: its address, its link, its way to the gateway. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from .kernel import SECONDARY, Address, Hop, Kernel
from .model import Uplink, Way


class Leg(NamedTuple):
    """Hold a line as it can be routed over now.

    :param network: subnet on the link that holds the gateway, or the gateway alone.
    """

    uplink: Uplink
    way: Way
    source: str
    hop: Hop
    network: str


def source_of(way: Way, addresses: Iterable[Address]) -> str:
    """Return the address that traffic over a line has now, or "" while there is none.

    The one that the configuration names, if some interface has it and it is usable; else
    the line's interface's own: the one whose subnet holds the gateway, a primary one first,
    as the kernel chooses (inet_select_addr). Deprecated and tentative ones are passed over.
    """
    family = way.line.family
    usable = [a for a in addresses if a.family == family and a.usable]
    if way.source:
        return way.source if any(a.address == way.source for a in usable) else ""
    own = [a for a in usable if a.interface == way.interface]
    ranked = sorted(own, key=lambda a: (not a.holds(way.gateway), bool(a.flags & SECONDARY)))
    return ranked[0].address if ranked else ""


def leg_of(uplink: Uplink, way: Way, kernel: Kernel) -> Leg | str:
    """Return a line as it can be routed over now, or why it cannot."""
    link = kernel.links.get(way.interface)
    if link is None:
        return f"there is no interface {way.interface}"
    if not link.up:
        return f"{way.interface} is down"
    source = source_of(way, kernel.addresses)
    if not source:
        named = f"{way.source} is on no interface" if way.source else "has no usable address"
        return f"{way.interface}: {named}"
    near = [
        a
        for a in kernel.addresses
        if a.interface == way.interface and a.family == way.line.family and a.holds(way.gateway)
    ]
    gateway = ipaddress.ip_address(way.gateway)
    if near:
        network = ipaddress.ip_interface(f"{near[0].address}/{near[0].prefix}").network
        return Leg(uplink, way, source, Hop(way.interface, way.gateway), str(network))
    # A gateway in no subnet of ours, as hosting providers give it with a /32: on the link by
    # the operator's word. A link-local one is on the link anyway.
    single = f"{way.gateway}/{gateway.max_prefixlen}"
    onlink = not gateway.is_link_local
    return Leg(uplink, way, source, Hop(way.interface, way.gateway, onlink=onlink), single)
