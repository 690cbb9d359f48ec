"""Read and change the kernel's routing by rtnetlink.

Formats: linux/rtnetlink.h, linux/fib_rules.h, linux/nexthop.h, linux/if_addr.h; rtnetlink(7).
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence

from . import netlink
from .kernel import (
    ANYWHERE,
    UNICAST,
    UNREACHABLE,
    Address,
    Group,
    Hop,
    Item,
    Kernel,
    Link,
    Nexthop,
    Route,
    Rule,
)
from .netlink import Netlink, NetlinkError, attribute, attributes, number

_NEWLINK, _GETLINK, _NEWADDR, _GETADDR = 16, 18, 20, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWRULE, _DELRULE, _GETRULE = 32, 33, 34
_NEWNEXTHOP, _DELNEXTHOP, _GETNEXTHOP = 104, 105, 106
_FAMILY: Mapping[int, int] = {4: int(socket.AF_INET), 6: int(socket.AF_INET6)}
_VERSION = {family: version for version, family in _FAMILY.items()}
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
_SKIP_STATS = 1 << 3
_ONLINK = 4
_UNSPEC_TABLE, _SCOPE_LINK, _SCOPE_NOWHERE = 0, 253, 255
_TYPE_NAMES = {1: UNICAST, 2: "local", 3: "broadcast", 6: "blackhole", 7: UNREACHABLE}
_TYPE_NAMES |= {8: "prohibit", 9: "throw"}
_RTMSG = struct.Struct("=BBBBBBBBI")
_RULE = _RTMSG
_NEXTHOP = struct.Struct("=BBBBI")
_RTNEXTHOP = struct.Struct("=HBBi")
_MEMBER = struct.Struct("=IBBH")
# rtattr_type_t
_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _MULTIPATH, _TABLE, _NH_ID = 1, 4, 5, 6, 7, 9, 15, 30
_CLONED = 0x200
# FRA_*
_F_SRC, _F_PRIORITY, _F_MARK, _F_SUPPRESS, _F_TABLE, _F_MASK, _F_OUT, _F_PROTOCOL = (
    2,
    6,
    10,
    14,
    15,
    16,
    17,
    21,
)
_F_KNOWN = {_F_SRC, _F_PRIORITY, _F_MARK, _F_SUPPRESS, _F_TABLE, _F_MASK, _F_OUT, _F_PROTOCOL}
#: Attributes that a rule has without selecting anything by them: padding, no group suppressed.
_F_EMPTY = {13: 0xFFFFFFFF, 18: None}
# NHA_*
_N_ID, _N_GROUP, _N_TYPE, _N_OIF, _N_GATEWAY, _N_RES = 1, 2, 3, 5, 6, 12
_RESILIENT = 1
#: Of a resilient group: buckets; after how many hundredths of a second without a packet one may
#: move to a line that has too few, and after how long it must. Flows that exist are held by
#: their connection mark, so that a bucket sees first packets only: short times make a line
#: that is back get its share at once.
BUCKETS, IDLE, UNBALANCED = 256, 100, 300
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTSUP)


def read_kernel(
    sockets: Netlink,
    tables: Iterable[int],
    nexthops: range,
    families: Sequence[int] = (4, 6),
    *,
    objects: bool = True,
) -> Kernel:
    """Read what a plan is made on.

    :param tables: routing tables to read, whoever filled them.
    :param nexthops: ids to read.
    :param objects: False to take the kernel for one without nexthop objects.
    """
    links = read_links(sockets)
    names = {link.number: link.name for link in links}
    found = read_nexthops(sockets, names, nexthops) if objects else None
    routes = [
        route
        for family in families
        for table in sorted(set(tables))
        for route in read_routes(sockets, family, names, table=table)
    ]
    return Kernel(
        {link.name: link for link in links},
        tuple(a for family in families for a in read_addresses(sockets, family, names)),
        tuple(routes),
        tuple(rule for family in families for rule in read_rules(sockets, family)),
        *(found or ((), ())),
        objects=found is not None,
    )


def read_links(sockets: Netlink) -> list[Link]:
    """Return every interface of this network namespace."""
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + number(29, _SKIP_STATS)
    found = []
    for message in sockets.dump(_GETLINK, body, "interfaces"):
        index, flags = struct.unpack_from("=4xiI", message.body)
        name = netlink.text_of(attributes(message.body[16:]).get(3))
        found.append(Link(index, name, bool(flags & _IFF_UP), bool(flags & _IFF_LOWER_UP)))
    return found


def read_addresses(sockets: Netlink, family: int, names: Mapping[int, str]) -> list[Address]:
    """Return the addresses of a family in the kernel's order, which is that of their age."""
    body = struct.pack("=BBBBI", _FAMILY[family], 0, 0, 0, 0)
    found = []
    for message in sockets.dump(_GETADDR, body, "addresses"):
        _, prefix, flags, scope, index = struct.unpack_from("=BBBBI", message.body)
        given = attributes(message.body[8:])
        address = given.get(2) or given.get(1)
        if address is not None and index in names:
            flags = netlink.number_of(given.get(8), flags)
            found.append(Address(names[index], family, _address(address), prefix, scope, flags))
    return found


