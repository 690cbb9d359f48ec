"""The nftables table ``inet ipalias_wan``: each flow keeps its line, and has its address.

A table of our own, put in place of the former one by a single transaction of nft(8). It
depends on the configuration alone, not on which lines are up: a switch never touches it.

Every flow's line is written into its connection mark: by the line its first packet leaves
by, or came in by. Before each routing decision it is copied into the packet's mark, which
a policy rule sends to the line's own table. Foreign bits of both marks stay as they are.
Packets that come *in* by a line are not marked: their way goes to the inside.

Each rule has a comment that names it and the digest of its text, so that rules that
somebody deleted or changed are noticed by reading comments, without running nft.
"""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import json
import struct
from collections.abc import Iterator, Sequence

from ..errors import InputError
from . import netlink
from .model import Uplink, WanConfig, Way
from .netlink import Netlink, NetlinkError, attributes

TABLE = "ipalias_wan"
#: Chains with the line that hooks each in. Behind connection tracking (-200), before
#: destination NAT (-100); the marks of what leaves are set before source NAT (100).
CHAINS = {
    "prerouting": "type filter hook prerouting priority -150; policy accept;",
    "output": "type route hook output priority -150; policy accept;",
    "postrouting": "type filter hook postrouting priority -150; policy accept;",
    "source": "type nat hook postrouting priority 100; policy accept;",
}
_INET = 1  # NFPROTO_INET
_GETRULE, _NEWRULE = (10 << 8) | 7, (10 << 8) | 6
_GETTABLE = (10 << 8) | 1
_RULE_TABLE, _RULE_CHAIN, _RULE_USERDATA = 1, 2, 7
_COMMENT = 0  # NFTNL_UDATA_RULE_COMMENT


