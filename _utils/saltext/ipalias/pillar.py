"""Read the pillar block ``ipalias`` into the model, refusing what cannot be meant.

Nothing is looked up on the host here; what depends on the host is checked in `checks`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from .backends import REGISTRY
from .checks import GuardConfig, parse_guard
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

ROOT = "ipalias"
DEFAULT = "default"
AUTO = "auto"
PURGE = ("owned", "none", "all")
SOURCES = (SOURCE_AUTO, SOURCE_NEVER)
#: A range or block longer than this is a slip of the pen, not a wish.
MAX_EXPANSION = 65536
#: Keys of other components, read by them.
COMPONENTS = ("dsr", "wan", "dhcp", "sysctl", "fleet", "providers")
#: Read by the SLS (`ipalias/map.jinja`), not here.
SLS_KEYS = ("platform",)
TOP_KEYS = (
    "backend",
    "interfaces",
    "purge",
    "adopt",
    "announce",
    "form",
    *SLS_KEYS,
    "check_duplicates",
    "guard",
    *COMPONENTS,
)
INTERFACE_KEYS = ("addresses", "backend", "purge", "adopt", "announce", "form", "check_duplicates")
ADDRESS_KEYS = ("address", "block", "label", "source")
ANNOUNCE_KEYS = ("count", "interval")

#: First octet from which on IPv4 addresses are for groups, or reserved.
_FIRST_MULTICAST = 224
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_PREFIX = re.compile(r"[0-9]{1,3}")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")

Mixed = Mapping[object, object]


@dataclass(frozen=True)
class Announce:
    """Say how often and how far apart new addresses are announced (seconds)."""

    count: int = 2
    interval: float = 0.2


@dataclass(frozen=True)
class InterfaceConfig:
    """Hold one interface's block of the pillar.

    :param name: name as in the pillar, maybe ``default``.
    :param aliases: its addresses; their interface is `name`.
    :param where: pillar path of the block.
    """

    name: str
    where: str
    aliases: tuple[Alias, ...] = ()
    backend: str = AUTO
    purge: str = "owned"
    adopt: bool = False
    announce: Announce = field(default_factory=Announce)
    check_duplicates: bool = True
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """Hold the alias part of the pillar."""

    interfaces: Mapping[str, InterfaceConfig] = field(default_factory=dict)
    base: InterfaceConfig = field(default_factory=lambda: InterfaceConfig(name="", where=ROOT))
    guard: GuardConfig = field(default_factory=GuardConfig)


def interface_names(data: object, root: str = ROOT) -> tuple[str, ...]:
    """Return the names under ``interfaces``, without a look at their addresses.

    :raises InputError: the block or its interfaces are no mapping.
    """
    blocks = _mapping(_mapping(data, root).get("interfaces"), f"{root}:interfaces")
    return tuple(str(name) for name in blocks)


def parse_pillar(data: object, root: str = ROOT) -> Config:
    """Read the block ``ipalias`` of the pillar.

    :param data: the block as Salt gives it; None counts as empty.
    :param root: pillar path it was found at, for messages.
    :raises InputError: an unknown key, a value of the wrong kind, an address that cannot
        be meant, the same address twice.
    """
    top = _mapping(data, root)
    _known(top, TOP_KEYS, root)
    base = _settings(top, InterfaceConfig(name="", where=root), root)
    blocks = _mapping(top.get("interfaces"), f"{root}:interfaces")
    interfaces: dict[str, InterfaceConfig] = {}
    for name, block in blocks.items():
        where = f"{root}:interfaces:{name}"
        if not isinstance(name, str) or not _INTERFACE.fullmatch(name):
            raise InputError(
                f"{name!r} is not an interface name",
                where=f"{root}:interfaces",
                way_out="give the name that `ip link` shows, or `default`",
            )
        interfaces[name] = _interface(name, _mapping(block, where), base, where)
    refuse_duplicates(alias for config in interfaces.values() for alias in config.aliases)
    return Config(interfaces, base, parse_guard(top.get("guard"), f"{root}:guard"))


def _interface(name: str, block: Mixed, base: InterfaceConfig, where: str) -> InterfaceConfig:
    """Read one interface's block."""
    _known(block, INTERFACE_KEYS, where)
    config = _settings(block, replace(base, name=name, where=where), where)
    listed = block.get("addresses")
    path = f"{where}:addresses"
    if listed is None:
        listed = []
    if not isinstance(listed, (list, tuple)):
        raise InputError(
            f"{_short(listed)} is not a list", where=path, way_out="start each address with `- `"
        )
    aliases: list[Alias] = []
    for index, item in enumerate(listed):
        aliases.extend(parse_item(item, name, f"{path}[{index}]"))
    return replace(config, aliases=tuple(aliases))


