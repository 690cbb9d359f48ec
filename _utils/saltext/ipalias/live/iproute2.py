"""Read live addresses from iproute2, and write the batch that changes them.

Reading takes ``ip -j`` where it is known (iproute2 4.14 and later), the text of
``ip address`` before that (Debian 8, CentOS 6 and 7, busybox), `ifconfig` where there is
no ``ip`` at all. Changing is one ``ip -batch -`` for any number of addresses: a process
per address costs 1.5 ms each and nothing is gained.

Formats: ip-address(8), ip-route(8), ip(8) ``-batch``; the JSON keys are those of
``ipaddress.c`` and ``iproute.c`` of iproute2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import MALFORMED, EffectError
from ..host import NOT_FOUND, Host, Result
from ..model import IPV4, IPV6, MAX_PREFIX
from . import Link, LiveAddress, Route, Snapshot

DUMP_ADDRESSES = ("ip", "-j", "address", "show")
DUMP_ROUTES4 = ("ip", "-j", "-4", "route", "show", "table", "main")
DUMP_ROUTES6 = ("ip", "-j", "-6", "route", "show", "table", "main")
#: What a whole snapshot takes, in the order of `parse_json`'s arguments.
DUMP = (DUMP_ADDRESSES, DUMP_ROUTES4, DUMP_ROUTES6)
#: The same for an iproute2 without ``-j``, in the order of `parse_text`'s arguments.
DUMP_TEXT = tuple(tuple(word for word in argv if word != "-j") for argv in DUMP)

#: `ip` ends so when a family is off or a namespace has no table yet: that is no route.
_NO_ROUTES = ("FIB table does not exist", "not supported", "Cannot assign requested address")


def read_snapshot(host: Host) -> Snapshot:
    """Return what the kernel holds now.

    :raises EffectError: when neither ``ip`` nor ``ifconfig`` says it.
    """
    result = host.run(DUMP_ADDRESSES)
    if result.code == 0 and result.out.lstrip()[:1] in ("[", ""):
        return parse_json(result.out, _routes(host, DUMP_ROUTES4), _routes(host, DUMP_ROUTES6))
    if result.code != NOT_FOUND:
        result = host.run(DUMP_TEXT[0])
        if result.code == 0:
            return parse_text(result.out, _routes(host, DUMP_TEXT[1]), _routes(host, DUMP_TEXT[2]))
    from . import ifconfig  # only where it is needed: its import costs as much as this one

    fallback = host.run(ifconfig.DUMP)
    if fallback.code == 0:
        return ifconfig.parse(fallback.out)
    raise EffectError(
        f"the live addresses cannot be read: {_complaint(result)}",
        where=" ".join(DUMP_ADDRESSES),
        way_out="install iproute2",
    )


def _routes(host: Host, argv: Sequence[str]) -> str:
    result = host.run(argv)
    if result.code == 0:
        return result.out
    if any(phrase in result.err for phrase in _NO_ROUTES):
        return ""
    raise EffectError(
        f"the routes cannot be read: {_complaint(result)}",
        where=" ".join(argv),
        way_out="run the command by hand and mend what it says",
    )


def _complaint(result: Result) -> str:
    lines = result.err.strip().splitlines()
    return lines[0] if lines else f"exit code {result.code}"


# ---------------------------------------------------------------------------------- JSON


def parse_json(addr_json: str, route4_json: str = "", route6_json: str = "") -> Snapshot:
    """Parse the three dumps of `DUMP`.

    Some versions print an empty object for each link or address that a filter left out,
    and nothing at all for an empty list of routes.

    :raises EffectError: where a dump is not JSON, or not what ``ip`` prints.
    """
    try:
        return _parse_json(addr_json, route4_json, route6_json)
    except MALFORMED as error:
        raise _foreign(error) from None


def _foreign(error: Exception) -> EffectError:
    return EffectError(f"not what ip(8) prints ({error!r})"[:200], where="`ip address`")


def _parse_json(addr_json: str, route4_json: str, route6_json: str) -> Snapshot:
    links: list[Link] = []
    addresses: list[LiveAddress] = []
    flag_sets: dict[tuple[str, ...], frozenset[str]] = {}
    for entry in _load(addr_json, DUMP_ADDRESSES):
        name = entry.get("ifname")
        if not name:
            continue
        links.append(
            Link(
                name,
                entry.get("ifindex", 0),
                frozenset(entry.get("flags", ())),
                _mac(entry.get("link_type", ""), entry.get("address", "")),
                entry.get("mtu", 0),
            )
        )
        for info in entry.get("addr_info", ()):
            local = info.get("local")
            if local is None:
                continue
            # All flags are members whose value is true. Most aliases have none, and ten
            # thousand share a few sets: looking first and building each set once pays.
            words: tuple[str, ...] = ()
            if True in info.values():
                words = tuple(key for key, value in info.items() if value is True)
            flags = flag_sets.get(words)
            if flags is None:
                flags = flag_sets[words] = frozenset(words)
            label = info.get("label")
            addresses.append(
                LiveAddress(
                    name,
                    local,
                    info["prefixlen"],
                    None if label == name else label,
                    str(info.get("scope", "global")),
                    flags,
                    str(info.get("protocol", "")),
                    info.get("preferred_life_time") == 0 or "deprecated" in flags,
                )
            )
    routes = [
        *_routes_json(IPV4, _load(route4_json, DUMP_ROUTES4)),
        *_routes_json(IPV6, _load(route6_json, DUMP_ROUTES6)),
    ]
    return Snapshot(tuple(links), tuple(addresses), tuple(routes))


def _load(text: str, argv: Sequence[str]) -> list[dict[str, Any]]:
    if not text.strip():
        return []
    try:
        return [entry for entry in json.loads(text) if entry]
    except ValueError as error:
        raise EffectError(
            f"the output is not JSON: {error}",
            where=" ".join(argv),
            way_out="look at what the command prints",
        ) from error


def _mac(link_type: str, address: str) -> str:
    """Return an Ethernet-like address; a tunnel's is its IP address, a loopback's is zero."""
    if re.fullmatch(r"(?:[0-9a-f]{2}:){5,19}[0-9a-f]{2}", address) and link_type != "loopback":
        return address
    return ""


def _routes_json(family: int, entries: Iterable[dict[str, Any]]) -> Iterable[Route]:
    for entry in entries:
        for hop in entry.get("nexthops") or (entry,):
            via = hop.get("via") or {}
            yield Route(
                family,
                _destination(family, entry.get("dst", "")),
                hop.get("dev", entry.get("dev", "")),
                hop.get("gateway") or via.get("host"),
                entry.get("metric", 0),
                entry.get("prefsrc"),
                str(entry.get("protocol", "")),
                str(entry.get("scope", "")),
            )


def _destination(family: int, word: str) -> str:
    """Write a destination with its prefix length, which `ip` leaves out for one address."""
    if word == "default" or "/" in word:
        return word
    return f"{word}/{MAX_PREFIX[family]}"


# ---------------------------------------------------------------------------------- text

_LINK = re.compile(r"^(\d+): ([^\s:][^\s]*): <([^>]*)>(?: mtu (\d+))?")
_ETHER = re.compile(r"^\s*link/(\S+) (\S+)")
_ADDRESS = re.compile(r"^(?:\d+: (\S+))?\s+(inet6?) ([^\s/]+)(?: peer [^\s/]+)?(?:/(\d+))?(.*)$")


def parse_text(
    addr_text: str, route4_text: str = "", route6_text: str = "", link_text: str = ""
) -> Snapshot:
    """Parse the text form of the three dumps, with ``-o`` or without.

    :param link_text: output of ``ip -o link``, which the one-line form of the addresses
        needs: there a link without an address does not appear.
    :raises EffectError: where it is not what ``ip`` prints.
    """
    try:
        return _parse_text(addr_text, route4_text, route6_text, link_text)
    except MALFORMED as error:
        raise _foreign(error) from None


def _parse_text(addr_text: str, route4_text: str, route6_text: str, link_text: str) -> Snapshot:
    links: dict[str, Link] = {}
    addresses: list[LiveAddress] = []
    current = ""
    for line in (link_text + "\n" + addr_text).replace("\\", "\n").split("\n"):
        if link := _LINK.match(line):
            current = _bare(link[2])
            flags = frozenset(link[3].split(","))
            links[current] = Link(current, int(link[1]), flags, "", int(link[4] or 0))
        elif (ether := _ETHER.match(line)) and current in links:
            old = links[current]
            mac = _mac(ether[1], ether[2].lower())
            links[current] = Link(old.name, old.index, old.flags, mac, old.mtu)
        elif found := _ADDRESS.match(line):
            current = _bare(found[1]) if found[1] else current
            addresses.append(_address_text(current, found))
        elif "preferred_lft 0sec" in line and addresses:
            addresses[-1] = _deprecate(addresses[-1])
    for address in addresses:
        links.setdefault(address.interface, Link(address.interface))
    routes = [*_routes_text(IPV4, route4_text), *_routes_text(IPV6, route6_text)]
    return Snapshot(tuple(links.values()), tuple(addresses), tuple(routes))


def _bare(name: str) -> str:
    """Return ``eth0`` for ``eth0@if5``, and for ``eth0:`` of old releases."""
    return name.rstrip(":").split("@", 1)[0]


def _address_text(interface: str, found: re.Match[str]) -> LiveAddress:
    family = IPV6 if found[2] == "inet6" else IPV4
    words = found[5].split()
    scope, protocol = "global", ""
    flags: list[str] = []
    while words:
        word = words.pop(0)
        if word in ("brd", "any", "metric", "peer", "flags") and words:
            words.pop(0)
        elif word == "scope" and words:
            scope = words.pop(0)
        elif word == "proto" and words:
            protocol = words.pop(0)
        else:
            flags.append(word)
    # The last word of an IPv4 line is its label; an IPv6 address has none.
    label = flags.pop() if family == IPV4 and flags else None
    return LiveAddress(
        interface,
        found[3],
        int(found[4] or MAX_PREFIX[family]),
        None if label == interface else label,
        scope,
        frozenset(flags),
        protocol,
        "deprecated" in flags,
    )


def _deprecate(old: LiveAddress) -> LiveAddress:
    return LiveAddress(
        old.interface, old.address, old.prefix, old.label, old.scope, old.flags, old.protocol, True
    )


_ROUTE_TYPES = (
    "unreachable",
    "blackhole",
    "prohibit",
    "throw",
    "unicast",
    "broadcast",
    "multicast",
)


def _routes_text(family: int, text: str) -> Iterable[Route]:
    # A multipath route continues on lines that begin with a blank, or behind a backslash.
    for logical in re.sub(r"\\?\n[ \t]+|\\", " ", text).split("\n"):
        words = logical.split()
        if words and words[0] in _ROUTE_TYPES:
            words.pop(0)
        if not words:
            continue
        head, *hops = _split_hops(words[1:])
        common = _pairs(head)
        for hop in hops or [head]:
            own = {**common, **_pairs(hop)}
            yield Route(
                family,
                _destination(family, words[0]),
                _bare(own.get("dev", "")),
                own.get("via"),
                int(own.get("metric", 0)),
                own.get("src"),
                own.get("proto", ""),
                own.get("scope", ""),
            )


def _split_hops(words: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "nexthop":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _pairs(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in ("dev", "via", "metric", "src", "proto", "scope"):
        if key in words[:-1]:
            at = words.index(key) + 1
            if key == "via" and words[at] in ("inet", "inet6") and at + 1 < len(words):
                at += 1
            found[key] = words[at]
    return found
