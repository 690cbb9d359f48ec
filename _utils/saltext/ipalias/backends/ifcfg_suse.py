"""openSUSE and SLES with wicked: the interface's own ``ifcfg-*``, edited in place.

``/etc/sysconfig/network/ifcfg-eth0`` holds every address of an interface and has no drop-ins.
The form is in `ifcfg_suse_file`.

wicked is told by ``wicked ifup``, and by nothing else. Its daemon takes the new list over: it
adds what is new, deletes what stood in the old list and is not in the new one, and leaves every
address alone that it did not set itself (``src/ifconfig.c``, ``__ni_netdev_update_addrs``: "Do
not touch addresses not managed by us"; crowbar/crowbar-core#1257: "will not take the interfaces
down … will also keep all IP addresses that are not managed by wicked"). Untold, its nanny would
set an alias again that was taken away, whenever the device comes anew (the same, bsc#1035127).
``wicked ifreload`` is never run: of a changed file it makes an ifdown and an ifup (wicked(8)).
Where the interface also has a lease, ``ifup`` asks for it again, so there it is not run either.
"""

from __future__ import annotations

import re

from ..errors import OwnerError, UnsupportedError
from ..host import Host
from ..model import Activation, Alias, Change, Command, Evidence, File, Found, Wanted
from . import ifcfg_suse_file as ifcfg

NAME = "ifcfg_suse"
UNSUPPORTED = {
    "wide_source4": "wicked gives no IPv4 address `noprefixroute`, so the kernel makes a route"
    " to its subnet whose source is the alias; write it as a /32",
}
MAX_ADDRESSES: int | None = None
NUMBERED = False
OPTIONS: dict[str, tuple[str, ...]] = {}
SYSTEMS = ("linux",)
STORED = False

FOLDER = "/etc/sysconfig/network"
_DAEMON = "wickedd.service"
_SERVICE = "wicked.service"
#: As of this release it reads SCOPE and IP_OPTIONS: 0.6.37 has IP_OPTIONS (openSUSE/wicked#644),
#: what came of SCOPE was mended soon after (#677).
_SCOPES = (0, 6, 40)
#: What `wicked ifstatus` says of a link that it has not set up (``client/ifstatus.c``).
_LEFT_ALONE = ("device-unconfigured", "device-not-enabled", "no-config", "no-device")
#: Seconds that it may take: it waits for a link, at most 30 s by its own default.
_TIMEOUT = 120.0
#: Still under way: some other address of the link is being waited for (NI_WICKED_ST_IN_PROGRESS).
_IN_PROGRESS = 162


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether wicked manages the link, by its own word where it runs."""
    path = f"{FOLDER}/ifcfg-{interface}"
    if not host.exists(path):
        return Evidence(NAME, interface, False, reasons=(f"there is no {path}",))
    reasons = [f"{path} configures {interface}"]
    version = _version(host)
    facts = {"version": ".".join(map(str, version)), "running": "no", "managed": "no"}
    if version < _SCOPES:
        which = f"wicked {facts['version']}" if version else "a network without wicked"
        why = f"{which} may not read SCOPE and IP_OPTIONS; wicked 0.6.40 does"
        facts |= {"unsupported_source4": why, "unsupported_source6": why}
    strength = 1
    if host.run(("systemctl", "is-active", _DAEMON)).out.strip() == "active":
        facts["running"] = "yes"
        state = _state(host, interface)
        reasons.append(f"{_DAEMON} runs and says of {interface}: {state or 'nothing'}")
        if state and state not in _LEFT_ALONE:
            facts["managed"] = "yes"
            strength = 3
    elif not version and host.exists("/etc/init.d/network"):
        # SLE 11: scripts read the file at boot, and no daemon.
        reasons.append("there is no wicked; /etc/init.d/network reads the file")
        facts["scripts"] = "yes"
        strength = 2
    else:
        reasons.append(f"{_DAEMON} does not run")
    return Evidence(NAME, interface, True, strength, tuple(reasons), path, facts)


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface whose backend the user named.

    :raises OwnerError: when there is no file of it either.
    """
    evidence = detect(host, interface)
    if evidence.owns:
        return evidence
    raise OwnerError(
        f"{NAME}: {'; '.join(evidence.reasons)}",
        where=interface,
        way_out=f"write {FOLDER}/ifcfg-{interface} with the interface's own address, or name"
        " another backend",
    )


def _version(host: Host) -> tuple[int, ...]:
    """Return wicked's version; empty where it is not installed."""
    found = re.search(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})", host.run(("wicked", "--version")).out)
    return tuple(map(int, found.groups())) if found else ()


