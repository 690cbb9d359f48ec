"""Read netplan's YAML: which files count, what they define, which definition is a link's.

netplan reads the files of three folders by base name, lists growing from file to file
(netplan(5), seen on 0.106 and 1.1). A definition's id need not be the link's name.
"""

from __future__ import annotations

import ipaddress
import os.path
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from ..errors import ParseError
from ..host import Host
from ..model import (
    IPV4,
    IPV6,
    MAX_PREFIX,
    SOURCE_AUTO,
    SOURCE_NEVER,
    Alias,
    Found,
    canonical_address,
)
from ..text import read_number, yamledit
from .networkd_files import LinkFacts, canonical_mac, driver_of, globs_match

#: Folders of configuration; a file hides those of the same name in later folders.
FOLDERS = ("/etc/netplan", "/run/netplan", "/usr/lib/netplan", "/lib/netplan")
PHYSICAL = ("ethernets", "wifis", "modems")
#: Sections whose definitions take addresses, in the order our file has them.
SECTIONS = (
    *PHYSICAL,
    "bonds",
    "bridges",
    "dummy-devices",
    "tunnels",
    "virtual-ethernets",
    "vlans",
)
#: First words of our file, by which it is known again under any name.
HEAD = "# Aliases of this host: "
NETWORKD = "networkd"
NETWORK_MANAGER = "NetworkManager"


@dataclass(frozen=True)
class Item:
    """Hold one item of an ``addresses:`` list.

    :param index: place in its own file's list, counted from 0.
    """

    text: str
    options: tuple[tuple[str, str], ...]
    path: str
    line: int
    index: int


@dataclass
class Netdef:
    """Hold one definition, merged over all files."""

    section: str
    id: str
    items: list[Item] = field(default_factory=list)
    renderer: str = ""
    match: dict[str, str] | None = None
    set_name: str = ""
    paths: list[str] = field(default_factory=list)


@dataclass
class Configuration:
    """Hold what all files together say.

    :param ours: files that begin with our head.
    :param names: base names of the foreign files.
    """

    netdefs: dict[tuple[str, str], Netdef] = field(default_factory=dict)
    renderer: str = ""
    ours: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def renderer_of(self, netdef: Netdef) -> str:
        """Return the back end of a definition."""
        return netdef.renderer or self.renderer or NETWORKD

    def foreign(self, netdef: Netdef) -> bool:
        """Tell whether a file that is not ours defines it."""
        return any(path not in self.ours for path in netdef.paths)


def read_configuration(host: Host) -> Configuration:
    """Read every file that counts, in netplan's order.

    :raises ParseError: for a file that is not YAML.
    """
    chosen: dict[str, str] = {}
    for folder in FOLDERS:
        for path in host.glob(f"{folder}/*.yaml"):
            chosen.setdefault(os.path.basename(path), path)
    configuration = Configuration()
    for name in sorted(chosen, key=os.fsencode):
        path = chosen[name]
        text = host.read(path) or ""
        if path.startswith(FOLDERS[0]) and text.startswith(HEAD):
            configuration.ours.append(path)
        else:
            configuration.names.append(name)
        _read_file(configuration, text, path)
    return configuration


def _read_file(configuration: Configuration, text: str, path: str) -> None:
    network = yamledit.child(yamledit.compose(text, path), "network")
    for key, value in yamledit.pairs(network):
        if key.value == "renderer":
            configuration.renderer = str(value.value)
        if not isinstance(value, yaml.MappingNode):
            continue
        default = _scalar(value, "renderer")
        for name, body in yamledit.pairs(value):
            if name.value != "renderer":
                _read_netdef(configuration, (key.value, name.value), body, path, default)


def _read_netdef(
    configuration: Configuration, key: tuple[str, str], body: yaml.Node, path: str, default: str
) -> None:
    netdef = configuration.netdefs.setdefault(key, Netdef(*key))
    netdef.paths.append(path)
    netdef.renderer = _scalar(body, "renderer") or netdef.renderer or default
    netdef.set_name = _scalar(body, "set-name") or netdef.set_name
    match = yamledit.child(body, "match")
    if match is not None:
        merged = netdef.match or {}
        merged.update((name.value, str(value.value)) for name, value in yamledit.pairs(match))
        netdef.match = merged
    plain = {item.text for item in netdef.items if not item.options}
    for item in read_items(yamledit.child(body, "addresses"), path):
        if item.options or item.text not in plain:  # netplan takes an equal one once
            netdef.items.append(item)


