"""netplan: one YAML file of our own in /etc/netplan, for every interface netplan defines.

netplan appends a list that several files give to one definition, file by file in the order
of their names. So our file sorts last: the primary address stays first, and a definition
such as a VLAN is complete before our addresses come (netplan refuses it otherwise).

What netplan cannot say is refused: no address may be kept from being an IPv4 source, and
with NetworkManager behind it an address takes no options at all (seen on 0.106 and 1.1).
``netplan apply`` is never used: it takes the primary address down.
"""

from __future__ import annotations

import glob
import os.path
from collections.abc import Iterable, Iterator, Mapping

from ..errors import OwnerError, ParseError, UnsupportedError
from ..host import Host
from ..model import (
    IPV4,
    Activation,
    Alias,
    Change,
    Command,
    Evidence,
    File,
    Found,
    Wanted,
)
from ..text import yamledit
from . import networkd, networkd_files, networkmanager
from .netplan_files import (
    FOLDERS,
    HEAD,
    NETWORK_MANAGER,
    NETWORKD,
    SECTIONS,
    Configuration,
    Item,
    Netdef,
    find_netdef,
    read_configuration,
    read_found,
)

NAME = "netplan"
_NO_SOURCE = (
    "netplan has no setting that keeps an IPv4 address from being a source; where networkd is"
    " its renderer, give the interface `backend: networkd`: a drop-in can"
)
UNSUPPORTED: dict[str, str] = {"source4": _NO_SOURCE, "wide_source4": _NO_SOURCE}
#: Its renderer's limit holds; see the fact ``max_addresses``.
MAX_ADDRESSES: int | None = None
NUMBERED = False
OPTIONS: dict[str, tuple[str, ...]] = {}
SYSTEMS = ("linux",)
STORED = False

_FILE = "90-ipalias.yaml"
_KEYFILES = "/run/NetworkManager/system-connections"
_NM_OPTIONS = "netplan gives NetworkManager no options with an address, and fails at one"


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether netplan defines the interface and its renderer manages it."""
    if host.which("netplan") is None:
        return Evidence(NAME, interface, False, reasons=("netplan is not installed",))
    try:
        return _evidence(host, interface)
    except ParseError as error:
        return Evidence(NAME, interface, False, reasons=(str(error),))


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface whose backend the user named.

    :raises ParseError: for a file that is not YAML.
    :raises OwnerError: when no file of /etc/netplan defines the interface.
    """
    evidence = _evidence(host, interface)
    if not evidence.owns:
        raise OwnerError(
            f"netplan: {'; '.join(evidence.reasons)}",
            where=interface,
            way_out=f"define {interface} in a file of /etc/netplan, or name another backend",
        )
    return evidence


def _evidence(host: Host, interface: str) -> Evidence:
    configuration = read_configuration(host)
    links = networkd_files.read_links(host)
    netdef, others = find_netdef(configuration, links, interface, host)
    if netdef is None:
        reason = f"no file of netplan defines {interface}"
        return Evidence(NAME, interface, False, reasons=(reason,))
    path = next(path for path in reversed(netdef.paths) if path not in configuration.ours)
    renderer = configuration.renderer_of(netdef)
    reasons = [f"{path} defines {interface} as {netdef.section}: {netdef.id}, for {renderer}"]
    facts = {
        "renderer": renderer,
        "section": netdef.section,
        "id": netdef.id,
        "shared_with": ",".join(others),
        "own": _own_path(configuration),
    }
    if renderer == NETWORKD:
        managed = _ask_networkd(host, interface, netdef, facts, reasons)
    else:
        managed = _ask_network_manager(host, interface, netdef, facts, reasons)
    return Evidence(NAME, interface, True, 3 if managed else 1, tuple(reasons), path, facts)


def _ask_networkd(
    host: Host, interface: str, netdef: Netdef, facts: dict[str, str], reasons: list[str]
) -> bool:
    running = networkd.is_running(host)
    generated = f"/run/systemd/network/10-netplan-{netdef.id}.network"
    used = networkd.link_state(host, interface).get("NETWORK_FILE") if running else None
    facts["running"] = "yes" if running else "no"
    facts["version"] = networkd.read_version(host)
    facts["max_addresses"] = str(networkd.MAX_ADDRESSES)
    if not running:
        reasons.append("systemd-networkd, its renderer, does not run")
    elif used == generated:
        reasons.append(f"systemd-networkd configures {interface} by {generated}")
    else:
        reasons.append(f"systemd-networkd configures {interface} by {used or 'no file'}")
    return used == generated


