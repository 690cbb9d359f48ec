"""What the kernel says over rtnetlink and nfnetlink of links, addresses, routes, rules, NAT.

Pure: bytes to notices, and a view that follows them. Formats: rtnetlink(7), netlink(7),
``linux/if_link.h``, ``linux/if_addr.h``, ``linux/nexthop.h``, ``linux/netfilter/nf_tables.h``.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

NOOP, ERROR, DONE, OVERRUN = 1, 2, 3, 4
NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE = 24, 25
NEWRULE, DELRULE = 32, 33
NEWNEXTHOP, DELNEXTHOP = 104, 105
#: A dump during which something changed: what it says does not hold together.
DUMP_INTERRUPTED = 0x10
_HEAD = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEXTHOP = struct.Struct("=BBBxI")
#: nftables: messages by which part of a table goes away (subsystem 10).
_NFT = 10 << 8
_NFT_GONE = {_NFT | kind for kind in (2, 5, 8)}  # table, chain, rule

IFF_UP, IFF_LOOPBACK, IFF_NOARP, IFF_LOWER_UP = 0x1, 0x8, 0x80, 0x10000
SECONDARY, OPTIMISTIC, DADFAILED, DEPRECATED, TENTATIVE = 0x01, 0x04, 0x08, 0x20, 0x40

LINK, ADDRESS, ROUTE, RULE, NEXTHOP, NAT, LOST = (
    "link",
    "address",
    "route",
    "rule",
    "nexthop",
    "nat",
    "lost",
)


class Message(NamedTuple):
    """Hold one netlink message, its head taken off."""

    kind: int
    flags: int
    seq: int
    pid: int
    body: memoryview


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


def messages(data: bytes) -> Iterator[Message]:
    """Yield the messages of one datagram; what is cut short ends it."""
    view = memoryview(data)
    while len(view) >= _HEAD.size:
        length, kind, flags, seq, pid = _HEAD.unpack_from(view)
        if length < _HEAD.size or length > len(view):
            return
        yield Message(kind, flags, seq, pid, view[_HEAD.size : length])
        view = view[(length + 3) & ~3 :]


def attributes(body: memoryview) -> dict[int, memoryview]:
    """Return the attributes of a message by type; of several of one type the last."""
    found = {}
    while len(body) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(body)
        if length < _ATTRIBUTE.size or length > len(body):
            break
        found[kind & 0x3FFF] = body[_ATTRIBUTE.size : length]
        body = body[(length + 3) & ~3 :]
    return found


def render_dump(kind: int, seq: int) -> bytes:
    """Return the request for all links (`GETLINK`) or addresses (`GETADDR`)."""
    body = _LINK.pack(0, 0, 0, 0, 0) if kind == GETLINK else _ADDRESS.pack(0, 0, 0, 0, 0)
    return _HEAD.pack(_HEAD.size + len(body), kind, 0x301, seq, 0) + body


def parse_link(body: memoryview) -> LinkNow:
    """Return the link of a NEWLINK or DELLINK message."""
    _, _, index, flags, _ = _LINK.unpack_from(body)
    parts = attributes(body[_LINK.size :])
    name = bytes(parts.get(3, b"")).rstrip(b"\0").decode("utf-8", "replace")
    carrier = parts.get(33)
    works = bool(flags & IFF_LOWER_UP) if carrier is None else bool(carrier[0])
    return LinkNow(index, name, flags, works, bytes(parts.get(1, b"")))


def parse_address(body: memoryview) -> AddressNow | None:
    """Return the address of a NEWADDR or DELADDR message, or None for other families."""
    family, prefix, flags, scope, index = _ADDRESS.unpack_from(body)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    parts = attributes(body[_ADDRESS.size :])
    # IFA_LOCAL is ours, where IFA_ADDRESS is the other end of a point-to-point link.
    address = parts.get(2, parts.get(1))
    if address is None:
        return None
    if 8 in parts:
        flags = struct.unpack("=I", parts[8])[0]
    return AddressNow(
        index, 4 if family == socket.AF_INET else 6, bytes(address), prefix, flags, scope
    )


@dataclass
class View:
    """Follow links and addresses by what the kernel says of them."""

    links: dict[int, LinkNow] = field(default_factory=dict)
    addresses: dict[tuple[int, bytes, int], AddressNow] = field(default_factory=dict)
    _by_name: dict[str, LinkNow] = field(default_factory=dict)

    def link(self, name: str) -> LinkNow | None:
        """Return a link by name."""
        return self._by_name.get(name)

    def of(self, name: str, family: int) -> list[AddressNow]:
        """Return a link's addresses of one family, in the kernel's order."""
        link = self._by_name.get(name)
        if link is None:
            return []
        return [
            a for a in self.addresses.values() if a.ifindex == link.index and a.family == family
        ]

    def replace(self, other: View) -> None:
        """Become another view."""
        self.links, self.addresses, self._by_name = other.links, other.addresses, other._by_name

    def take(self, message: Message) -> Notice | None:
        """Follow a message about a link or an address; return what changed by it."""
        if message.kind in (NEWLINK, DELLINK):
            return self._take_link(parse_link(message.body), message.kind == DELLINK)
        address = parse_address(message.body)
        if address is None:
            return None
        key = (address.ifindex, address.address, address.prefix)
        before = self.addresses.get(key)
        if message.kind == DELADDR:
            self.addresses.pop(key, None)
        else:
            self.addresses[key] = address
        if self.addresses.get(key) == before:
            return None
        link = self.links.get(address.ifindex)
        return Notice(ADDRESS, link.name if link else "", gone=message.kind == DELADDR)

    def _take_link(self, link: LinkNow, gone: bool) -> Notice | None:
        before = self.links.get(link.index)
        if before is not None and self._by_name.get(before.name) is before:
            del self._by_name[before.name]
        if gone:
            self.links.pop(link.index, None)
            self.addresses = {k: a for k, a in self.addresses.items() if k[0] != link.index}
            return Notice(LINK, link.name, carrier=False, gone=True)
        self.links[link.index] = self._by_name[link.name] = link
        if before == link:
            return None
        return Notice(LINK, link.name, carrier=link.works)


def parse_routing(message: Message, protocol: int, tables: range) -> Notice | None:
    """Return the notice of a route, rule or nexthop that is ours or a default, else None.

    :param protocol: by which ours are known.
    :param tables: numbers of the tables that are ours.
    """
    gone = message.kind in (DELROUTE, DELRULE, DELNEXTHOP)
    if message.kind in (NEWROUTE, DELROUTE):
        _, length, _, _, table, owner, _, _, _ = _ROUTE.unpack_from(message.body)
        parts = attributes(message.body[_ROUTE.size :])
        if 15 in parts:
            table = struct.unpack("=I", parts[15])[0]
        ours = owner == protocol or table in tables
        # Somebody else's default in a table that is looked at by everyone may hide ours.
        if ours or (length == 0 and table in (253, 254)):
            return Notice(ROUTE, gone=gone, ours=ours, table=table)
        return None
    if message.kind in (NEWRULE, DELRULE):
        parts = attributes(message.body[_ROUTE.size :])
        owner = parts[21][0] if 21 in parts else 0
        table = struct.unpack("=I", parts[15])[0] if 15 in parts else message.body[4]
        ours = owner == protocol or table in tables
        return Notice(RULE, gone=gone, ours=ours, table=table) if ours else None
    if message.kind in (NEWNEXTHOP, DELNEXTHOP):
        _, _, owner, _ = _NEXTHOP.unpack_from(message.body)
        return Notice(NEXTHOP, gone=gone, ours=True) if owner == protocol else None
    return None


def parse_nft(message: Message, table: str) -> Notice | None:
    """Return the notice that a part of our nftables table has gone, else None."""
    if message.kind not in _NFT_GONE:
        return None
    # Behind the four bytes of nfgenmsg; in all three kinds the first attribute is the table.
    name = bytes(attributes(message.body[4:]).get(1, b"")).rstrip(b"\0").decode("utf-8", "replace")
    return Notice(NAT, gone=True, ours=True) if name == table else None
