"""Addresses in a NetworkManager keyfile: read as the daemon reads them, edited in place.

The form is nm-settings-keyfile(5); the way values are read is that of
``libnm-core-impl/nm-keyfile.c``, checked against ``nmcli --offline`` 1.42 and 1.52. An
address stands in ``[ipv4]`` or ``[ipv6]`` under ``address``, ``addresses`` or either with
a number. The order is that of the numbers, not that of the lines, the first is the
primary, and what the daemon cannot read it leaves out without a word in any exit code.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import RefusedError, UnsupportedError
from ..model import IPV4, IPV6, MAX_PREFIX, Alias, canonical_address
from ..text import ini, read_number

SECTIONS = {IPV4: "ipv4", IPV6: "ipv6"}
#: Methods that take addresses beside their own; with any other the daemon refuses the
#: whole profile, or (``shared`` on IPv4) keeps the first address only.
METHODS = {IPV4: ("auto", "manual"), IPV6: ("auto", "dhcp", "manual")}
#: Types whose profile has no IP at all where its section is missing; all others mean auto.
_WITHOUT_IP = ("dummy", "wireguard")
#: Prefix length the daemon takes where none, or one that is too long, is written.
_DEFAULT_PREFIX = {IPV4: 24, IPV6: 64}
_MAX_NUMBER = 2**31 - 1
_KEY = re.compile(r"(address|addresses)(0|[1-9][0-9]*)?")
_ADDRESS_CHARACTERS = frozenset("0123456789abcdefABCDEF:.%")
_DIGITS = frozenset("0123456789")
_DELIMITERS = frozenset("/;,")


@dataclass(frozen=True)
class Slot:
    """Hold one assignment of an address.

    :param number: its place in the order; -1 where the key has no number.
    :param cidr: what the daemon takes it for; None where it leaves it out.
    :param bare: it says nothing but the address and its prefix.
    """

    entry: ini.Entry
    number: int
    cidr: str | None
    bare: bool


def slots(document: ini.Document, family: int) -> list[Slot]:
    """Return the addresses of a family in the daemon's order.

    Sections of one name are one section; of a key that comes twice the last one counts.
    """
    found: dict[str, tuple[tuple[int, str], Slot]] = {}
    for section in document.named(SECTIONS[family]):
        for entry in section.entries:
            key = _KEY.fullmatch(entry.key)
            number = read_number(key[2]) if key and key[2] else -1
            if key is None or number > _MAX_NUMBER:
                continue
            cidr, bare = read_address(entry.value, family)
            found[entry.key] = ((number, key[1]), Slot(entry, number, cidr, bare))
    return [slot for _, slot in sorted(found.values(), key=lambda pair: pair[0])]


def read_address(value: str, family: int) -> tuple[str | None, bool]:
    """Read a value as ``address/prefix``; also tell whether it says nothing else.

    The three delimiters are interchangeable and a trailing one is allowed. A prefix that
    is missing or too long becomes 24 or 64; a field with another character in it, where
    no later field takes it, makes the daemon leave the whole address out.
    """
    plain, _, digits = value.partition("/")
    if digits == str(MAX_PREFIX[family]) and canonical_address(plain) == plain:
        return (value, True) if (":" in plain) == (family == IPV6) else (None, False)
    address, rest, bad = _field(value, _ADDRESS_CHARACTERS)
    if bad or address is None:
        return None, False
    length, rest, _ = _field(rest, _DIGITS)
    gateway, rest, bad = _field(rest, _ADDRESS_CHARACTERS)
    if bad or rest:
        return None, False
    prefix = read_number(length) if length else _DEFAULT_PREFIX[family]
    if prefix > MAX_PREFIX[family]:
        prefix = _DEFAULT_PREFIX[family]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None, False
    if parsed.version != family or "%" in address:
        return None, False
    return f"{parsed}/{prefix}", not gateway


def _field(rest: str | None, characters: frozenset[str]) -> tuple[str | None, str | None, bool]:
    """Take a field; return it, what is left (None at the end) and whether it is spoilt.

    A field that cannot be read leaves everything for the next one.
    """
    if not rest:
        return None, rest, False
    end = next((n for n, character in enumerate(rest) if character not in characters), len(rest))
    if end == len(rest):
        return rest, None, False
    if rest[end] in _DELIMITERS:
        return rest[:end], rest[end + 1 :], False
    return None, rest, True


def value_of(document: ini.Document, sections: Iterable[str], key: str) -> str:
    """Return a setting; the last assignment counts. Empty where there is none."""
    value = ""
    for name in sections:
        for section in document.named(name):
            if entry := section.last(key):
                value = entry.value.strip()
    return value


def edit(
    document: ini.Document,
    family: int,
    aliases: Sequence[Alias],
    former: Iterable[Alias],
    tail: Sequence[tuple[str, str]],
) -> list[tuple[str, str]]:
    """Make the section of a family hold the aliases, and no longer the former ones.

    A section to add is returned for the caller to add once every other edit is made: it
    goes behind the last line, and an entry for that line's section must come before it.

    :param aliases: aliases of this family that shall be there.
    :param former: aliases of this family that may be taken out.
    :param tail: settings of a section made anew: what a missing one means.
    :returns: entries of the section to add; empty for none.
    :raises UnsupportedError: where the profile takes no addresses of this family.
    :raises RefusedError: where taking one out would lose a setting that is not ours.
    """
    wanted = {alias.cidr for alias in aliases}
    ours = {alias.cidr for alias in former}
    there = slots(document, family)
    gone = list(_gone(document, there, ours - wanted))
    taken = {slot.entry.key for slot in gone}
    left = [slot for slot in there if slot.entry.key not in taken]
    have = {slot.cidr for slot in left}
    added = [alias.cidr for alias in aliases if alias.cidr not in have]
    if added:
        _check(document, family)
    made = _made_by_us(document, family, ours, tail)
    if made is not None and (added or gone):
        document.remove_section(made)
        return _new_section([slot.cidr or "" for slot in left] + added, tail)
    if gone and not left and value_of(document, [SECTIONS[family]], "method") == "manual":
        raise RefusedError(
            f"{gone[-1].cidr} is the last address of [{SECTIONS[family]}], and NetworkManager"
            " refuses method=manual without one",
            where=f"{document.path}:{gone[-1].entry.line}",
            way_out="give the profile another address or another method first",
        )
    for slot in gone:
        document.remove_entry(slot.entry)
    sections = list(document.named(SECTIONS[family]))
    if not sections:
        return _new_section(added, tail)
    number = max((slot.number for slot in left), default=0)
    for step, cidr in enumerate(added, 1):
        document.insert_entry(sections[-1], f"address{_number(document, number, step)}", cidr)
    return []


def _number(document: ini.Document, last: int, step: int) -> int:
    number = max(last, 0) + step
    if number > _MAX_NUMBER:
        raise UnsupportedError(
            f"an address is numbered {last} and NetworkManager reads no higher number",
            where=document.path,
            way_out="number the addresses from 1",
        )
    return number


def _gone(document: ini.Document, there: Sequence[Slot], cidrs: set[str]) -> Iterator[Slot]:
    """Yield what to take out: of equal addresses the last one, where we put ours."""
    seen: set[str] = set()
    for slot in reversed(there):
        if slot.cidr is None or slot.cidr not in cidrs or slot.cidr in seen:
            continue
        seen.add(slot.cidr)
        if not slot.bare:
            raise RefusedError(
                f"{slot.entry.key}={slot.entry.value} was ours and now carries a gateway",
                where=f"{document.path}:{slot.entry.line}",
                way_out="move the gateway to a gateway= line, then run again",
            )
        yield slot


def _made_by_us(
    document: ini.Document, family: int, ours: set[str], tail: Sequence[tuple[str, str]]
) -> ini.Section | None:
    """Return the section of a family where it is one that we made.

    Known by its form: our addresses first, then nothing but what a missing section means.
    Where we add to somebody's section our addresses come last.
    """
    sections = list(document.named(SECTIONS[family]))
    if len(sections) != 1 or value_of(document, ["connection"], "type") in _WITHOUT_IP:
        return None
    entries = sections[0].entries
    head, end = entries[: -len(tail)], entries[-len(tail) :]
    if not head or [(entry.key, entry.value) for entry in end] != list(tail):
        return None
    ours_only = all(
        entry.key == f"address{number}" and entry.value in ours
        for number, entry in enumerate(head, 1)
    )
    return sections[0] if ours_only else None


def _new_section(cidrs: Sequence[str], tail: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    entries = [(f"address{number}", cidr) for number, cidr in enumerate(cidrs, 1)]
    return [*entries, *tail] if entries else []


def _check(document: ini.Document, family: int) -> None:
    """Refuse a profile in which the daemon would not bring our address up."""
    section = SECTIONS[family]
    for key in ("master", "controller", "slave-type", "port-type"):
        if owner := value_of(document, ["connection"], key):
            raise UnsupportedError(
                f"the profile has {key}={owner}: it belongs to another interface and has no"
                " addresses of its own",
                where=document.path,
                way_out="put the aliases on the interface it belongs to",
            )
    if value_of(document, ["connection"], "multi-connect") in ("2", "3"):
        raise UnsupportedError(
            "the profile may be active on several interfaces at once (multi-connect)",
            where=document.path,
            way_out="give the interface a profile of its own",
        )
    method = value_of(document, [section], "method")
    if any(document.named(section)):
        if method in METHODS[family]:
            return
        shown = f"method={method}" if method else "no method"
    else:
        kind = value_of(document, ["connection"], "type")
        if kind not in _WITHOUT_IP:
            return
        shown = f"no [{section}], which for {kind} means method=disabled"
    raise UnsupportedError(
        f"[{section}] takes no further address: the profile has {shown}",
        where=document.path,
        way_out=f"set method to {' or '.join(METHODS[family])} in [{section}]",
    )
