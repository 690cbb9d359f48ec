"""What the kernel says over rtnetlink and nfnetlink of links, addresses, routes, rules, NAT.

Pure: bytes to notices, and a view that follows them. Formats: rtnetlink(7), netlink(7),
``linux/if_link.h``, ``linux/if_addr.h``, ``linux/nexthop.h``, ``linux/netfilter/nf_tables.h``.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from .icmp import JUMP_IF_EQUAL, assemble
from .netlink import attributes, number_of, text_of

ERROR, DONE = 2, 3
NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE = 24, 25
NEWRULE, DELRULE = 32, 33
NEWNEXTHOP, DELNEXTHOP = 104, 105
#: A dump during which something changed: what it says does not hold together.
DUMP_INTERRUPTED = 0x10
_HEAD = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEXTHOP = struct.Struct("=BBBxI")
#: nftables: messages by which part of a table goes away (subsystem 10).
_NFT = 10 << 8
_NFT_GONE = {_NFT | kind for kind in (2, 5, 8)}  # table, chain, rule

IFF_UP, IFF_LOWER_UP = 0x1, 0x10000
#: Tables ``default`` and ``main``; the one of what is local.
_COMMON_TABLES = (253, 254)
_LOCAL = 255
#: Instructions of a filter: load two bytes, or one, from a place in the message.
_LOAD_HALF, _LOAD_BYTE = 0x28, 0x30

LINK, ADDRESS, ROUTE, RULE, NEXTHOP, NAT, LOST = (
    "link",
    "address",
    "route",
    "rule",
    "nexthop",
    "nat",
    "lost",
)


class Notice(NamedTuple):
    """Hold something that changed.

    :param kind: `LINK`, `ADDRESS`, `ROUTE`, `RULE`, `NEXTHOP`, `NAT`, or `LOST`: the kernel
        had more to say than there was room for, so anything may have changed.
    :param carrier: of a link notice: whether the link can carry packets now.
    :param ours: it is about a route, rule, nexthop or table of ours.
    """

    kind: str
    interface: str = ""
    carrier: bool = False
    gone: bool = False
    ours: bool = False
    table: int = 0


@dataclass(frozen=True)
class LinkNow:
    """Hold a link as it is."""

    index: int
    name: str
    flags: int
    carrier: bool
    mac: bytes

    @property
    def works(self) -> bool:
        """Tell whether it is up and has a carrier."""
        return bool(self.flags & IFF_UP) and self.carrier


class AddressNow(NamedTuple):
    """Hold an address as it is; `address` and `network` packed."""

    ifindex: int
    family: int
    address: bytes
    prefix: int
    flags: int
    scope: int


def render_dump(kind: int, seq: int) -> bytes:
    """Return the request for all links (`GETLINK`) or addresses (`GETADDR`)."""
    body = _LINK.pack(0, 0, 0, 0, 0) if kind == GETLINK else _ADDRESS.pack(0, 0, 0, 0, 0)
    return _HEAD.pack(_HEAD.size + len(body), kind, 0x301, seq, 0) + body


def parse_link(body: bytes) -> LinkNow:
    """Return the link of a NEWLINK or DELLINK message."""
    _, _, index, flags, _ = _LINK.unpack_from(body)
    parts = attributes(body[_LINK.size :])
    works = number_of(parts.get(33), flags & IFF_LOWER_UP)
    return LinkNow(index, text_of(parts.get(3)), flags, bool(works), parts.get(1, b""))


def parse_address(body: bytes) -> AddressNow | None:
    """Return the address of a NEWADDR or DELADDR message, or None for other families."""
    family, prefix, flags, scope, index = _ADDRESS.unpack_from(body)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    parts = attributes(body[_ADDRESS.size :])
    # IFA_LOCAL is ours, where IFA_ADDRESS is the other end of a point-to-point link.
    address = parts.get(2, parts.get(1))
    if address is None:
        return None
    version = 4 if family == socket.AF_INET else 6
    return AddressNow(index, version, address, prefix, number_of(parts.get(8), flags), scope)


@dataclass
class View:
    """Follow links and addresses by what the kernel says of them.

    :param addresses: interface number → its addresses in the kernel's order.
    """

    links: dict[int, LinkNow] = field(default_factory=dict)
    addresses: dict[int, dict[tuple[bytes, int], AddressNow]] = field(default_factory=dict)
    _by_name: dict[str, LinkNow] = field(default_factory=dict)

    def link(self, name: str) -> LinkNow | None:
        """Return a link by name."""
        return self._by_name.get(name)

    def of(self, name: str) -> list[AddressNow]:
        """Return a link's addresses."""
        link = self._by_name.get(name)
        return list(self.addresses.get(link.index, {}).values()) if link is not None else []

    def replace(self, other: View) -> None:
        """Become another view."""
        self.links, self.addresses, self._by_name = other.links, other.addresses, other._by_name

    def take(self, kind: int, body: bytes) -> Notice | None:
        """Follow a message about a link or an address; return what changed by it."""
        if kind in (NEWLINK, DELLINK):
            if body[0] != socket.AF_UNSPEC:
                return None  # a bridge's word on its port: one that leaves it is not gone
            return self._take_link(parse_link(body), gone=kind == DELLINK)
        address = parse_address(body)
        if address is None:
            return None
        known = self.addresses.setdefault(address.ifindex, {})
        key = (address.address, address.prefix)
        before = known.get(key)
        if kind == DELADDR:
            known.pop(key, None)
        else:
            known[key] = address
        if known.get(key) == before:
            return None
        link = self.links.get(address.ifindex)
        return Notice(ADDRESS, link.name if link else "", gone=kind == DELADDR)

    def _take_link(self, link: LinkNow, *, gone: bool) -> Notice | None:
        before = self.links.get(link.index)
        if before is not None and self._by_name.get(before.name) is before:
            del self._by_name[before.name]
        if gone:
            self.links.pop(link.index, None)
            self.addresses.pop(link.index, None)
            return Notice(LINK, link.name, gone=True)
        self.links[link.index] = self._by_name[link.name] = link
        return None if before == link else Notice(LINK, link.name, carrier=link.works)


