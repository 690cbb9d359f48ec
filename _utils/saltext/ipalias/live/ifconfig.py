"""Read live addresses from ``ifconfig``: Linux net-tools old and new, FreeBSD, OpenBSD.

Its output gives links and addresses only, no routes and no scope of an IPv4 address.
Formats: ifconfig(8) of net-tools 1.60 (``Link encap:``) and 2.x, of FreeBSD (with a
netmask in hex, or a prefix length where ``IFCONFIG_FORMAT`` asks for it) and of OpenBSD.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from ..errors import MALFORMED, EffectError
from ..model import IPV4, IPV6, MAX_PREFIX
from . import Link, LiveAddress, Snapshot

DUMP = ("ifconfig", "-a")

_OLD_HEADER = re.compile(r"^(\S+)\s+Link encap:(.*)$")
#: A FreeBSD name may itself contain a colon (``vnet0:11``).
_HEADER = re.compile(r"^(\S+): flags=[0-9a-fA-F]+<([^>]*)>(.*)$")
_MTU = re.compile(r"\bmtu[ :](\d+)", re.IGNORECASE)
_MAC = re.compile(r"(?:^\s*(?:ether|lladdr)|\bHWaddr) ((?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2})")
_INET = re.compile(r"^\s+(inet6?) (?:addr: ?)?([0-9a-fA-F.:]+)(?:%[^\s/]+)?(?:/(\d+))?(.*)$")
_PREFIX = re.compile(r"\bprefixlen (\d+)")
_MASK = re.compile(r"(?:netmask |Mask:)(\S+)")
_OLD_FLAGS = re.compile(r"^\s+((?:[A-Z]+ )+) *MTU:")
_SCOPE = re.compile(r"(?:scopeid 0x[0-9a-f]+<|Scope:)(\w+)")
#: Words behind an address, under the names iproute2 gives them.
_WORDS = {
    "tentative": "tentative",
    "duplicated": "dadfailed",
    "deprecated": "deprecated",
    "autoconf": "dynamic",
    "temporary": "temporary",
}


@dataclass
class _Open:
    """Hold the interface whose lines are being read."""

    name: str
    label: str | None = None
    flags: frozenset[str] = frozenset()
    mac: str = ""
    mtu: int = 0
    addresses: list[LiveAddress] = field(default_factory=list)
    #: The same again: to look for one in the list would make a thousand of them quadratic.
    known: set[LiveAddress] = field(default_factory=set)


def parse(text: str) -> Snapshot:
    """Parse the output of ``ifconfig -a``.

    On Linux ``eth0:1`` is a label of eth0, not an interface: its IPv4 address goes to eth0
    with that label, and the IPv6 addresses that it repeats from eth0 are left out.

    :raises EffectError: where it is not what ``ifconfig`` prints.
    """
    try:
        return _parse(text)
    except MALFORMED as error:
        said = f"not what ifconfig(8) prints ({error!r})"[:200]
        raise EffectError(said, where="`ifconfig -a`") from None


def _parse(text: str) -> Snapshot:
    linux = "Link encap:" in text or re.search(r"^\S+: flags=\S+ {2}mtu", text, re.M) is not None
    opened: dict[str, _Open] = {}
    current: _Open | None = None
    label: str | None = None
    for line in text.splitlines():
        header = _HEADER.match(line) or _OLD_HEADER.match(line)
        if header:
            shown = header[1]
            name = shown.split(":", 1)[0] if linux else shown
            label = shown if name != shown else None
            current = opened.setdefault(name, _Open(name))
            if header.re is _HEADER:
                current.flags = current.flags or frozenset(filter(None, header[2].split(",")))
        if current is None:
            continue
        _read_link(line, current)
        if not header and (found := _INET.match(line)):
            _add(current, label, found)
    links = tuple(Link(each.name, 0, each.flags, each.mac, each.mtu) for each in opened.values())
    return Snapshot(links, tuple(a for each in opened.values() for a in each.addresses))


def _read_link(line: str, current: _Open) -> None:
    if mac := _MAC.search(line):
        current.mac = current.mac or mac[1].lower()
    if (mtu := _MTU.search(line)) and not current.mtu:
        current.mtu = int(mtu[1])
    if (flags := _OLD_FLAGS.match(line)) and not current.flags:
        current.flags = frozenset(flags[1].split())


def _add(current: _Open, label: str | None, found: re.Match[str]) -> None:
    family = IPV6 if found[1] == "inet6" else IPV4
    rest = found[4]
    address = str(ipaddress.ip_address(found[2]))
    flags = frozenset(_WORDS[word] for word in rest.split() if word in _WORDS)
    entry = LiveAddress(
        current.name,
        address,
        int(found[3]) if found[3] else _prefix(family, rest),
        label if family == IPV4 else None,
        _scope(address, rest),
        flags,
        preferred_zero="deprecated" in flags,
    )
    if family == IPV4 or entry not in current.known:
        current.addresses.append(entry)
        current.known.add(entry)


def _prefix(family: int, rest: str) -> int:
    """Return the prefix length; a point-to-point line without a mask is a single address."""
    if length := _PREFIX.search(rest):
        return int(length[1])
    mask = _MASK.search(rest)
    if not mask:
        return MAX_PREFIX[family]
    if mask[1].startswith("0x"):
        return int(mask[1], 16).bit_count()
    return int(ipaddress.IPv4Address(mask[1])).bit_count()


def _scope(address: str, rest: str) -> str:
    if scope := _SCOPE.search(rest):
        return scope[1].lower()
    parsed = ipaddress.ip_address(address)
    if parsed.is_loopback:
        return "host"
    return "link" if parsed.is_link_local else "global"