def _scalar(node: yaml.Node, key: str) -> str:
    found = yamledit.child(node, key)
    return str(found.value) if isinstance(found, yaml.ScalarNode) else ""


def read_items(sequence: yaml.Node | None, path: str) -> Iterator[Item]:
    """Yield the items of an ``addresses:`` list."""
    if not isinstance(sequence, yaml.SequenceNode):
        return
    for index, node in enumerate(sequence.value):
        line = yamledit.line_of(node)
        if isinstance(node, yaml.ScalarNode):
            yield Item(str(node.value), (), path, line, index)
        for key, value in yamledit.pairs(node)[:1]:
            options = tuple(
                (str(name.value), str(option.value)) for name, option in yamledit.pairs(value)
            )
            yield Item(str(key.value), options, path, line, index)


def read_alias(item: Item, interface: str) -> Alias:
    """Read one item as netplan does.

    :raises ParseError: for what netplan refuses, a missing prefix among it.
    """
    bare, slash, digits = item.text.partition("/")
    plain = canonical_address(bare) if digits in ("32", "128") and not item.options else None
    if plain is not None and digits == str(MAX_PREFIX[IPV6 if ":" in plain else IPV4]):
        return Alias(plain, int(digits), interface, where=f"{item.path}:{item.line}")
    try:
        address = ipaddress.ip_address(bare)
        prefix = read_number(digits) if digits.isascii() and digits.isdigit() else -1
    except ValueError:
        prefix, address = -1, None
    if address is None or not 0 <= prefix <= address.max_prefixlen or "%" in bare:
        raise ParseError(
            item.path,
            item.line,
            f"netplan refuses the address {item.text!r}",
            way_out="write it as ADDRESS/PREFIX" if not slash else "correct it",
        )
    options = dict(item.options)
    never = address.version == IPV6 and options.get("lifetime") == "0"
    return Alias(
        str(address),
        prefix,
        interface,
        label=options.get("label") if address.version == IPV4 else None,
        source=SOURCE_NEVER if never else SOURCE_AUTO,
        where=f"{item.path}:{item.line}",
    )


def read_found(
    configuration: Configuration, netdef: Netdef, interface: str
) -> list[tuple[Found, Item]]:
    """Return what the files set on a definition, each with its place."""
    found = []
    for item in netdef.items:
        ours = item.path in configuration.ours
        found.append((Found(read_alias(item, interface), item.path, item.line, ours), item))
    return found


def matches(netdef: Netdef, link: LinkFacts, host: Host) -> bool:
    """Tell whether a definition means a link.

    Only devices that exist without netplan can be matched; others bear their id as name.
    """
    if netdef.section not in SECTIONS:
        return False
    if netdef.section not in PHYSICAL or netdef.match is None:
        return netdef.id == link.name
    if netdef.set_name and netdef.set_name == link.name:
        return True
    wanted = netdef.match
    if "name" in wanted and not globs_match([wanted["name"]], (link.name,)):
        return False
    macs = (link.mac, link.permanent)
    if "macaddress" in wanted and canonical_mac(wanted["macaddress"]) not in macs:
        return False
    if "driver" in wanted:
        return globs_match([wanted["driver"]], (driver_of(host, link.name) or "",))
    # An empty match means every device of the type; Ethernet is the one that says so itself.
    return bool(wanted) or link.link_type in ("", "ether")


def find_netdef(
    configuration: Configuration, links: Mapping[str, LinkFacts], interface: str, host: Host
) -> tuple[Netdef | None, list[str]]:
    """Return the definition of an interface and the other links it also means.

    Of several the first by id counts, as its generated file does. Definitions that only our
    own file makes are left-overs, and no answer.
    """
    link = links.get(interface, LinkFacts(interface))
    candidates = [
        netdef
        for netdef in _by_id(configuration.netdefs.values())
        if configuration.foreign(netdef) and matches(netdef, link, host)
    ]
    if not candidates:
        return None, []
    netdef = candidates[0]
    others = [
        other.name
        for other in links.values()
        if other.name != interface and matches(netdef, other, host)
    ]
    return netdef, others


def _by_id(netdefs: Iterable[Netdef]) -> list[Netdef]:
    return sorted(netdefs, key=lambda netdef: os.fsencode(netdef.id))
