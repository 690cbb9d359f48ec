"""Red Hat's ifcfg files: CentOS, Fedora up to 25, RHEL up to 8 with network-scripts.

An IPv4 alias is a file of its own, ``ifcfg-eth0:0``, as in the alias guide; IPv6 aliases stand
in ``IPV6ADDR_SECONDARIES`` of the parent's file (sysconfig.txt of initscripts). Who reads the
files is in `ifcfg_rh_owner`.

A change runs neither ``ifup`` nor ``ifdown``; the kernel is changed by ``ip -batch``:

* ``ifdown eth0:0`` takes every IPv6 address and route of eth0 away (``ifdown-eth`` calls
  ``ifdown-ipv6`` for the alias too; fedora-sysv/initscripts issue 17);
* ``ifup eth0:0`` leaves an address that is live as it is and records nothing, so there is
  nothing to gain from it; where NetworkManager has the profile it activates the whole
  connection anew (``ifup``: ``nmcli con up uuid``).
"""

from __future__ import annotations

from itertools import count
from types import MappingProxyType

from ..errors import InputError, RefusedError, UnsupportedError
from ..host import Host
from ..model import IPV4, IPV6, Activation, Alias, Change, Command, Evidence, File, Found, Wanted
from . import ifcfg_rh_adopt as adopt
from . import ifcfg_rh_ipv6 as ipv6
from .ifcfg_rh_forms import (
    FOLDER,
    check_interface,
    device_of,
    is_ours,
    parse_alias,
    path_of,
    render_alias,
)
from .ifcfg_rh_owner import KEYFILES_ONLY, READS_ALIASES, find_owner
from .ifcfg_rh_read import PLUGIN, SCRIPTS, Ifcfg, alias_paths, ipv6_switch, parse_found, read_ifcfg

NAME = "ifcfg_rh"
_NOWHERE = "`ifup-aliases` and `ifup-ipv6` give an address no {}"
UNSUPPORTED = MappingProxyType(
    {
        "source4": _NOWHERE.format("scope"),
        "source6": _NOWHERE.format("preferred lifetime"),
        "wide_source4": _NOWHERE.format("scope"),
    }
)
MAX_ADDRESSES: int | None = None
NUMBERED = True
OPTIONS: dict[str, tuple[str, ...]] = {}
SYSTEMS = ("linux",)
STORED = False

#: Seconds that ``ifup`` of one alias may take: it announces the address and waits.
_IFUP_TIMEOUT = 60.0
#: Settings that make an interface a part of another one: ``ifup-eth`` then sets no address.
_PARTS = ("BRIDGE", "MASTER", "TEAM_MASTER", "OVS_BRIDGE")


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether ifcfg files configure the interface, and who reads them."""
    return find_owner(host, interface)


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface of which the user says that ifcfg files own it."""
    found = find_owner(host, interface)
    reasons = ("named by the user", *found.reasons)
    return Evidence(NAME, interface, True, found.strength, reasons, found.file, found.facts)


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address the files set on the interface; its own comes first.

    :raises ParseError: with file and line, for a file that cannot be read as its reader does.
    """
    return parse_found(host, evidence)


# Writing


def render(wanted: Wanted, host: Host) -> list[File]:
    """Return a file for each IPv4 alias, and the parent's with the IPv6 ones.

    :raises UnsupportedError: where the files are not read, or would not be for this alias.
    :raises RefusedError: a file of somebody else has the name, or an adopted one says more.
    """
    interface, evidence = wanted.interface, wanted.evidence
    ours = {p for p in alias_paths(host, interface) if is_ours(host.read(p), interface)}
    if int(evidence.facts.get("release", "0")) >= KEYFILES_ONLY:
        return _on_keyfiles_only(wanted, ours)
    check_interface(interface)
    reader = evidence.facts.get("reader", "")
    parent = read_ifcfg(host, evidence.file, reader) if evidence.file else None
    taken_out = adopt.take_out(wanted, host, parent)
    texts: dict[str, str | None] = {**dict.fromkeys(sorted(ours)), **taken_out}
    if wanted.aliases:
        _check_reader(wanted, host, parent)
    numbered = [alias for alias in wanted.aliases if alias.family == IPV4]
    bootproto = _bootproto(host, parent)
    for device, alias in _devices(numbered, host, ours).items():
        path = path_of(device)
        if path not in texts and host.exists(path):
            raise RefusedError(
                f"{alias.address} would be {device}, and there is a file of that name",
                where=path,
                way_out="give the alias a label, or set `adopt: true`",
            )
        texts[path] = render_alias(alias, bootproto)
    if parent is not None:
        texts[parent.path] = _with_ipv6(wanted, host, parent, texts)
    return [
        File(path, text, owned=path in ours or not host.exists(path))
        for path, text in texts.items()
    ]


def _with_ipv6(wanted: Wanted, host: Host, parent: Ifcfg, texts: dict[str, str | None]) -> str:
    """Return the parent's text with our IPv6 addresses."""
    listed = [alias.cidr for alias in wanted.aliases if alias.family == IPV6]
    if listed and (off := ipv6_switch(host, parent)):
        raise UnsupportedError(
            f"IPv6 is off: {off}",
            where=f"{parent.path}:{parent.line('IPV6INIT')}",
            way_out="set IPV6INIT=yes there, and IPV6_AUTOCONF=no where router advertisements"
            " shall not be followed",
        )
    former = {alias.cidr for alias in wanted.former if alias.family == IPV6}
    # Purged: a foreign entry of the list that is not to be ours either.
    former |= {f.alias.cidr for f in wanted.adopt if f.path == parent.path and f.ours is None}
    text = texts.get(parent.path) or parent.document.text()
    return ipv6.edit(text, parent.path, wanted.interface, listed, former)