def read_routes(
    sockets: Netlink,
    family: int,
    names: Mapping[int, str],
    *,
    table: int = _UNSPEC_TABLE,
    protocol: int = 0,
) -> list[Route]:
    """Return the routes of a table, or of a protocol, or all.

    A kernel before 4.20 does not filter, so what it sends is filtered here as well.
    """
    low = table if table < 256 else _UNSPEC_TABLE
    body = _RTMSG.pack(_FAMILY[family], 0, 0, 0, low, protocol, 0, 0, 0)
    body += number(_TABLE, table) if table else b""
    try:
        messages = sockets.dump(_GETROUTE, body, f"routes of table {table or 'all'}")
    except NetlinkError as error:
        if error.number == errno.ENOENT and table:
            return []  # nobody has put anything into this table yet
        raise
    found = []
    for message in messages:
        if message.kind != _NEWROUTE or _RTMSG.unpack_from(message.body)[8] & _CLONED:
            continue
        route = parse_route(message.body, names)
        asked = table in (0, route.table) and protocol in (0, route.protocol)
        if route.family == family and asked:
            found.append(route)
    return found


def parse_route(body: bytes, names: Mapping[int, str]) -> Route:
    """Read a route from the body of its message."""
    code, length, _, _, table, protocol, scope, kind, flags = _RTMSG.unpack_from(body)
    family = _VERSION.get(code, 0)
    given = attributes(body[_RTMSG.size :])
    destination = ANYWHERE.get(family, "")
    if _DST in given:
        destination = f"{_address(given[_DST])}/{length}"
    group = netlink.number_of(given.get(_NH_ID))
    hops: tuple[Hop, ...] = ()
    if _TYPE_NAMES.get(kind) == UNICAST and not group:
        if _MULTIPATH in given:
            hops = tuple(_hops(given[_MULTIPATH], names))
        else:
            hops = (_hop(given, netlink.number_of(given.get(_OIF)), 1, flags, names),)
    return Route(
        family,
        netlink.number_of(given.get(_TABLE), table),
        destination,
        netlink.number_of(given.get(_PRIORITY)),
        protocol,
        _TYPE_NAMES.get(kind, str(kind)),
        _address(given[_PREFSRC]) if _PREFSRC in given else "",
        hops,
        group,
        family == 4 and scope == _SCOPE_LINK,
    )


def _hops(data: bytes, names: Mapping[int, str]) -> Iterable[Hop]:
    at = 0
    while at + _RTNEXTHOP.size <= len(data):
        length, flags, weight, index = _RTNEXTHOP.unpack_from(data, at)
        if length < _RTNEXTHOP.size:
            return
        given = attributes(data[at + _RTNEXTHOP.size : at + length])
        yield _hop(given, index, weight + 1, flags, names)
        at += (length + 3) & ~3


def _hop(
    given: Mapping[int, bytes], index: int, weight: int, flags: int, names: Mapping[int, str]
) -> Hop:
    gateway = _address(given[_GATEWAY]) if _GATEWAY in given else ""
    return Hop(names.get(index, f"if{index}"), gateway, weight, bool(flags & _ONLINK))


def read_rules(sockets: Netlink, family: int) -> list[Rule]:
    """Return the policy rules of a family in the order in which they are asked."""
    body = _RULE.pack(_FAMILY[family], 0, 0, 0, 0, 0, 0, 0, 0)
    messages = sockets.dump(_GETRULE, body, "policy rules")
    rules = [parse_rule(message.body) for message in messages if message.kind == _NEWRULE]
    return [rule for rule in rules if rule.family == family]


