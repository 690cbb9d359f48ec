"""Read the pillar block ``ipalias`` into the model, refusing what cannot be meant.

Nothing is looked up on the host here; what depends on the host is checked in `checks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from .addresses import parse_item, refuse_duplicates
from .backends import REGISTRY
from .checks import GuardConfig, parse_guard
from .dsr import refuse_vips
from .errors import InputError
from .model import Alias, canonical_address
from .values import (
    Mixed,
    choice,
    mapping,
    parse_bool,
    parse_interface,
    refuse_unknown,
    short,
)

ROOT = "ipalias"
DEFAULT = "default"
AUTO = "auto"
PURGE = ("owned", "none", "all")
#: Keys of other components, read by them.
COMPONENTS = ("dsr", "wan", "dhcp", "sysctl", "fleet", "providers")
#: Read by the SLS (`ipalias/map.jinja`), not here.
SLS_KEYS = ("platform",)
SETTING_KEYS = (
    "backend",
    "purge",
    "adopt",
    "announce",
    "form",
    "check_duplicates",
    "restart",
    "convert_dhcp",
    "dns_servers",
)
#: How a dialect writes what it can write in several ways; each dialect knows its own.
FORMS = ("stanza", "post-up", "string", "array", "numbered", "list", "powershell", "netsh")
#: What the owner is told after a change: nothing, the gentlest, or a real restart.
RESTART = ("never", "alias", "interface", "network")
TOP_KEYS = ("interfaces", *SETTING_KEYS, "guard", *SLS_KEYS, *COMPONENTS)
INTERFACE_KEYS = ("addresses", *SETTING_KEYS)
ANNOUNCE_KEYS = ("count", "interval")


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
    restart: str = "alias"
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
    blocks = mapping(mapping(data, root).get("interfaces"), f"{root}:interfaces")
    return tuple(name if isinstance(name, str) else short(name) for name in blocks)


def parse_pillar(
    data: object,
    root: str = ROOT,
    system: str = "linux",
    faults: list[InputError] | None = None,
) -> Config:
    """Read the block ``ipalias`` of the pillar.

    :param data: the block as Salt gives it; None counts as empty.
    :param root: pillar path it was found at, for messages.
    :param system: the host's (`host.SYSTEMS`); it decides what an interface can be called.
    :param faults: gets what is wrong with addresses, in place of its being raised: they are
        left out then. For who needs the settings alone; these have to be right in any case.
    :raises InputError: an unknown key, a value of the wrong kind, an address that cannot
        be meant, the same address twice.
    """
    top = mapping(data, root)
    refuse_unknown(top, TOP_KEYS, root)
    base = _settings(top, InterfaceConfig(name="", where=root), root)
    blocks = mapping(top.get("interfaces"), f"{root}:interfaces")
    interfaces: dict[str, InterfaceConfig] = {}
    for name, block in blocks.items():
        name = parse_interface(name, f"{root}:interfaces", system)
        where = f"{root}:interfaces:{name}"
        interfaces[name] = _interface(name, mapping(block, where), base, where, faults)
    with _collected(faults):
        refuse_duplicates(alias for config in interfaces.values() for alias in config.aliases)
        if "dsr" in top:
            listed = (alias for config in interfaces.values() for alias in config.aliases)
            refuse_vips(listed, top["dsr"], root)
    return Config(interfaces, base, parse_guard(top.get("guard"), f"{root}:guard"))


@contextmanager
def _collected(faults: list[InputError] | None) -> Iterator[None]:
    """Put an error of addresses into a list, where there is one."""
    try:
        yield
    except InputError as error:
        if faults is None:
            raise
        faults.append(error)


def _interface(
    name: str,
    block: Mixed,
    base: InterfaceConfig,
    where: str,
    faults: list[InputError] | None = None,
) -> InterfaceConfig:
    """Read one interface's block."""
    refuse_unknown(block, INTERFACE_KEYS, where)
    config = _settings(block, replace(base, name=name, where=where), where)
    listed = block.get("addresses")
    path = f"{where}:addresses"
    if listed is None:
        listed = []
    aliases: list[Alias] = []
    if not isinstance(listed, (list, tuple)):
        with _collected(faults):
            raise InputError(
                f"{short(listed)} is not a list", where=path, way_out="start each address with `- `"
            )
        listed = []
    if faults is None:
        # Ten thousand of them: a context for each would take as long as reading them.
        for index, item in enumerate(listed):
            aliases.extend(parse_item(item, name, f"{path}[{index}]"))
    else:
        for index, item in enumerate(listed):
            with _collected(faults):
                aliases.extend(parse_item(item, name, f"{path}[{index}]"))
    return replace(config, aliases=tuple(aliases))


def _settings(block: Mixed, base: InterfaceConfig, where: str) -> InterfaceConfig:
    """Read the settings that may stand at the top and at each interface."""
    config = base
    if "backend" in block:
        choices = (AUTO, *REGISTRY)
        config = replace(config, backend=choice(block["backend"], choices, f"{where}:backend"))
    if "purge" in block:
        config = replace(config, purge=choice(block["purge"], PURGE, f"{where}:purge"))
    if "adopt" in block:
        config = replace(config, adopt=parse_bool(block["adopt"], f"{where}:adopt"))
    if "announce" in block:
        config = replace(config, announce=parse_announce(block["announce"], f"{where}:announce"))
    if "check_duplicates" in block:
        path = f"{where}:check_duplicates"
        config = replace(config, check_duplicates=parse_bool(block["check_duplicates"], path))
    if "form" in block:
        form = choice(block["form"], FORMS, f"{where}:form")
        config = replace(config, options={**config.options, "form": form})
    if "restart" in block:
        config = replace(config, restart=choice(block["restart"], RESTART, f"{where}:restart"))
    if "convert_dhcp" in block:
        convert = parse_bool(block["convert_dhcp"], f"{where}:convert_dhcp")
        config = replace(config, options={**config.options, "convert_dhcp": convert})
    if "dns_servers" in block:
        servers = _servers(block["dns_servers"], f"{where}:dns_servers")
        config = replace(config, options={**config.options, "dns_servers": servers})
    return config


def _servers(value: object, where: str) -> tuple[str, ...]:
    """Read a list of name servers: addresses, never names."""
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= 8:
        raise InputError(f"{short(value)} is not a list of 1 to 8 addresses", where=where)
    found = [canonical_address(item) if isinstance(item, str) else None for item in value]
    for index, (item, address) in enumerate(zip(value, found, strict=True)):
        if address is None:
            raise InputError(f"{short(item)} is not an IP address", where=f"{where}[{index}]")
    return tuple(str(address) for address in found)


def parse_announce(value: object, where: str) -> Announce:
    """Read how new addresses are announced: a count, or count and interval (seconds).

    :raises InputError: count outside 0-60, interval outside 0-10.
    """
    block: Mixed = {"count": value} if isinstance(value, int) else mapping(value, where)
    refuse_unknown(block, ANNOUNCE_KEYS, where)
    count, interval = block.get("count", 2), block.get("interval", 0.2)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 60:
        raise InputError(f"count {short(count)} is not 0 to 60", where=where)
    if (
        isinstance(interval, bool)
        or not isinstance(interval, (int, float))
        or not 0 <= interval <= 10
    ):
        raise InputError(f"interval {short(interval)} is not 0 to 10 seconds", where=where)
    return Announce(count, float(interval))


def iter_aliases(config: Config) -> Iterator[Alias]:
    """Yield every alias of the pillar, in order."""
    for interface in config.interfaces.values():
        yield from interface.aliases