def _devices(aliases: list[Alias], host: Host, ours: set[str]) -> dict[str, Alias]:
    """Return each alias by its name.

    :raises InputError: for two with the same.
    """
    named: dict[str, Alias] = {}
    numbers = _numbers([alias for alias in aliases if device_of(alias) is None], host, ours)
    for alias in aliases:
        if device_of(alias) is None:
            alias = numbers[alias.cidr]
        device = device_of(alias) or ""
        other = named.setdefault(device, alias)
        if other is not alias:
            raise InputError(
                f"{other.address} and {alias.address} both get the label {device!r}",
                where=alias.where,
                way_out="give one of them another label",
            )
    return named


def _numbers(aliases: list[Alias], host: Host, ours: set[str]) -> dict[str, Alias]:
    """Return aliases that nobody has numbered with the number of their file, or a free one.

    The engine numbers its own; this is for any other caller.
    """
    if not aliases:
        return {}
    numbered: dict[str, Alias] = {}
    interface = aliases[0].interface
    for path in sorted(ours):
        there = parse_alias(host.read(path) or "", interface)
        if there is not None:
            numbered[there.cidr] = there
    used = {path.rpartition(":")[2] for path in alias_paths(host, interface)}
    free = (number for number in count() if str(number) not in used)
    for alias in aliases:
        if alias.cidr not in numbered:
            numbered[alias.cidr] = alias.numbered(next(free))
    return numbered


def _bootproto(host: Host, parent: Ifcfg | None) -> str:
    """Return ``static`` where the platform or the parent's file writes it (alias guide)."""
    written = parent is not None and parent.value("BOOTPROTO").lower() == "static"
    return "static" if written or host.exists("/etc/centos-release") else "none"


def _check_reader(wanted: Wanted, host: Host, parent: Ifcfg | None) -> None:
    """Refuse aliases that nobody would bring up.

    :raises UnsupportedError: with file and line.
    """
    if parent is None:
        raise UnsupportedError(
            f"no file {FOLDER}/ifcfg-* names {wanted.interface}",
            where=wanted.interface,
            way_out=f"write {FOLDER}/ifcfg-{wanted.interface}, or name another backend",
        )
    for key in _PARTS:
        if owner := parent.value(key):
            raise UnsupportedError(
                f"{key}={owner}: the interface is a part of {owner} and has no addresses",
                where=f"{parent.path}:{parent.line(key)}",
                way_out=f"put the aliases on {owner}",
            )
    if parent.reader == PLUGIN:
        _check_plugin(wanted, parent)
    elif any(alias.family == IPV4 for alias in wanted.aliases):
        _check_switches(wanted, host)


def _check_plugin(wanted: Wanted, parent: Ifcfg) -> None:
    """Refuse IPv4 aliases that NetworkManager would pass over (``read_aliases``)."""
    if all(alias.family != IPV4 for alias in wanted.aliases):
        return
    if not _can_load(wanted.evidence):
        raise UnsupportedError(
            "NetworkManager manages the interface, and this version reads no alias files",
            where=parent.path,
            way_out="set NM_CONTROLLED=no there, and restart the service network once",
        )
    if parent.path != path_of(wanted.interface):
        raise UnsupportedError(
            f"NetworkManager looks for alias files beside {path_of(wanted.interface)} alone",
            where=parent.path,
            way_out=f"rename it to ifcfg-{wanted.interface} and load it",
        )