def _settings(block: Mixed, base: InterfaceConfig, where: str) -> InterfaceConfig:
    """Read the settings that may stand at the top and at each interface."""
    config = base
    if "backend" in block:
        choices = (AUTO, *REGISTRY)
        config = replace(config, backend=_choice(block["backend"], choices, f"{where}:backend"))
    if "purge" in block:
        config = replace(config, purge=_choice(block["purge"], PURGE, f"{where}:purge"))
    if "adopt" in block:
        config = replace(config, adopt=parse_bool(block["adopt"], f"{where}:adopt"))
    if "announce" in block:
        config = replace(config, announce=parse_announce(block["announce"], f"{where}:announce"))
    if "check_duplicates" in block:
        path = f"{where}:check_duplicates"
        config = replace(config, check_duplicates=parse_bool(block["check_duplicates"], path))
    if "form" in block:
        form = _choice(block["form"], ("stanza", "post-up"), f"{where}:form")
        config = replace(config, options={**config.options, "form": form})
    return config


def parse_item(item: object, interface: str, where: str) -> list[Alias]:
    """Read one item of an address list: a string, a range, or a mapping.

    :raises InputError: see `parse_pillar`.
    """
    if isinstance(item, str):
        if "-" in item:
            return _range(item, interface, where)
        address, prefix = parse_cidr(item, where)
        return [Alias(address, prefix, interface, where=where)]
    block = _mapping(item, where)
    _known(block, ADDRESS_KEYS, where)
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
        source = _choice(block["source"], SOURCES, f"{where}:source")
    if "block" in block:
        if label is not None:
            _refuse_shared_label(label, "block", where)
        aliases = _block(block["block"], interface, where)
    else:
        address_where = f"{where}:address"
        text = block["address"]
        if not isinstance(text, str):
            raise InputError(f"{_short(text)} is not an IP address", where=address_where)
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
        raise InputError(f"{_short(text)} is not an IP address", where=where)
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
            f"{_short(text)} has no readable prefix length",
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
            f"{_short(text)} is not an IP address",
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
            f"{_short(text)} has a prefix in a range",
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
            f"{_short(text)} is not a block", where=path, way_out="write NETWORK/PREFIX"
        )
    body, _, tail = text.partition("/")
    parsed = _address(body, text, path)
    if not _PREFIX.fullmatch(tail) or not 1 <= int(tail) <= parsed.max_prefixlen:
        raise InputError(
            f"{_short(text)} has no readable prefix length",
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
        raise InputError(f"{_short(value)} is not a label", where=where)
    text = str(value)
    if len(text) > MAX_LABEL:
        raise InputError(
            f"label {_short(text)} has {len(text)} characters",
            where=where,
            way_out=f"Linux takes at most {MAX_LABEL}",
        )
    if not _LABEL.fullmatch(text):
        raise InputError(
            f"label {_short(text)} has a forbidden character",
            where=where,
            way_out="use letters, digits, `_`, `.`, `-`, and `:` after the interface's name",
        )
    return text


def parse_interface(value: object, where: str) -> str:
    """Read an interface name, or ``default``.

    :raises InputError: not a name that an interface can have.
    """
    if not isinstance(value, str) or not _INTERFACE.fullmatch(value):
        raise InputError(
            f"{_short(value)} is not an interface name",
            where=where,
            way_out="give the name that `ip link` shows, or `default`",
        )
    return value


def parse_bool(value: object, where: str) -> bool:
    """Read a truth value.

    :raises InputError: anything but true or false.
    """
    if not isinstance(value, bool):
        raise InputError(f"{_short(value)} is not true or false", where=where)
    return value


def parse_announce(value: object, where: str) -> Announce:
    """Read how new addresses are announced: a count, or count and interval (seconds).

    :raises InputError: count outside 0-60, interval outside 0-10.
    """
    block: Mixed = {"count": value} if isinstance(value, int) else _mapping(value, where)
    _known(block, ANNOUNCE_KEYS, where)
    count, interval = block.get("count", 2), block.get("interval", 0.2)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 60:
        raise InputError(f"count {_short(count)} is not 0 to 60", where=where)
    if (
        isinstance(interval, bool)
        or not isinstance(interval, (int, float))
        or not 0 <= interval <= 10
    ):
        raise InputError(f"interval {_short(interval)} is not 0 to 10 seconds", where=where)
    return Announce(count, float(interval))


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


def _mapping(value: object, where: str) -> Mixed:
    """Return a mapping; None counts as empty."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{_short(value)} is not a mapping", where=where)
    return value


def _known(block: Mixed, keys: Iterable[str], where: str) -> None:
    """Refuse an unknown key, naming the nearest known one."""
    known = tuple(keys)
    for key in block:
        if key not in known:
            near = difflib.get_close_matches(str(key)[:80], known, n=1)
            way_out = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
            raise InputError(f"unknown key {_short(key)}", where=where, way_out=way_out)


def _choice(value: object, choices: Iterable[str], where: str) -> str:
    """Return one of several words."""
    listed = tuple(choices)
    if not isinstance(value, str) or value not in listed:
        near = difflib.get_close_matches(str(value)[:80], listed, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        raise InputError(
            f"{_short(value)} is unknown", where=where, way_out=f"{hint}one of {', '.join(listed)}"
        )
    return value


def _short(value: object) -> str:
    """Return a value for a message: quoted, control characters escaped, bounded."""
    text = ascii(value) if not isinstance(value, (Mapping, list)) else type(value).__name__
    return text if len(text) <= 80 else f"{text[:77]}..."


def iter_aliases(config: Config) -> Iterator[Alias]:
    """Yield every alias of the pillar, in order."""
    for interface in config.interfaces.values():
        yield from interface.aliases
