"""See for each target of a line that it leaves by that line's gateway.

The guide's traceroute step, with the mark and the source that the probes have: what route the
kernel takes (``ip route get``), and which router says that a packet with a time to live of one
has come to it. Nothing is changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
from collections.abc import Callable
from typing import Any

from ..errors import MALFORMED
from . import icmp
from .clocks import boot_clock
from .exchanges import SO_MARK, is_address
from .model import Target, WanConfig, Way
from .switch import Switch

#: Seconds to wait for routers.
WAIT = 1.0
#: Runs a program that only reads; returns what it printed.
Reads = Callable[[list[str]], str]


def check(config: WanConfig, reads: Reads, uplink: str = "") -> list[dict[str, Any]]:
    """Return a row for each target.

    :param uplink: of this one alone; empty: of all.
    :return: ``line``, ``target``, ``command``, ``leaves_by`` (gateway and interface by the
        kernel), ``first_hop`` (who answered, empty: nobody), ``result``, ``comment``.
    """
    rows = []
    switch = Switch(config, lambda text: "")
    try:
        for owner, way in config.ways():
            if uplink and owner.name != uplink:
                continue
            mark, source = config.numbers.mark(owner.index), switch.source(way)
            rows += [_row(way, target, mark, source, reads) for target in _asked(way)]
    finally:
        switch.close()
    return rows


def _asked(way: Way) -> list[Target]:
    """Return the targets with an address of their own, each address once."""
    found = {t.host: t for t in reversed(way.targets) if t.kind != "arp" and is_address(t.host)}
    return [target for target in way.targets if found.get(target.host) is target]


def _row(way: Way, target: Target, mark: int, source: str, reads: Reads) -> dict[str, Any]:
    row: dict[str, Any] = {"line": way.line.text(), "target": target.text(), "first_hop": ""}
    if not source:
        return {**row, "command": "", "leaves_by": {}, "result": False, "comment": "no address"}
    family = "-6" if way.line.family == 6 else "-4"
    words = ["route", "get", target.host, "from", source, "mark", str(mark)]
    leaves = parse_route(reads(["ip", "-j", family, *words]))
    with contextlib.suppress(OSError):
        row["first_hop"] = first_hop(way.line.family, target.host, source, mark)
    result, comment = judge(way, target, leaves, row["first_hop"])
    return {
        **row,
        "command": " ".join(["ip", family, *words]),
        "leaves_by": leaves,
        "result": result,
        "comment": comment,
    }


def parse_route(text: str) -> dict[str, str]:
    """Return gateway and interface from ``ip -j route get``; {} where there is no route."""
    try:
        [row] = json.loads(text)
        if row.get("type") in ("unreachable", "blackhole", "prohibit"):
            return {}
        return {"gateway": str(row.get("gateway", "")), "interface": str(row["dev"])}
    except MALFORMED:
        return {}


def judge(way: Way, target: Target, leaves: dict[str, str], hop: str) -> tuple[bool, str]:
    """Return whether a target leaves by its line's gateway, and what is to be said of it.

    A gateway may answer from another of its addresses, and need not answer at all: the
    kernel's route decides, and who answered is told.
    """
    if not leaves:
        return False, "no route"
    onlink = target.host == way.gateway
    if leaves["interface"] != way.interface:
        return False, f"leaves by {leaves['interface']}, not by {way.interface}"
    if leaves["gateway"] != way.gateway and not onlink:
        return False, f"leaves by {leaves['gateway'] or 'nobody'}, not by {way.gateway}"
    if not hop:
        return True, "the router says nothing"
    if hop not in (way.gateway, target.host):
        return True, f"the router answers as {hop}"
    return True, ""


def first_hop(family: int, address: str, source: str, mark: int, wait: float = WAIT) -> str:
    """Return who answers an echo request that may pass no router; empty: nobody.

    :raises OSError: no right to raw sockets, or no route.
    """
    six = family == 6
    kind = socket.AF_INET6 if six else socket.AF_INET
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    ident = int.from_bytes(os.urandom(2), "big") & ~icmp.TURNS & 0xFFFF
    echo = icmp.Echo(ident, os.urandom(8))
    with socket.socket(kind, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as opened:
        opened.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
        if six:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
        else:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        opened.bind((source, 0))
        opened.sendto(echo.render(family, 1), (address, 0))
        end = boot_clock() + wait
        while (left := end - boot_clock()) > 0:
            if not select.select([opened], [], [], left)[0]:
                break
            packet, sender = opened.recvfrom(icmp.LONGEST)
            who = str(sender[0]).partition("%")[0]
            heard = echo.parse6(packet, who) if six else echo.parse4(packet)
            if heard is not None:
                return who
    return ""