def _check_switches(wanted: Wanted, host: Host) -> None:
    """Refuse to switch IPv6 off for a foreign alias behind ours.

    ``ifup-aliases`` sources one file after the other and never resets ``IPV6INIT``.
    """
    for path in alias_paths(host, wanted.interface):
        if is_ours(host.read(path), wanted.interface):
            continue
        ifcfg = read_ifcfg(host, path, SCRIPTS)
        if ifcfg and ifcfg.value("IPV6ADDR") and not ifcfg.value("IPV6INIT"):
            raise UnsupportedError(
                "this alias has an IPv6 address and no IPV6INIT: it would take it from ours",
                where=f"{path}:{ifcfg.line('IPV6ADDR')}",
                way_out="write IPV6INIT=yes into that file",
            )


def _on_keyfiles_only(wanted: Wanted, ours: set[str]) -> list[File]:
    """Return the deletion of our old files; nothing is written on EL 9 and later.

    :raises UnsupportedError: where the profile is still an ifcfg file.
    """
    evidence = wanted.evidence
    release = evidence.facts["release"]
    plugin = evidence.facts.get("reader") == PLUGIN
    if wanted.aliases or (plugin and (ours or wanted.former)):
        name = (evidence.file or "").rpartition("/ifcfg-")[2] or wanted.interface
        way_out = "write a NetworkManager profile for the interface"
        if plugin:
            way_out = (
                f"`nmcli connection migrate {name}` makes a keyfile of the profile and touches"
                " nothing live; then run again"
            )
        raise UnsupportedError(
            f"EL {release} has no network-scripts, and NetworkManager only reads ifcfg files"
            if plugin
            else f"EL {release} has no network-scripts: nothing reads ifcfg files",
            where=evidence.file or wanted.interface,
            way_out=way_out,
        )
    return [File(path, None) for path in sorted(ours)]


# Activating


def validate(change: Change, host: Host) -> list[Command]:
    """Return nothing: no reader has a mode that only checks; `parse` reads as they do."""
    return []


def _can_load(evidence: Evidence) -> bool:
    """Tell whether NetworkManager is new enough to read alias files, and nmcli to load."""
    parts = evidence.facts.get("version", "").split(".")[:3]
    return tuple(int(p) for p in parts if p.isdigit()) >= READS_ALIASES


def activate(change: Change, host: Host) -> Activation:
    """Have NetworkManager load the profile, where it is its reader; the scripts record nothing.

    Loading touches nothing live (see `networkmanager`); ``nmcli device reapply`` and
    ``nmcli con up`` would take foreign addresses away.
    """
    evidence = change.evidence
    reader = evidence.facts.get("reader")
    if reader == SCRIPTS or not change.files:
        return Activation()
    if reader != PLUGIN:
        return Activation(note=f"nothing reads the files now: {evidence.reasons[-1]}")
    if not _can_load(evidence):
        return Activation(note="NetworkManager was not told: it watches the folder itself")
    return Activation(tell=(Command(("nmcli", "connection", "load", evidence.file or "")),))


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return the guide's ``ifup eth0:0`` for each of ours; the interface; the service.

    Where NetworkManager is the reader, the same of it.
    """
    name = evidence.interface
    if evidence.facts.get("reader") == PLUGIN:
        load = ("nmcli", "connection", "load", evidence.file or "")
        argvs: dict[str, list[tuple[str, ...]]] = {
            "alias": [load],
            "interface": [("nmcli", "device", "connect", name)],
            "network": [("systemctl", "restart", "NetworkManager.service")],
        }
        return [Command(argv, timeout=120.0) for argv in argvs[scope]]
    if scope == "alias":
        ours = [p for p in alias_paths(host, name) if is_ours(host.read(p), name)]
        devices = [path.rpartition("/ifcfg-")[2] for path in ours]
        return [Command(("ifup", device), timeout=_IFUP_TIMEOUT) for device in devices]
    service = ("systemctl", "restart", "network.service")
    if host.which("systemctl") is None:
        service = ("service", "network", "restart")
    argvs = {"interface": [("ifdown", name), ("ifup", name)], "network": [service]}
    return [Command(argv, timeout=120.0) for argv in argvs[scope]]


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return the name of the alias, which is its label in the kernel.

    :raises InputError: for a label that the scripts would pass over, or that is too long.
    """
    return device_of(alias)