def parse_rule(body: bytes) -> Rule:
    """Read a policy rule from the body of its message."""
    code, _, length, _, table, _, _, action, flags = _RULE.unpack_from(body)
    given = attributes(body[_RULE.size :])
    suppress = netlink.number_of(given.get(_F_SUPPRESS), 0xFFFFFFFF)
    others = [
        kind
        for kind, data in given.items()
        if kind not in _F_KNOWN
        and not (kind in _F_EMPTY and _F_EMPTY[kind] in (None, netlink.number_of(data)))
    ]
    # Another action than a look into a table (goto, blackhole), or an inverted selector.
    others += [-1] if action != 1 or flags & 2 else []
    return Rule(
        _VERSION.get(code, 0),
        netlink.number_of(given.get(_F_PRIORITY)),
        netlink.number_of(given.get(_F_TABLE), table),
        netlink.number_of(given.get(_F_PROTOCOL)),
        f"{_address(given[_F_SRC])}/{length}" if _F_SRC in given else "",
        netlink.number_of(given.get(_F_MARK)),
        netlink.number_of(given.get(_F_MASK)),
        netlink.text_of(given.get(_F_OUT)),
        -1 if suppress == 0xFFFFFFFF else suppress,
        tuple(sorted(others)),
    )


def read_nexthops(
    sockets: Netlink, names: Mapping[int, str], idents: range
) -> tuple[tuple[Nexthop, ...], tuple[Group, ...]] | None:
    """Return nexthop objects and groups; None where the kernel has none (before 5.3)."""
    try:
        messages = sockets.dump(_GETNEXTHOP, _NEXTHOP.pack(0, 0, 0, 0, 0), "nexthop objects")
    except NetlinkError as error:
        if error.number in _UNSUPPORTED:
            return None
        raise
    nexthops, groups = [], []
    for message in messages:
        code, _, protocol, _, flags = _NEXTHOP.unpack_from(message.body)
        given = attributes(message.body[_NEXTHOP.size :])
        ident = netlink.number_of(given.get(_N_ID))
        if ident not in idents:
            continue
        if _N_GROUP in given:
            members = tuple(
                (member, weight + 1)
                for member, weight, _, _ in _MEMBER.iter_unpack(given[_N_GROUP])
            )
            resilient = netlink.number_of(given.get(_N_TYPE)) == _RESILIENT
            groups.append(Group(ident, protocol, members, resilient))
            continue
        index = netlink.number_of(given.get(_N_OIF))
        gateway = _address(given[_N_GATEWAY]) if _N_GATEWAY in given else ""
        hop = Hop(names.get(index, f"if{index}"), gateway, 1, bool(flags & _ONLINK))
        nexthops.append(Nexthop(ident, _VERSION.get(code, 0), protocol, hop))
    return tuple(nexthops), tuple(groups)


def set_item(sockets: Netlink, item: Item, links: Mapping[str, Link]) -> None:
    """Add an item, in the place of whatever holds its place; one step for the kernel.

    :raises NetlinkError: refused; what was there is there.
    """
    what, flags = item.text(), netlink.CREATE | netlink.REPLACE
    match item:
        case Route():
            sockets.change(_NEWROUTE, flags, _route_body(item, links, what), what)
        case Rule():
            # Two equal rules are two: the kernel refuses the second only if told to.
            flags = netlink.CREATE | netlink.EXCL
            sockets.change(_NEWRULE, flags, _rule_body(item), what)
        case Nexthop():
            body = _NEXTHOP.pack(
                _FAMILY[item.family], 0, item.protocol, 0, _ONLINK if item.hop.onlink else 0
            )
            body += number(_N_ID, item.ident)
            body += number(_N_OIF, _index(item.hop.interface, links, what))
            body += attribute(_N_GATEWAY, ipaddress.ip_address(item.hop.gateway).packed)
            sockets.change(_NEWNEXTHOP, flags, body, what)
        case Group():
            members = b"".join(
                _MEMBER.pack(ident, weight - 1, 0, 0) for ident, weight in item.members
            )
            body = _NEXTHOP.pack(0, 0, item.protocol, 0, 0) + number(_N_ID, item.ident)
            body += attribute(_N_GROUP, members)
            if item.resilient:
                body += attribute(_N_TYPE, struct.pack("=H", _RESILIENT))
                body += netlink.nested(
                    _N_RES,
                    attribute(1, struct.pack("=H", BUCKETS)),
                    number(2, IDLE),
                    number(3, UNBALANCED),
                )
            sockets.change(_NEWNEXTHOP, flags, body, what)