def _ask_network_manager(
    host: Host, interface: str, netdef: Netdef, facts: dict[str, str], reasons: list[str]
) -> bool:
    running = host.run(("systemctl", "is-active", "NetworkManager.service")).code == 0
    connection = f"netplan-{netdef.id}"
    keyfile = f"{_KEYFILES}/{connection}.nmconnection"
    if not host.exists(keyfile):  # a wireless one bears its network's name as well
        keyfile = next(iter(host.glob(f"{glob.escape(keyfile[:-13])}-*.nmconnection")), keyfile)
    facts["running"] = "yes" if running else "no"
    facts["keyfile"] = keyfile
    facts["unsupported_label"] = facts["unsupported_source6"] = _NM_OPTIONS
    if not running:
        reasons.append("NetworkManager, its renderer, does not run")
        return False
    asked = host.run(("nmcli", "-g", "GENERAL.CONNECTION", "device", "show", interface))
    active = asked.out.strip().replace("\\:", ":")
    reasons.append(f"NetworkManager has {active or 'no connection'} up on {interface}")
    return active == connection or active.startswith(f"{connection}-")


def _own_path(configuration: Configuration) -> str:
    """Return a path for our file that sorts behind every foreign one."""
    last = max(configuration.names, key=os.fsencode, default="")
    beyond = f"{last.removesuffix('.yaml')}_ipalias.yaml"
    for name in (_FILE, "zz-ipalias.yaml", beyond):
        if name not in configuration.names and os.fsencode(name) > os.fsencode(last):
            break
    return f"{FOLDERS[0]}/{name}"


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address netplan's files give the interface.

    :raises ParseError: for a file that is not YAML, or an address netplan refuses.
    """
    configuration = read_configuration(host)
    netdef = _netdef(configuration, evidence)
    if netdef is None:
        return []
    return [found for found, _ in read_found(configuration, netdef, evidence.interface)]


def _netdef(configuration: Configuration, evidence: Evidence) -> Netdef | None:
    facts = evidence.facts
    return configuration.netdefs.get((facts.get("section", ""), facts.get("id", "")))


def render(wanted: Wanted, host: Host) -> list[File]:
    """Render our file, other interfaces' aliases in it kept, and edit adopted ones out.

    Definitions that no other file makes any more are dropped from ours: alone, one of a
    VLAN or bond would make netplan refuse everything at the next boot.

    :raises UnsupportedError: for what netplan or its renderer cannot say.
    """
    configuration = read_configuration(host)
    facts = wanted.evidence.facts
    own = (facts["section"], facts["id"])
    if wanted.aliases:
        _refuse(wanted)
    ours: dict[tuple[str, str], list[str]] = {}
    for key, netdef in configuration.netdefs.items():
        items = [item for item in netdef.items if item.path in configuration.ours]
        if items and key != own and configuration.foreign(netdef):
            ours[key] = [_item(item.text, dict(item.options)) for item in items]
    if wanted.aliases:
        ours[own] = [_alias(alias) for alias in wanted.aliases]
    path = _own_path(configuration)
    files = [File(path, "\n".join(_lines(ours)) if ours else None, mode=0o600)]
    files += [File(other, None, mode=0o600) for other in configuration.ours if other != path]
    files += _without(configuration, wanted, host)
    return files


def _lines(ours: Mapping[tuple[str, str], list[str]]) -> Iterator[str]:
    yield f"{HEAD}this file belongs to the ipalias formula, which rewrites it."
    yield "network:"
    yield "  version: 2"
    for section in SECTIONS:
        ids = sorted(id for name, id in ours if name == section)
        if ids:
            yield f"  {section}:"
        for id in ids:
            yield f"    {_quote(id)}:"
            yield "      addresses:"
            yield from ours[section, id]
    yield ""


def _alias(alias: Alias) -> str:
    options = {}
    label = live_label(alias)
    if label:
        options["label"] = label
    if alias.never_source:
        options["lifetime"] = "0"
    return _item(alias.cidr, options)


def _item(text: str, options: Mapping[str, str]) -> str:
    if not options:
        return f"        - {_quote(text)}"
    inner = ", ".join(
        f"{key}: {value if key == 'lifetime' else _quote(value)}" for key, value in options.items()
    )
    return f"        - {_quote(text)}: {{{inner}}}"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _refuse(wanted: Wanted) -> None:
    facts = wanted.evidence.facts
    if facts.get("shared_with"):
        raise UnsupportedError(
            f"netplan's {facts['id']} also means {facts['shared_with'].replace(',', ', ')}: an"
            " alias would come up on each of them",
            where=wanted.interface,
            way_out=f"define {wanted.interface} in a file of /etc/netplan by itself",
        )
    for alias in wanted.aliases:
        if alias.never_source and alias.family == IPV4:
            raise UnsupportedError(_NO_SOURCE, where=alias.where or alias.cidr)
        if facts.get("renderer") == NETWORK_MANAGER and (alias.label or alias.never_source):
            raise UnsupportedError(
                f"{alias.cidr}: {_NM_OPTIONS}",
                where=alias.where,
                way_out="leave out the label and `source: never`",
            )


def _without(configuration: Configuration, wanted: Wanted, host: Host) -> Iterable[File]:
    """Yield each foreign file without the adopted addresses, every other byte kept."""
    netdef = _netdef(configuration, wanted.evidence)
    if netdef is None or not wanted.adopt:
        return
    places = read_found(configuration, netdef, wanted.interface)
    networkd.refuse_stale(wanted.adopt, [found for found, _ in places])
    by_path: dict[str, list[Item]] = {}
    for found, item in places:
        if found in wanted.adopt:
            by_path.setdefault(found.path, []).append(item)
    for path, items in by_path.items():
        _refuse_edit(path, items)
        text = host.read(path) or ""
        keys = ("network", netdef.section, netdef.id, "addresses")
        text = yamledit.remove_items(text, path, keys, [item.index for item in items])
        yield File(path, text, mode=0o600, owned=False)


def _refuse_edit(path: str, items: Iterable[Item]) -> None:
    if not path.startswith(f"{FOLDERS[0]}/"):
        raise UnsupportedError(
            "not an administrator's file: what is taken out comes back",
            where=path,
            way_out=f"copy it to {FOLDERS[0]}/ first, or leave out adopt",
        )
    for item in items:
        unknown = sorted({key for key, _ in item.options} - {"label", "lifetime"})
        if unknown:
            raise UnsupportedError(
                f"{unknown[0]}: of {item.text} would be lost when it moves into our file",
                where=f"{path}:{item.line}",
                way_out="take the option out, or leave the address where it is",
            )


def validate(change: Change, host: Host) -> list[Command]:
    """Return netplan's own check, which also writes its renderer's files in /run."""
    if host.which("netplan") is None:
        return []
    return [Command(("netplan", "generate"))]


def activate(change: Change, host: Host) -> Activation:
    """Return what makes the renderer read what was generated, the gentlest way."""
    facts = change.evidence.facts
    if facts.get("renderer") == NETWORKD:
        return networkd.activate(change, host)
    if facts.get("running") != "yes":
        return Activation(note="NetworkManager does not run; it reads the file when it starts")
    # Loaded, never reapplied: `networkmanager` says what a reapply takes away.
    return Activation(tell=(Command(("nmcli", "connection", "load", facts["keyfile"])),))


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return what generates the files of who is behind netplan and has them read.

    ``network`` is ``netplan apply``, which bounces the primary address: for a person who asks.
    """
    if scope == "network":
        return [Command(("netplan", "apply"), timeout=120.0)]
    generate = Command(("netplan", "generate"), timeout=120.0)
    if evidence.facts.get("renderer") == "NetworkManager":
        return [generate, *networkmanager.restart(evidence, scope, host)]
    behind = networkd.restart(evidence, scope, host) if scope == "interface" else []
    return [generate, *behind]


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return the label as written; IPv6 has none."""
    return alias.label if alias.family == IPV4 else None
