"""What stands in ``ifconfig_IF_alias0`` and its kin: read as ``network.subr`` and ifconfig do.

A value is words in sections, each begun by an address family: ``inet 192.0.2.9/32 inet6
2001:db8::9 prefixlen 128``. ``network.subr`` cuts it there (ifalias_af_common), expands ranges
(ifalias_expand_addr_inet: the first address has the prefix and the others are /32, but a
``netmask`` is that of all) and gives the rest to ifconfig(8). A mask that is missing is that of
the address's class (``af_inet.c``, in_setdefaultmask), a prefix length of IPv6 64
(``af_inet6.c``, in6_postproc).
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..live.bsd import has_broadcast
from ..model import IPV4, IPV6, SOURCE_AUTO, SOURCE_NEVER, Alias, canonical_address

FAMILIES = ("inet", "inet6", "link", "ether")
#: ``netif_ipexpand_max``: a range goes on for two more addresses than that.
_MOST = 2048 + 2
_TOKEN = re.compile(r"[^ \t\n]+")
_RANGE4 = re.compile(r"((?:[0-9]+\.)*)([0-9]{1,3})-([0-9]{1,3})((?:\.[0-9]+)*)")
_RANGE6 = re.compile(r"([0-9A-Fa-f:]*:)([0-9A-Fa-f]{1,4})-([0-9A-Fa-f]{1,4})((?::[0-9A-Fa-f]+)*)")
_NUMBER = re.compile(r"[0-9]{1,3}")
#: Words of a section that an alias of ours could have as well, and whether a value follows.
_PLAIN = {
    "netmask": True,
    "prefixlen": True,
    "broadcast": True,
    "alias": False,
    "deprecated": False,
}


@dataclass(frozen=True)
class Section:
    """Hold one section of a value.

    :param start: index in the value of its first character; `end` is behind its last.
    :param aliases: the addresses it sets; none where ifconfig would refuse it.
    :param plain: it sets one address, and nothing that is more than an alias would be.
    """

    family: str
    start: int
    end: int
    aliases: tuple[Alias, ...] = ()
    plain: bool = False


def parse_sections(value: str, interface: str, default: str = "") -> list[Section]:
    """Cut a value into its sections.

    :param default: family of words in front of the first; without one they are left out.
    """
    sections: list[Section] = []
    words: list[re.Match[str]] = []
    family = default
    for match in _TOKEN.finditer(value):
        if match[0] in FAMILIES:
            sections += _section(family, words, interface)
            family, words = match[0], [match]
        else:
            words.append(match)
    return [*sections, *_section(family, words, interface)]


def _section(family: str, words: Sequence[re.Match[str]], interface: str) -> Iterator[Section]:
    if not words or not family:
        return
    texts = [match[0] for match in words if match[0] not in FAMILIES]
    aliases: tuple[Alias, ...] = ()
    if family in ("inet", "inet6"):
        aliases = _parse_words(IPV6 if family == "inet6" else IPV4, texts, interface)
    plain = len(aliases) == 1 and _is_plain(texts)
    yield Section(family, words[0].start(), words[-1].end(), aliases, plain)


def _is_plain(words: Sequence[str]) -> bool:
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word not in _PLAIN or (_PLAIN[word] and not rest):
            return False
        if _PLAIN[word]:
            rest.pop(0)
    return "-" not in words[0]


def _parse_words(family: int, words: Sequence[str], interface: str) -> tuple[Alias, ...]:
    """Read the address of a section, wherever among the words it stands."""
    told = dict(itertools.pairwise(words))
    taken = {told[word] for word in ("netmask", "broadcast", "prefixlen") if word in told}
    source = SOURCE_NEVER if family == IPV6 and "deprecated" in words else SOURCE_AUTO
    for word in words:
        if word in taken and words.count(word) == 1:
            continue
        address, slash, length = word.partition("/")
        expanded = list(_expand(family, address))
        if not expanded:
            if (_RANGE4 if family == IPV4 else _RANGE6).fullmatch(address):
                return ()
            continue
        prefix = _prefix(family, expanded[0], length if slash else None, told, len(expanded) > 1)
        if prefix is None:
            return ()
        rest = 32 if family == IPV4 and "netmask" not in told else prefix
        return tuple(
            Alias(each, rest if index else prefix, interface, source=source)
            for index, each in enumerate(expanded)
        )
    return ()


def _expand(family: int, text: str) -> Iterator[str]:
    """Yield an address, or each one of a range ``192.0.2.5-9``."""
    found = (_RANGE4 if family == IPV4 else _RANGE6).fullmatch(text)
    if found is None:
        address = canonical_address(text)
        if address is not None and (":" in address) == (family == IPV6):
            yield address
        return
    base = 10 if family == IPV4 else 16
    low, high = int(found[2], base), int(found[3], base)
    for number in range(low, min(high, low + _MOST - 1) + 1):
        middle = str(number) if family == IPV4 else f"{number:04x}"
        address = canonical_address(f"{found[1]}{middle}{found[4]}")
        if address is None:
            return
        yield address


def _prefix(
    family: int, address: str, length: str | None, told: dict[str, str], several: bool
) -> int | None:
    """Return the prefix length, or None for one that ifconfig refuses."""
    if "prefixlen" in told and family == IPV6:
        length = told["prefixlen"]
    if "netmask" in told and family == IPV4:
        return _mask(told["netmask"])
    if length is not None:
        good = _NUMBER.fullmatch(length) and int(length) <= (32 if family == IPV4 else 128)
        return int(length) if good else None
    if family == IPV6:
        return 64
    if several:
        return 32
    first = int(address.partition(".")[0])
    return 8 if first < 128 else 16 if first < 192 else 24


def _mask(text: str) -> int | None:
    """Return the prefix length of a mask, dotted or in hexadecimal."""
    try:
        number = int(text, 16) if text[:2] == "0x" else int(ipaddress.IPv4Address(text))
    except ValueError:
        return None
    bits = number.bit_count()
    return bits if number == (1 << 32) - (1 << (32 - bits)) else None


def render_numbered(alias: Alias) -> str:
    """Return the value of an ``_aliasN``: the guide's form."""
    if alias.family == IPV6:
        hidden = " deprecated" if alias.never_source else ""
        return f"inet6 {alias.address} prefixlen {alias.prefix}{hidden}"
    broadcast = f" broadcast {alias.broadcast}" if has_broadcast(alias) else ""
    return f"inet {alias.address} netmask {alias.netmask}{broadcast}"


def render_listed(alias: Alias) -> str:
    """Return the section for ``_aliases``."""
    hidden = " deprecated" if alias.never_source else ""
    return f"{'inet6' if alias.family == IPV6 else 'inet'} {alias.cidr}{hidden}"
