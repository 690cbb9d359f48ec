"""Which address a packet over a line has. Pure."""

from __future__ import annotations

import socket
import struct

from .model import Way
from .notices import DADFAILED, DEPRECATED, OPTIMISTIC, SECONDARY, TENTATIVE, AddressNow, View

#: Scope numbers of rtnetlink.
_GLOBAL, _LINK = 0, 253
_LINK_LOCAL6 = socket.inet_pton(socket.AF_INET6, "fe80::")


def packed(address: str) -> bytes:
    """Return an address as it stands in a packet."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.inet_pton(family, address)


def unpacked(address: bytes) -> str:
    """Return an address for people."""
    return socket.inet_ntop(socket.AF_INET6 if len(address) == 16 else socket.AF_INET, address)


def on_link(address: AddressNow, other: bytes) -> bool:
    """Tell whether another address is in the subnet of one of ours."""
    bits = len(address.address) * 8 - address.prefix
    ours, theirs = (int.from_bytes(each, "big") >> bits for each in (address.address, other))
    return ours == theirs


def pick_source(view: View, way: Way) -> tuple[str, str]:
    """Return the address for packets over a line, and why there is none.

    What the pillar names, where the interface has it; else the interface's own: never a
    deprecated, tentative or duplicated one, rather one in the gateway's subnet, rather the
    first of a subnet than a later one (IPv4) or a temporary one (IPv6).
    """
    family = way.line.family
    found = view.of(way.interface, family)
    if way.source:
        wanted = packed(way.source)
        for address in view.addresses.values():
            if address.address == wanted and address.family == family:
                if address.flags & (TENTATIVE | DADFAILED) and not address.flags & OPTIMISTIC:
                    return "", f"EADDRNOTAVAIL: {way.source} is tentative or duplicated"
                return way.source, ""
        return "", f"EADDRNOTAVAIL: {way.source} is not on this host"
    usable = [a for a in found if _usable(a)]
    if not usable:
        if view.link(way.interface) is None:
            return "", f"ENODEV: there is no interface {way.interface}"
        return "", f"EADDRNOTAVAIL: {way.interface} has no usable IPv{family} address"
    gateway = packed(way.gateway) if way.gateway else b""
    return unpacked(min(usable, key=lambda a: _order(a, gateway)).address), ""


def _usable(address: AddressNow) -> bool:
    if address.flags & (DEPRECATED | DADFAILED):
        return False
    if address.flags & TENTATIVE and not address.flags & OPTIMISTIC:
        return False
    return address.scope == _GLOBAL


def _order(address: AddressNow, gateway: bytes) -> tuple[bool, bool]:
    near = bool(gateway) and on_link(address, gateway)
    return (not near, bool(address.flags & SECONDARY))


def pktinfo4(source: str) -> bytes:
    """Return the control message by which an IPv4 packet gets its source (ip(7)).

    No interface: a packet bound to one is sent on link, asked for by ARP, wherever the
    routes have no way for it, be it by an ``unreachable`` route (``ip_route_output_key`` of
    the kernel; seen on 6.18). A neighbour that answers ARP for others would make a dead line
    look alive. The mark alone leads to the line's table, and that to the interface.
    """
    return struct.pack("=i4s4s", 0, packed(source), bytes(4))


def pktinfo6(source: str, index: int) -> bytes:
    """Return the control message by which an IPv6 packet gets source and interface (ipv6(7))."""
    return struct.pack("=16si", packed(source), index)
