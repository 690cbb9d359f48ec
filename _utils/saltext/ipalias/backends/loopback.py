"""The loopback interface of a Linux host where nobody else configures it: a carrier of our own.

ifupdown, a ``.network`` file, netplan, a keyfile or ``ifcfg-lo`` may own ``lo``, and then that
is where its addresses go. On most hosts none does: networkd leaves it unmanaged,
NetworkManager watches it only (from 1.42 on) or not at all. To make one of them take it over
would hand it 127.0.0.1 as well. So its addresses stand in a file of their own,
which ``ip -batch`` loads at boot: with systemd by a unit that comes after the kernel settings
and before the network (systemd.unit(5); ``network-pre.target`` of systemd.special(7)), with
OpenRC by a script that its service ``local`` runs last of all.

The unit is not enabled by a link but wanted by a drop-in, for files alone are what a change
writes, compares and puts back.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from .. import platforms
from ..errors import OwnerError, ParseError
from ..host import Host
from ..live.batch import BATCH_ON, add_line, route_line
from ..model import (
    IPV4,
    MAX_PREFIX,
    SOURCE_AUTO,
    SOURCE_NEVER,
    Activation,
    Alias,
    Change,
    Command,
    Evidence,
    File,
    Found,
    Wanted,
)

NAME = "loopback"
UNSUPPORTED: MappingProxyType[str, str] = MappingProxyType({})
MAX_ADDRESSES: int | None = None
NUMBERED = False
OPTIONS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType({})
SYSTEMS = ("linux",)
STORED = False

LINK = "lo"
BATCH = "/etc/ipalias/lo.batch"
SERVICE = "ipalias-loopback.service"
UNIT = f"/etc/systemd/system/{SERVICE}"
WANTS = "/etc/systemd/system/sysinit.target.d/ipalias-loopback.conf"
LOCAL = "/etc/local.d/ipalias-loopback.start"
_HEAD = "# Addresses of lo, written by the ipalias formula: changes made here are overwritten.\n"
_LINE = re.compile(
    r"address replace (?P<address>[0-9a-f.:]+)/(?P<prefix>\d{1,3}) dev lo"
    r"(?: preferred_lft (?P<lifetime>0))?(?: label (?P<label>\S+))?(?: broadcast \+)?"
    r"(?: scope (?P<scope>host))?(?: noprefixroute)?"
)
#: Where iproute2 puts its program, by release and distribution.
_IP = ("/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip")


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether this is ``lo``, and what would load a file of ours at boot.

    The weakest of all evidence: whoever owns ``lo`` by a running daemon, or by a file that an
    installed program reads, comes first.
    """
    if interface != LINK:
        return Evidence(NAME, interface, False, reasons=("it carries lo alone",))
    init = platforms.init("linux", host.exists)
    facts = {"init": init, "ip": next((path for path in _IP if host.exists(path)), _IP[1])}
    if not init:
        reason = "neither systemd nor OpenRC runs: nothing would load its file at boot"
        return Evidence(NAME, interface, False, reasons=(reason,), facts=facts)
    carrier = UNIT if init == "systemd" else LOCAL
    if init == "openrc" and not host.glob("/etc/runlevels/*/local"):
        reason = "OpenRC's service `local` is in no runlevel: nothing would load its file at boot"
        return Evidence(NAME, interface, False, reasons=(reason,), facts=facts)
    reason = f"nobody else owns {LINK}: {carrier} loads {BATCH} at boot"
    return Evidence(NAME, interface, True, 1, (reason,), BATCH, facts)


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence where the user named this dialect.

    :raises OwnerError: another interface than ``lo``, or nothing that would load the file.
    """
    evidence = detect(host, interface)
    if not evidence.owns:
        raise OwnerError(
            f"{NAME}: {'; '.join(evidence.reasons)}",
            where=interface,
            way_out="leave `backend` out"
            if interface != LINK
            else "configure lo with the network's own files, and leave `backend` out",
        )
    return evidence


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return the addresses of our file.

    :raises ParseError: a line that we do not write.
    """
    found: list[Found] = []
    for number, line in enumerate((host.read(BATCH) or "").splitlines(), 1):
        if not line or line.startswith(("#", "route ")):
            continue
        match = _LINE.fullmatch(line)
        family = 6 if match is not None and ":" in match["address"] else IPV4
        if match is None or int(match["prefix"]) > MAX_PREFIX[family]:
            raise ParseError(
                BATCH,
                number,
                f"{line!r} is not a line ipalias writes",
                way_out="remove it: this file is written anew by every change",
            )
        source = SOURCE_NEVER if match["scope"] or match["lifetime"] else SOURCE_AUTO
        alias = Alias(match["address"], int(match["prefix"]), LINK, match["label"], source)
        found.append(Found(alias, BATCH, number, ours=True))
    return found


def render(wanted: Wanted, host: Host) -> list[File]:
    """Return the file and what loads it; without aliases none of them."""
    if not wanted.aliases:
        return [File(path, None) for path in (BATCH, UNIT, WANTS, LOCAL)]
    lines = [_HEAD]
    routes: dict[str, None] = {}
    for alias in wanted.aliases:
        lines.append(f"{add_line(alias, live_label(alias), take=True)}\n")
        if alias.family == IPV4 and alias.never_source and not alias.single:
            routes[f"{route_line(alias).replace('route add', 'route replace', 1)}\n"] = None
    batch = File(BATCH, "".join([*lines, *routes]))
    ip = wanted.evidence.facts.get("ip", _IP[1])
    if wanted.evidence.facts.get("init") == "openrc":
        return [batch, File(UNIT, None), File(WANTS, None), File(LOCAL, _script(ip), 0o755)]
    return [batch, File(UNIT, _unit(ip)), File(WANTS, _WANTED), File(LOCAL, None)]


_WANTED = f"""# Written by the ipalias formula.
[Unit]
Wants={SERVICE}
"""


def _unit(ip: str) -> str:
    """Return the unit: behind the settings and what puts back, before every network service.

    ``-force`` goes on behind a line that the kernel refuses.
    """
    return f"""# Written by the ipalias formula.
[Unit]
Description=Addresses of the loopback interface (ipalias)
DefaultDependencies=no
RequiresMountsFor={BATCH}
After=systemd-sysctl.service ipalias-restore.service
Wants=network-pre.target
Before=network-pre.target networking.service systemd-networkd.service NetworkManager.service
Conflicts=shutdown.target
Before=shutdown.target
ConditionPathExists={BATCH}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={ip} -force -batch {BATCH}
TimeoutStartSec=60
"""


def _script(ip: str) -> str:
    return f"#!/bin/sh\n# Written by the ipalias formula.\nexec {ip} -force -batch {BATCH}\n"


def validate(change: Change, host: Host) -> list[Command]:
    """Return no command: ``ip -batch`` has no dry run, and the kernel has the same lines live."""
    return []


def activate(change: Change, host: Host) -> Activation:
    """Return nothing: the kernel is changed already, and what loads the file reads it at boot."""
    return Activation()


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return what loads the file once more; for ``alias`` nothing is needed.

    ``lo`` itself is never taken down: whatever listens on 127.0.0.1 would notice.
    """
    if scope == "alias":
        return []
    return [Command(BATCH_ON, host.read(BATCH) or "", timeout=120.0)]


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return the label as written; IPv6 has none."""
    return alias.label if alias.family == IPV4 else None