def delete_item(sockets: Netlink, item: Item, links: Mapping[str, Link]) -> None:
    """Delete an item; one that is gone already is no error.

    :raises NetlinkError: refused.
    """
    what = item.text()
    try:
        match item:
            case Route():
                sockets.change(_DELROUTE, 0, _route_body(item, links, what), what)
            case Rule():
                sockets.change(_DELRULE, 0, _rule_body(item), what)
            case Nexthop() | Group():
                body = _NEXTHOP.pack(0, 0, 0, 0, 0) + number(_N_ID, item.ident)
                sockets.change(_DELNEXTHOP, 0, body, what)
    except NetlinkError as error:
        if error.number not in (errno.ESRCH, errno.ENOENT):
            raise


def _route_body(route: Route, links: Mapping[str, Link], what: str) -> bytes:
    network = ipaddress.ip_network(route.destination)
    scope = 0
    if route.family == 4 and route.link:
        scope = _SCOPE_LINK
    flags = _ONLINK if len(route.hops) == 1 and route.hops[0].onlink else 0
    code = next((c for c, n in _TYPE_NAMES.items() if n == route.kind), 0) or int(route.kind)
    low = route.table if route.table < 256 else _UNSPEC_TABLE
    body = _RTMSG.pack(
        _FAMILY[route.family], network.prefixlen, 0, 0, low, route.protocol, scope, code, flags
    )
    body += number(_TABLE, route.table) + number(_PRIORITY, route.metric)
    if network.prefixlen:
        body += attribute(_DST, network.network_address.packed)
    if route.source:
        body += attribute(_PREFSRC, ipaddress.ip_address(route.source).packed)
    if route.group:
        return body + number(_NH_ID, route.group)
    if len(route.hops) == 1:
        hop = route.hops[0]
        body += number(_OIF, _index(hop.interface, links, what))
        return body + (_gateway(hop) if hop.gateway else b"")
    if route.hops:
        legs = b"".join(_leg(hop, links, what) for hop in route.hops)
        body += attribute(_MULTIPATH, legs)
    return body


def _gateway(hop: Hop) -> bytes:
    return attribute(_GATEWAY, ipaddress.ip_address(hop.gateway).packed)


def _leg(hop: Hop, links: Mapping[str, Link], what: str) -> bytes:
    gateway = _gateway(hop) if hop.gateway else b""
    size = _RTNEXTHOP.size + len(gateway)
    flags = _ONLINK if hop.onlink else 0
    return (
        _RTNEXTHOP.pack(size, flags, hop.weight - 1, _index(hop.interface, links, what)) + gateway
    )


def _rule_body(rule: Rule) -> bytes:
    length = int(rule.source.partition("/")[2]) if rule.source else 0
    low = rule.table if rule.table < 256 else _UNSPEC_TABLE
    body = _RULE.pack(_FAMILY[rule.family], 0, length, 0, low, 0, 0, 1, 0)
    body += number(_F_PRIORITY, rule.priority) + number(_F_TABLE, rule.table)
    body += attribute(_F_PROTOCOL, bytes([rule.protocol]))
    if rule.source:
        address = rule.source.partition("/")[0]
        body += attribute(_F_SRC, ipaddress.ip_address(address).packed)
    if rule.mask:
        body += number(_F_MARK, rule.mark) + number(_F_MASK, rule.mask)
    if rule.out:
        body += netlink.text(_F_OUT, rule.out)
    if rule.suppress >= 0:
        body += number(_F_SUPPRESS, rule.suppress)
    return body


def _index(name: str, links: Mapping[str, Link], what: str) -> int:
    if name not in links:
        raise NetlinkError(what, errno.ENODEV, f"there is no interface {name}")
    return links[name].number


def _address(data: bytes) -> str:
    return str(ipaddress.ip_address(data)) if len(data) in (4, 16) else ""