def _state(host: Host, interface: str) -> str:
    """Return the word that `wicked ifstatus --brief` says of an interface."""
    told = host.run(("wicked", "ifstatus", "--brief", interface)).out
    for line in told.splitlines():
        words = line.split()
        if words[:1] == [interface] and len(words) > 1:
            return words[1]
    return ""


def _read(host: Host, path: str, interface: str) -> ifcfg.File | None:
    text = host.read(path)
    return None if text is None else ifcfg.File(text, path, interface)


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address that the file sets, as wicked reads it.

    A suffix of ours says that the line is ours. Of any other the ledger knows: a guide's
    ``IPADDR_1`` that was adopted stays where it is.

    :raises ParseError: the file cannot be read beyond doubt.
    """
    file = _read(host, evidence.file, evidence.interface) if evidence.file else None
    if file is None:
        return []
    return [
        Found(slot.alias, file.path, slot.line, True if slot.own else None) for slot in file.slots
    ]


def render(wanted: Wanted, host: Host) -> list[File]:
    """Edit the interface's file: our lines behind those that are there.

    :raises ParseError: see `parse`.
    :raises UnsupportedError: where wicked sets no addresses by this file.
    """
    evidence = wanted.evidence
    file = _read(host, evidence.file, wanted.interface) if evidence.file else None
    if file is None:
        if not wanted.aliases:
            return []
        raise OwnerError(
            "the interface's file is gone",
            where=evidence.file or wanted.interface,
            way_out="run again once there is one",
        )
    if wanted.aliases and file.value("BOOTPROTO") == "none":
        raise UnsupportedError(
            "BOOTPROTO is none: the interface is a part of another one and has no addresses",
            where=file.path,
            way_out="put the aliases on the interface it belongs to, or set BOOTPROTO='static'",
        )
    gone = {alias.cidr for alias in wanted.former} | {found.alias.cidr for found in wanted.adopt}
    kept = {alias.cidr for alias in wanted.aliases}
    lines = [found.line for found in wanted.adopt if found.alias.cidr not in kept]
    file.edit(wanted.aliases, gone, lines)
    return [File(file.path, file.document.text(), 0o600, owned=False)]


def validate(change: Change, host: Host) -> list[Command]:
    """Return no command: wicked has none that refuses a file, it warns and goes on."""
    return []


def activate(change: Change, host: Host) -> Activation:
    """Have wicked take the file over, where that costs nothing; the kernel is as wanted then."""
    facts = change.evidence.facts
    if facts.get("scripts") == "yes":
        return Activation()
    if facts.get("running") != "yes":
        return Activation(note="wicked does not run: it reads the file when it starts")
    if facts.get("managed") != "yes":
        return Activation(
            note=f"wicked has not set {change.interface} up: it reads the file when it does"
        )
    leases = sorted({name for name in map(_leases, change.files) if name})
    if leases:
        again = (
            " Taken away, an alias can come again with the device until then."
            if change.removed
            else ""
        )
        return Activation(
            note=f"wicked was not told: BOOTPROTO is {leases[0]}, and `wicked ifup` would ask for"
            f" the lease again; it reads the file at its next start.{again}"
        )
    return Activation(tell=(_ifup(change.interface),))


def _leases(file: File) -> str:
    """Return how an interface gets its leases by a file; empty where it has none."""
    value = ifcfg.File(file.text or "", file.path, "").value("BOOTPROTO")
    return "" if value in ("", "static", "none") else value


def _ifup(interface: str) -> Command:
    return Command(("wicked", "ifup", interface), timeout=_TIMEOUT, ok=(0, _IN_PROGRESS))


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return an ifup, an ifdown with an ifup, or a restart of the service.

    The guide has none of them. ``network.service`` is another name of wicked.service.
    """
    interface = evidence.interface
    if evidence.facts.get("scripts") == "yes":
        listed: dict[str, list[tuple[str, ...]]] = {
            "alias": [],
            "interface": [("ifdown", interface), ("ifup", interface)],
            "network": [("/etc/init.d/network", "restart")],
        }
        return [Command(argv, timeout=_TIMEOUT) for argv in listed[scope]]
    if scope == "network":
        return [Command(("systemctl", "restart", _SERVICE), timeout=_TIMEOUT)]
    down = [Command(("wicked", "ifdown", interface), timeout=_TIMEOUT)]
    return [*(down if scope == "interface" else []), _ifup(interface)]


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return the label with the interface's name before it, as wicked writes it."""
    return ifcfg.live_label(alias)
