"""cPanel: the list of addresses that its service ``ipaliases`` sets, ``/etc/ips``.

The service sets them on one interface, ``ETHDEV`` of ``/etc/wwwacct.conf`` (cPanel's
``Whostmgr/Ips.pm``, ``get_ethernet_dev``), whatever has set up the interface itself. So there
cPanel owns the aliases, and the interface's primary address stays with its own dialect. The
lists are in `cpanel_files`.

``/scripts/rebuildippool`` makes ``/etc/ipaddrpool`` from the kernel's addresses and from the
accounts, so it runs when the kernel is as wanted. The pool is edited by hand all the same: what
it was before is kept that way, and where the script is missing, that is all there is.

A restart of the service is no part of a change: it takes every address of the list away and
sets it again (``Cpanel/ServiceManager/Services/Ipaliases.pm``, ``restart``: "stop" and then
"start"). Whether it takes away addresses of others has not been seen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from ..errors import OwnerError
from ..host import Host
from ..model import Activation, Alias, Change, Command, Evidence, File, Found, Wanted
from . import cpanel_files as lists

NAME = "cpanel"
UNSUPPORTED = {
    "ipv6": "/etc/ips holds IPv4 addresses alone; cPanel gives IPv6 addresses to accounts, out of"
    " ranges (WHM, IPv6 Ranges), by another service",
    "label": "/etc/ips has no place for a label; ipaliases gives its own, eth0:cp1 and so on",
    "source4": "/etc/ips has no place for the scope of an address",
    "wide_source4": "/etc/ips has no place for the scope of an address",
    "source6": "/etc/ips holds IPv4 addresses alone",
}
MAX_ADDRESSES: int | None = None
NUMBERED = False
OPTIONS: dict[str, tuple[str, ...]] = {}
SYSTEMS = ("linux",)
STORED = False
#: Files that the owner makes anew from others: no line of them is anybody's.
DERIVED = (lists.POOL,)

_VERSION = "/usr/local/cpanel/version"
_SETUP = "/etc/wwwacct.conf"
#: There, ipaliases is switched off (``whostmgr/bin/setupipaliases``).
_DISABLED = "/etc/ipaliasesdisable"
_REBUILD = "/scripts/rebuildippool"
_RESTART = "/scripts/restartsrv_ipaliases"
_OLD_RESTART = "/etc/init.d/ipaliases"
#: More than a daemon that manages the link: what that does not set is left to ipaliases.
_STRENGTH = 4
_TIMEOUT = 120.0


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether cPanel sets this interface's aliases."""
    version = host.read(_VERSION)
    if version is None:
        return Evidence(NAME, interface, False, reasons=(f"there is no {_VERSION}",))
    reasons = [f"cPanel {version.strip()[:40]} is installed"]
    device = _device(host)
    reasons.append(f"ETHDEV in {_SETUP} is {device or 'not set'}")
    owns = device == interface
    if owns and host.exists(_DISABLED):
        reasons.append(f"{_DISABLED} switches ipaliases off: it would not set them at boot")
        owns = False
    facts = {
        "version": version.strip()[:40],
        "rebuild": "yes" if host.exists(_REBUILD) else "no",
        "restart": _RESTART if host.exists(_RESTART) else _OLD_RESTART,
    }
    return Evidence(
        NAME,
        interface,
        owns,
        _STRENGTH if owns else 0,
        tuple(reasons),
        lists.IPS if owns else None,
        facts,
    )


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface whose backend the user named.

    :raises OwnerError: when ipaliases would set the addresses on another interface, or nowhere.
    """
    evidence = detect(host, interface)
    if evidence.owns:
        return evidence
    if host.exists(_VERSION) and _device(host) == interface:
        # Switched off: the list is written all the same, as for a daemon that does not run.
        return replace(evidence, owns=True, strength=1, file=lists.IPS)
    raise OwnerError(
        f"{NAME}: {'; '.join(evidence.reasons)}",
        where=interface,
        way_out=f"set ETHDEV in {_SETUP} to {interface} (WHM, Basic WebHost Manager Setup), or"
        " name another backend",
    )


def _device(host: Host) -> str:
    """Return the interface that ipaliases sets its addresses on; Virtuozzo's has a label."""
    return lists.setting(host.read(_SETUP) or "", "ETHDEV").partition(":")[0]


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address of the list. Whether one is ours it cannot tell: the ledger knows.

    :raises ParseError: a line that cPanel passes over.
    """
    if evidence.file is None:
        return []
    lines = lists.parse_ips(host.read(evidence.file) or "", evidence.interface)
    return [Found(line.alias, evidence.file, line.number, ours=None) for line in lines]


def render(wanted: Wanted, host: Host) -> list[File]:
    """Edit both lists: new addresses behind those that are there.

    The pool follows only what comes and goes here. An address that cPanel has given to an
    account since is no longer in it, and must not be offered to the next one.

    :raises ParseError: see `parse`.
    """
    text = host.read(lists.IPS)
    lines = lists.parse_ips(text or "", wanted.interface)
    kept = {alias.cidr for alias in wanted.aliases}
    gone = {alias.cidr for alias in wanted.former} | {found.alias.cidr for found in wanted.adopt}
    gone -= kept
    files = []
    edited = lists.edit_ips(text or "", lines, wanted.aliases, gone)
    if edited != (text or ""):
        files.append(File(lists.IPS, edited, owned=False))
        files += _pool(wanted, host, lines, gone)
    return files


def _pool(wanted: Wanted, host: Host, lines: list[lists.Line], gone: Collection[str]) -> list[File]:
    there = {line.alias.cidr for line in lines}
    new = [alias.address for alias in wanted.aliases if alias.cidr not in there]
    busy = {*lists.read_uses(host, set(new)), *lists.read_reserved(host)}
    leaving = {line.alias.address for line in lines if line.alias.cidr in gone}
    leaving -= {alias.address for alias in wanted.aliases}
    text = host.read(lists.POOL)
    edited = lists.edit_pool(text or "", [a for a in new if a not in busy], leaving)
    if text is None and not edited and wanted.evidence.facts.get("rebuild") != "yes":
        return []
    return [File(lists.POOL, edited, owned=False)]


def in_use(host: Host, addresses: Collection[str]) -> Mapping[str, str]:
    """Return which of these addresses an account uses, and which one.

    cPanel itself refuses to take such an address away (``Whostmgr/Ips.pm``, ``delip``: "You
    cannot remove an allocated IP address").
    """
    return lists.read_uses(host, addresses)


def validate(change: Change, host: Host) -> list[Command]:
    """Return no command: cPanel has none that checks the lists."""
    return []


def activate(change: Change, host: Host) -> Activation:
    """Have cPanel make its pool anew; the addresses are set by ``ip -batch``."""
    if change.evidence.facts.get("rebuild") != "yes":
        return Activation()
    if not any(file.path == lists.IPS for file in change.files):
        return Activation()
    return Activation(derive=(Command((_REBUILD,), timeout=_TIMEOUT),))


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return a restart of ipaliases, behind one of the interface or of the network's own owner.

    The guide has ``/etc/init.d/ipaliases restart``, which is what there is of it on old hosts.
    """
    script = evidence.facts.get("restart", _OLD_RESTART)
    aliases = (script,) if script == _RESTART else (script, "restart")
    argvs = [*_below(evidence.interface, scope, host), aliases]
    return [Command(argv, timeout=_TIMEOUT) for argv in argvs]


def _below(interface: str, scope: str, host: Host) -> list[tuple[str, ...]]:
    """Return what restarts the interface itself, by whatever runs it."""
    if scope == "alias":
        return []
    told = host.run(("nmcli", "-t", "-f", "RUNNING,VERSION", "general")).out
    managed = told.startswith("running")
    if scope == "interface":
        if managed:
            return [("nmcli", "device", "connect", interface)]
        return [("ifdown", interface), ("ifup", interface)]
    if managed:
        return [("systemctl", "restart", "NetworkManager.service")]
    if host.exists("/etc/init.d/network"):
        return [("/etc/init.d/network", "restart")]
    return [("systemctl", "restart", "network.service")]


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return None: an address gets a label of the service's, and only at the next boot."""
    return None
