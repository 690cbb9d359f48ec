"""Render the frames that tell a segment where an address now lives.

Neighbours keep the old owner's hardware address until their cache entry expires, minutes
on some switches and routers. The forms are those of keepalived (``vrrp_arp.c``,
``vrrp_ndisc.c``) and iputils' arping(8): IPv4 as a broadcast request whose sender and
target are the address itself (``arping -U``, and the only form keepalived sends), or the
same as a reply (``arping -A``), which RFC 5944, 4.6, allows too; IPv6 as an unsolicited
neighbour advertisement with the override flag (RFC 4861, 7.2.6) to all nodes.

The frames are whole Ethernet frames for an ``AF_PACKET`` socket bound to the interface,
which the caller sends.
"""

from __future__ import annotations

import socket
import struct

from .errors import InputError

BROADCAST = b"\xff" * 6
#: Ethernet address of ff02::1, all nodes (RFC 2464, section 7).
ALL_NODES_MAC = b"\x33\x33\x00\x00\x00\x01"
ALL_NODES = socket.inet_pton(socket.AF_INET6, "ff02::1")
#: Type fields of the frames.
ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD

_ARP_REQUEST = 1
_ARP_REPLY = 2
_ICMPV6 = 58
_NEIGHBOUR_ADVERTISEMENT = 136
_OVERRIDE = 0x20000000
_ROUTER = 0x80000000
_TARGET_LINK_LAYER_ADDRESS = 2
#: A receiver drops a neighbour advertisement that came over a router (RFC 4861, 7.1.2).
_HOP_LIMIT = 255


def render_frame(mac: str, address: str, router: bool = False) -> bytes:
    """Return the frame that announces an address of either family, in keepalived's form.

    :param router: the host forwards IPv6; see `render_na`.
    :raises InputError: where a value is not an address of its kind.
    """
    return render_na(mac, address, router) if ":" in address else render_garp(mac, address)


def render_garp(mac: str, address: str, reply: bool = False) -> bytes:
    """Return a gratuitous ARP frame.

    :param mac: hardware address of the interface that now has the address.
    :param reply: the form of ``arping -A`` instead of ``arping -U``.
    :raises InputError: where a value is not an address of its kind.
    """
    hardware = parse_mac(mac)
    try:
        protocol = socket.inet_pton(socket.AF_INET, address)
    except (OSError, ValueError) as error:
        raise InputError(f"{address!r} is not an IPv4 address") from error
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, _ARP_REPLY if reply else _ARP_REQUEST)
    # Linux takes a reply for gratuitous only where both hardware addresses are the same;
    # otherwise an entry younger than a second (`locktime`, arp(7)) keeps the old owner.
    arp += hardware + protocol + (hardware if reply else BROADCAST) + protocol
    return BROADCAST + hardware + struct.pack("!H", ETHERTYPE_ARP) + arp


def render_na(mac: str, address: str, router: bool = False) -> bytes:
    """Return an unsolicited neighbour advertisement frame.

    :param mac: hardware address of the interface that now has the address.
    :param router: set the router flag. A neighbour that uses this host as a router and
        sees an advertisement without it takes the host off its list of routers.
    :raises InputError: where a value is not an address of its kind.
    """
    hardware = parse_mac(mac)
    try:
        target = socket.inet_pton(socket.AF_INET6, address)
    except (OSError, ValueError) as error:
        raise InputError(f"{address!r} is not an IPv6 address") from error
    flags = _OVERRIDE | (_ROUTER if router else 0)
    body = struct.pack("!I", flags) + target
    body += struct.pack("!BB", _TARGET_LINK_LAYER_ADDRESS, 1) + hardware
    head = struct.pack("!BB", _NEIGHBOUR_ADVERTISEMENT, 0)
    length = len(head) + 2 + len(body)
    pseudo = target + ALL_NODES + struct.pack("!II", length, _ICMPV6)
    total = checksum(pseudo + head + b"\0\0" + body)
    icmp = head + struct.pack("!H", total) + body
    header = struct.pack("!IHBB", 6 << 28, length, _ICMPV6, _HOP_LIMIT) + target + ALL_NODES
    return ALL_NODES_MAC + hardware + struct.pack("!H", ETHERTYPE_IPV6) + header + icmp


def parse_mac(mac: str) -> bytes:
    """Return a hardware address's six bytes.

    :raises InputError: not an Ethernet address.
    """
    try:
        hardware = bytes.fromhex(mac.replace(":", ""))
    except ValueError:
        hardware = b""
    if len(hardware) != 6:
        raise InputError(
            f"{mac!r} is not an Ethernet address",
            way_out="addresses are announced on Ethernet links only",
        )
    return hardware


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071); an odd number of bytes has a nought more."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