def parse_routing(kind: int, body: bytes, protocol: int, tables: range) -> Notice | None:
    """Return the notice of a route, rule or nexthop that is ours or a default, else None.

    :param protocol: by which ours are known.
    :param tables: numbers of the tables that are ours.
    """
    gone = kind in (DELROUTE, DELRULE, DELNEXTHOP)
    if kind in (NEWROUTE, DELROUTE):
        _, length, _, _, table, owner, _, _, _ = _ROUTE.unpack_from(body)
        table = number_of(attributes(body[_ROUTE.size :]).get(15), table)
        ours = owner == protocol or table in tables
        # Somebody else's default in a table that is looked at by everyone may hide ours.
        if ours or (length == 0 and table in _COMMON_TABLES):
            return Notice(ROUTE, gone=gone, ours=ours, table=table)
        return None
    if kind in (NEWRULE, DELRULE):
        parts = attributes(body[_ROUTE.size :])
        table = number_of(parts.get(15), body[4])
        ours = number_of(parts.get(21)) == protocol or table in tables
        return Notice(RULE, gone=gone, ours=ours, table=table) if ours else None
    if kind in (NEWNEXTHOP, DELNEXTHOP):
        _, _, owner, _ = _NEXTHOP.unpack_from(body)
        return Notice(NEXTHOP, gone=gone, ours=True) if owner == protocol else None
    return None


def routes_filter(protocol: int) -> bytes:
    """Return a filter (socket(7)) that keeps others' routes in common tables from a socket.

    A daemon that loads a full table tells of a million; `parse_routing` would pass over each.
    """
    route = [socket.htons(kind) for kind in (NEWROUTE, DELROUTE)]
    return assemble(
        [
            ("", _LOAD_HALF, 4, "", ""),
            ("", JUMP_IF_EQUAL, route[0], "route", ""),
            ("", JUMP_IF_EQUAL, route[1], "route", "take"),
            ("route", _LOAD_BYTE, _HEAD.size + 5, "", ""),
            ("", JUMP_IF_EQUAL, protocol, "take", ""),
            ("", _LOAD_BYTE, _HEAD.size + 4, "", ""),
            ("", JUMP_IF_EQUAL, _COMMON_TABLES[1], "length", ""),
            ("", JUMP_IF_EQUAL, _LOCAL, "length", "take"),
            ("length", _LOAD_BYTE, _HEAD.size + 1, "", ""),
            ("", JUMP_IF_EQUAL, 0, "take", "drop"),
        ]
    )


def parse_nft(kind: int, body: bytes, table: str) -> Notice | None:
    """Return the notice that a part of our nftables table has gone, else None."""
    if kind not in _NFT_GONE:
        return None
    # Behind the four bytes of nfgenmsg; in all three kinds the first attribute is the table.
    if text_of(attributes(body[4:]).get(1)) != table:
        return None
    return Notice(NAT, gone=True, ours=True)
