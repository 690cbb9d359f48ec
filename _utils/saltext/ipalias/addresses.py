"""Read what names an address: single, with a prefix, a range, a block, a label."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from .errors import InputError
from .model import (
    IPV4,
    IPV6,
    MAX_LABEL,
    MAX_PREFIX,
    SOURCE_AUTO,
    SOURCE_NEVER,
    Alias,
    canonical_address,
)
from .values import choice, mapping, refuse_unknown, short

SOURCES = (SOURCE_AUTO, SOURCE_NEVER)
#: A range or block longer than this is a slip of the pen, not a wish.
MAX_EXPANSION = 65536
ADDRESS_KEYS = ("address", "block", "label", "source")
#: First octet from which on IPv4 addresses are for groups, or reserved.
_FIRST_MULTICAST = 224
_LONGEST_NETWORK = 64
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_PREFIX = re.compile(r"[0-9]{1,3}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")


def parse_item(item: object, interface: str, where: str) -> list[Alias]:
    """Read one item of an address list: a string, a range, or a mapping.

    :raises InputError: see `parse_pillar`.
    """
    if isinstance(item, str):
        if "-" in item:
            return _range(item, interface, where)
        address, prefix = parse_cidr(item, where)
        return [Alias(address, prefix, interface, where=where)]
    block = mapping(item, where)
    refuse_unknown(block, ADDRESS_KEYS, where)
    if ("address" in block) == ("block" in block):
        raise InputError(
            "an address mapping has either `address` or `block`",
            where=where,
            way_out="write {address: 198.51.100.11/32} or {block: 203.0.113.16/28}",
        )
    label = None
    if block.get("label") is not None:
        label = parse_label(block["label"], f"{where}:label")
    source = SOURCE_AUTO
    if "source" in block:
        source = choice(block["source"], SOURCES, f"{where}:source")
    if "block" in block:
        if label is not None:
            _refuse_shared_label(label, "block", where)
        aliases = _block(block["block"], interface, where)
    else:
        address_where = f"{where}:address"
        text = block["address"]
        if not isinstance(text, str):
            raise InputError(f"{short(text)} is not an IP address", where=address_where)
        if "-" in text:
            if label is not None:
                _refuse_shared_label(label, "range", where)
            aliases = _range(text, interface, where)
        else:
            address, prefix = parse_cidr(text, address_where)
            aliases = [Alias(address, prefix, interface, where=where)]
    if label is None and source == SOURCE_AUTO:
        return aliases
    return [replace(alias, label=label, source=source) for alias in aliases]


def _refuse_shared_label(label: str, form: str, where: str) -> None:
    """Refuse one label for several addresses."""
    raise InputError(
        f"label {label!r} on a {form} would name several addresses alike",
        where=f"{where}:label",
        way_out="list the addresses one by one to label them",
    )


def parse_cidr(text: object, where: str) -> tuple[str, int]:
    """Read ``address`` or ``address/prefix``; without a prefix it is /32 or /128.

    A prefix never expands: ``198.51.100.64/28`` is refused because its host part is
    empty, and the message names ``block``.

    :raises InputError: not an address, prefix out of range, or an address that no
        interface can have.
    """
    if not isinstance(text, str):
        raise InputError(f"{short(text)} is not an IP address", where=where)
    body, slash, tail = text.partition("/")
    plain = _plain(body)
    if plain is not None and (not slash or tail == str(MAX_PREFIX[plain[1]])):
        return plain[0], MAX_PREFIX[plain[1]]
    parsed = _address(body, text, where)
    longest = parsed.max_prefixlen
    if not slash:
        return str(parsed), longest
    if not _PREFIX.fullmatch(tail):
        raise InputError(
            f"{short(text)} has no readable prefix length",
            where=where,
            way_out=f"write a number from 1 to {longest} after the slash",
        )
    prefix = int(tail)
    if not 1 <= prefix <= longest:
        raise InputError(
            f"{text} has prefix length {prefix}",
            where=where,
            way_out=f"an IPv{parsed.version} prefix length is 1 to {longest}",
        )
    if prefix < longest - 1:
        _refuse_edges(parsed, prefix, text, where)
    return str(parsed), prefix


def parse_host(value: object, where: str) -> tuple[str, int]:
    """Read one address that a host can have, without a prefix.

    :returns: canonical form and family.
    :raises InputError: anything else.
    """
    if not isinstance(value, str):
        raise InputError(f"{short(value)} is not an IP address", where=where)
    parsed = _address(value, value, where)
    return str(parsed), parsed.version


def parse_network(value: object, where: str) -> tuple[str, int]:
    """Read a network with its prefix length.

    :returns: canonical form and family.
    :raises InputError: no network, or one whose address has bits behind its prefix.
    """
    if isinstance(value, str) and "/" in value and len(value) < _LONGEST_NETWORK:
        try:
            network = ip_network(value)
        except ValueError:
            network = None
        if network is not None:
            return str(network), network.version
    raise InputError(
        f"{short(value)} is not a network",
        where=where,
        way_out="write its first address and the prefix length, such as 192.0.2.0/24",
    )


def parse_named(text: object, where: str) -> tuple[str, int | None]:
    """Read an address that names an alias: its prefix may be left out.

    :raises InputError: not an address.
    """
    if isinstance(text, str) and "/" not in text:
        return str(_address(text.strip(" "), text, where)), None
    return parse_cidr(text, where)


def _refuse_edges(parsed: IPv4Address | IPv6Address, prefix: int, text: str, where: str) -> None:
    """Refuse the network address of a prefix (and IPv4's broadcast address)."""
    network = ip_network((parsed, prefix), strict=False)
    if parsed == network.network_address:
        raise InputError(
            f"{text} is a network, not an address",
            where=where,
            way_out=f"write {{block: {text}}} for each address of it as a single alias, "
            "or one address with its prefix",
        )
    if parsed.version == IPV4 and parsed == network.broadcast_address:
        raise InputError(
            f"{text} is the broadcast address of {network}",
            where=where,
            way_out=f"write {parsed} without a prefix if the address itself is meant",
        )


def _plain(text: str) -> tuple[str, int] | None:
    """Return address and family of what is beyond doubt an address that a host can have.

    None for everything else, which `_address` then reads, and refuses by its kind.
    """
    address = canonical_address(text)
    if address is None or address[0] == ":" or address.startswith("ff"):
        return None
    if ":" in address:
        return address, IPV6
    return (address, IPV4) if 1 <= int(address.partition(".")[0]) < _FIRST_MULTICAST else None


def _address(body: str, text: str, where: str) -> IPv4Address | IPv6Address:
    """Read an address and refuse those that no interface can have."""
    parsed: IPv4Address | IPv6Address | None = None
    if _ADDRESS.fullmatch(body):
        try:
            parsed = ip_address(body)
        except ValueError:
            parsed = None
    if parsed is None:
        raise InputError(
            f"{short(text)} is not an IP address",
            where=where,
            way_out="write an address such as 198.51.100.10, 198.51.100.10/32 or 2001:db8::10",
        )
    kind = ""
    if parsed.is_multicast:
        kind = "a multicast address"
    elif parsed.is_unspecified or (parsed.version == IPV4 and int(parsed) < 1 << 24):
        kind = "an unspecified address"
    elif parsed.version == IPV4 and int(parsed) == (1 << 32) - 1:
        kind = "the limited broadcast address"
    elif parsed.version != IPV4 and int(parsed) != 1 and int(parsed) < 1 << 48:
        # ::/80 holds the IPv4-compatible and IPv4-mapped forms, which no interface carries.
        kind = "an embedded IPv4 address"
    if kind:
        raise InputError(
            f"{text} is {kind}", where=where, way_out="give an address that one host can have"
        )
    return parsed


def _range(text: str, interface: str, where: str) -> list[Alias]:
    """Read ``FIRST-LAST``; each address of it is a /32 or /128."""
    first_text, _, last_text = text.partition("-")
    if "/" in text:
        raise InputError(
            f"{short(text)} has a prefix in a range",
            where=where,
            way_out="write FIRST-LAST without prefixes, or {block: NETWORK/PREFIX}",
        )
    first = _address(first_text.strip(" "), text, where)
    last = _address(last_text.strip(" "), text, where)
    if first.version != last.version or int(last) < int(first):
        raise InputError(
            f"{text} does not run from a lower to a higher address of one family",
            where=where,
            way_out="write FIRST-LAST, lower address first",
        )
    _bounded(int(last) - int(first) + 1, text, where)
    return _singles(type(first), range(int(first), int(last) + 1), interface, where)


def _block(text: object, interface: str, where: str) -> list[Alias]:
    """Read a provider's block; each address of it is a /32 or /128."""
    path = f"{where}:block"
    if not isinstance(text, str) or "/" not in text:
        raise InputError(
            f"{short(text)} is not a block", where=path, way_out="write NETWORK/PREFIX"
        )
    body, _, tail = text.partition("/")
    parsed = _address(body, text, path)
    if not _PREFIX.fullmatch(tail) or not 1 <= int(tail) <= parsed.max_prefixlen:
        raise InputError(
            f"{short(text)} has no readable prefix length",
            where=path,
            way_out=f"write a number from 1 to {parsed.max_prefixlen} after the slash",
        )
    _bounded(1 << (parsed.max_prefixlen - int(tail)), text, path)
    network = ip_network((parsed, int(tail)), strict=False)
    if network.network_address != parsed:
        raise InputError(
            f"{text} does not start at its network address",
            where=path,
            way_out=f"write {network}",
        )
    first = int(parsed)
    return _singles(type(parsed), range(first, first + network.num_addresses), interface, where)


def _singles(
    kind: type[IPv4Address] | type[IPv6Address], numbers: Iterable[int], interface: str, where: str
) -> list[Alias]:
    """Return single-address aliases for consecutive numbers."""
    prefix = MAX_PREFIX[4 if kind is IPv4Address else 6]
    return [Alias(str(kind(number)), prefix, interface, where=where) for number in numbers]


def _bounded(count: int, text: str, where: str) -> None:
    """Refuse an expansion that cannot be meant."""
    if count > MAX_EXPANSION:
        raise InputError(
            f"{text} has {count} addresses",
            where=where,
            way_out=f"a range or block holds at most {MAX_EXPANSION}",
        )


def parse_label(value: object, where: str) -> str:
    """Read a label: letters, digits, ``_ . : -``; its length is checked on the live form.

    :raises InputError: another character, or longer than any live label can be.
    """
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise InputError(f"{short(value)} is not a label", where=where)
    text = value if isinstance(value, str) else short(value)
    if len(text) > MAX_LABEL:
        raise InputError(
            f"label {short(text)} has {len(text)} characters",
            where=where,
            way_out=f"Linux takes at most {MAX_LABEL}",
        )
    if not _LABEL.fullmatch(text):
        raise InputError(
            f"label {short(text)} has a forbidden character",
            where=where,
            way_out="use letters, digits, `_`, `.`, `-`, and `:` after the interface's name",
        )
    return text


def refuse_duplicates(aliases: Iterable[Alias]) -> None:
    """Refuse an address that stands twice, whatever its prefix or interface.

    :raises InputError: naming both places.
    """
    seen: dict[str, Alias] = {}
    for alias in aliases:
        first = seen.setdefault(alias.address, alias)
        if first is not alias:
            raise InputError(
                f"{alias.cidr} already stands at {first.where}",
                where=alias.where,
                way_out="list each address once",
            )