def render_nat(config: WanConfig) -> str:
    """Return the whole text for ``nft -f -``: away with the old table, in with the new.

    :raises InputError: IPv6 networks do not fit into an uplink's prefix.
    """
    lines = [f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    rules = _rules(config)
    for chain, hook in CHAINS.items():
        lines += [f"\tchain {chain} {{", f"\t\t{hook}"]
        lines += [f'\t\t{rule} comment "{_comment(rule)}"' for rule in rules[chain]]
        lines += ["\t}"]
    return "\n".join([*lines, "}", ""])


def render_removal() -> str:
    """Return the text for ``nft -f -`` that takes the table away, if it is there."""
    return f"table inet {TABLE}\ndelete table inet {TABLE}\n"


def expected(config: WanConfig) -> tuple[tuple[str, str], ...]:
    """Return chain and comment of each rule, as `read_nat` finds them where all is well."""
    rules = _rules(config)
    return tuple(sorted((chain, _comment(rule)) for chain in CHAINS for rule in rules[chain]))


def read_nat(sockets: Netlink) -> tuple[tuple[str, str], ...] | None:
    """Return chain and comment of each rule of our table; None where there is no table.

    :param sockets: of the protocol `netlink.NETFILTER`.
    :raises NetlinkError: nf_tables is not there, or not for us.
    """
    header = struct.pack("=BBH", _INET, 0, 0)
    what = f"table inet {TABLE}"
    tables = sockets.dump(_GETTABLE, header, what)
    if TABLE not in {netlink.text_of(attributes(m.body[4:]).get(1)) for m in tables}:
        return None
    body = header + netlink.text(_RULE_TABLE, TABLE)
    found = []
    try:
        for message in sockets.dump(_GETRULE, body, what):
            given = attributes(message.body[4:])
            if netlink.text_of(given.get(_RULE_TABLE)) != TABLE or message.body[0] != _INET:
                continue
            chain = netlink.text_of(given.get(_RULE_CHAIN))
            found.append((chain, _comment_of(given.get(_RULE_USERDATA, b""))))
    except NetlinkError as error:
        if error.number != errno.ENOENT:
            raise
        return None
    return tuple(sorted(found))


def _comment_of(data: bytes) -> str:
    """Return the comment in a rule's user data: type, length, value, of libnftnl."""
    at = 0
    while at + 2 <= len(data):
        kind, length = data[at], data[at + 1]
        if kind == _COMMENT:
            return netlink.text_of(data[at + 2 : at + 2 + length])
        at += 2 + length
    return ""


def _comment(rule: str) -> str:
    """Return what tells a rule of ours, unchanged, from any other."""
    return f"ipalias {hashlib.sha256(rule.encode()).hexdigest()[:12]}"


# -- the rules ------------------------------------------------------------------------------


def _rules(config: WanConfig) -> dict[str, list[str]]:
    """Return the rules of each chain."""
    numbers = config.numbers
    unmarked = f"ct mark & {numbers.mask:#010x} == 0"
    outside = _names(sorted({way.interface for _, way in config.ways()}))
    copied = [
        f"{_marked(config, uplink)} meta mark set {_with(config, uplink, 'meta')}"
        for uplink in config.uplinks
    ]
    arriving = [
        f"{match} {unmarked} ct mark set {_with(config, uplink, 'ct')}"
        for uplink, match in _arriving(config)
    ]
    leaving = [
        f"{match} {unmarked} ct mark set {_with(config, uplink, 'ct')}"
        for uplink, match in _leaving(config)
    ]
    strays = [
        # Its address is another line's: nobody could answer it here.
        f"{match} ct mark & {numbers.mask:#010x} != {{ 0, {numbers.mark(uplink.index):#010x} }} "
        "ct status & (snat | dnat) != 0 drop"
        for uplink, match in _leaving(config)
    ]
    return {
        "prerouting": [*arriving, f"iifname {outside} return", *copied] if copied else [],
        # A probe says itself which line it is for.
        "output": [f"meta mark & {numbers.mask:#010x} != 0 return", *copied],
        "postrouting": [*leaving, *strays],
        "source": [*_translated(config), *_mapped(config)],
    }


def _marked(config: WanConfig, uplink: Uplink) -> str:
    numbers = config.numbers
    return f"ct mark & {numbers.mask:#010x} == {numbers.mark(uplink.index):#010x}"


def _with(config: WanConfig, uplink: Uplink, mark: str) -> str:
    """Return a mark with an uplink's index in it and all foreign bits as they are."""
    numbers = config.numbers
    others = ~numbers.mask & 0xFFFFFFFF
    return f"{mark} mark & {others:#010x} | {numbers.mark(uplink.index):#010x}"


def _names(names: Sequence[str]) -> str:
    return "{ " + ", ".join(json.dumps(name) for name in names) + " }"


def _alone(config: WanConfig, way: Way) -> bool:
    """Tell whether no other uplink has a line of this family on the interface."""
    return not any(
        other.interface == way.interface
        and other.line.family == way.line.family
        and other.line.uplink != way.line.uplink
        for _, other in config.ways()
    )


def _family(way: Way) -> str:
    return "ip" if way.line.family == 4 else "ip6"


def _only(config: WanConfig, way: Way) -> str:
    """Return the match on a family, where the interface alone would match both."""
    return f"meta nfproto ipv{way.line.family} "


def _arriving(config: WanConfig) -> Iterator[tuple[Uplink, str]]:
    """Yield what tells that a packet came in by a line.

    Where two lines share an interface only the address it came to can tell.
    """
    for uplink, way in config.ways():
        name = f"iifname {json.dumps(way.interface)}"
        if _alone(config, way):
            yield uplink, f"{name} meta nfproto ipv{way.line.family}"
        elif way.source:
            yield uplink, f"{name} {_family(way)} daddr {way.source}"


def _leaving(config: WanConfig) -> Iterator[tuple[Uplink, str]]:
    """Yield what tells that a packet leaves by a line.

    Where two lines share an interface it is the gateway that routing has chosen.
    """
    for uplink, way in config.ways():
        name = f"oifname {json.dumps(way.interface)}"
        if _alone(config, way):
            yield uplink, f"{name} meta nfproto ipv{way.line.family}"
        else:
            yield uplink, f"{name} rt {_family(way)} nexthop {way.gateway}"


def _translated(config: WanConfig) -> Iterator[str]:
    """Yield the source NAT of IPv4: by the flow's line, to that line's address."""
    if not config.nat.networks:
        return
    networks = "{ " + ", ".join(config.nat.networks) + " }"
    for uplink, way in config.ways():
        if way.line.family == 4:
            name = f"oifname {json.dumps(way.interface)}"
            to = f"snat ip to {way.source}" if way.source else "masquerade"
            yield f"ip saddr {networks} {name} {_marked(config, uplink)} {to}"


def _mapped(config: WanConfig) -> Iterator[str]:
    """Yield the prefix translation of IPv6: every host keeps its lower bits.

    It is the kernel's own stateful mapping of prefixes, not the checksum-neutral one of
    RFC 6296; from outside no flow can be begun.

    :raises InputError: a prefix is too small.
    """
    for uplink, way in config.ways():
        prefix = config.nat.prefixes.get(uplink.name)
        if way.line.family == 4 or prefix is None:
            continue
        name = f"oifname {json.dumps(way.interface)}"
        for network, to in zip(config.nat.networks6, _slots(config, uplink.name), strict=True):
            yield (
                f"ip6 saddr {network} {name} {_marked(config, uplink)} "
                f"snat ip6 prefix to ip6 saddr map {{ {network} : {to} }}"
            )


def _slots(config: WanConfig, uplink: str) -> list[str]:
    """Return the parts of an uplink's prefix that the inner networks are mapped to, in order."""
    where = f"{config.where}:nat:prefixes:{uplink}"
    space = ipaddress.IPv6Network(config.nat.prefixes[uplink])
    at = int(space.network_address)
    slots = []
    for text in config.nat.networks6:
        size = ipaddress.IPv6Network(text).prefixlen
        step = 1 << (128 - size)
        at = -(-at // step) * step
        if size < space.prefixlen or at + step > int(space.broadcast_address) + 1:
            raise InputError(
                f"{text} does not fit into {space}",
                where=where,
                way_out="each network of `networks6` needs a part of the same size of its own",
            )
        slots.append(f"{ipaddress.IPv6Address(at)}/{size}")
        at += step
    return slots
