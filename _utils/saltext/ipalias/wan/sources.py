"""Which address a packet over a line has. Pure."""

from __future__ import annotations

import socket
import struct

from .kernel import Address
from .legs import source_of
from .model import Way
from .notices import AddressNow, View


def packed(address: str) -> bytes:
    """Return an address as it stands in a packet."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.inet_pton(family, address)


def unpacked(address: bytes) -> str:
    """Return an address for people."""
    return socket.inet_ntop(socket.AF_INET6 if len(address) == 16 else socket.AF_INET, address)


def pick_source(view: View, way: Way) -> tuple[str, str]:
    """Return the address for packets over a line, and why there is none; see `source_of`."""
    if view.link(way.interface) is None:
        return "", f"ENODEV: there is no interface {way.interface}"
    # One that the pillar names may lie on any interface.
    names = [link.name for link in view.links.values()] if way.source else [way.interface]
    found = source_of(way, [_address(name, a) for name in names for a in view.of(name)])
    if found:
        return found, ""
    if way.source:
        return "", f"EADDRNOTAVAIL: {way.source} is not on this host, or not usable"
    return "", f"EADDRNOTAVAIL: {way.interface} has no usable IPv{way.line.family} address"


def _address(name: str, now: AddressNow) -> Address:
    return Address(name, now.family, unpacked(now.address), now.prefix, now.scope, now.flags)


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
