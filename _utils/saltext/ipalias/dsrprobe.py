"""Ask a segment who answers for a VIP: the balancer may, a real server must not."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .dsr import parse_vips
from .effects import Probe
from .errors import InputError, RefusedError
from .host import SYSTEMS
from .live import Link, Snapshot, tools
from .probe import render_probe
from .request import Machine
from .values import parse_interface

#: Rounds of each form of the question, and seconds to listen after each.
ROUNDS, LISTEN = 3, 0.3


def probe(
    host: Machine,
    vips: Sequence[str] | None,
    interface: str | None,
    real: Sequence[str],
    macs: Sequence[str],
) -> dict[str, Any]:
    """Ask for VIPs and for the real server's own addresses, and hold the answers together.

    Each is asked for in both forms: as a neighbour who wants to send something, and as one who
    looks whether the address is free. A kernel may treat them differently.

    :param interface: None: the one whose subnet holds the first of `real`.
    :param real: addresses that have to answer; who does is the real server.
    :param macs: more hardware addresses of the real server.
    :return: ``result``, ``interface``, ``answers`` (address → hardware addresses), ``faults``
        and ``comment``.
    :raises InputError: no VIP, an address that is none, no such interface.
    :raises RefusedError: a system that lets no program send such frames.
    """
    asked = [vip.address for vip in parse_vips(list(vips or ()), "vips")]
    if not asked:
        raise InputError("there is nothing to ask for", where="vips")
    own = [alias.address for alias in parse_vips(list(real), "real")]
    if not tools.load(host.system).FRAMES:
        raise RefusedError(
            f"{SYSTEMS[host.system]} lets no program send such frames",
            way_out="let a Linux host of the segment ask",
        )
    snapshot: Snapshot = tools.load(host.system).read_snapshot(host)
    link = _link(snapshot, interface, own)
    _refuse_own(snapshot, [*asked, *own])
    answers = _ask(host, snapshot, link, [*asked, *own])
    theirs = {*macs, *(mac for address in own for mac in answers[address])}
    faults = _faults(asked, own, answers, theirs)
    return {
        "result": not faults,
        "interface": link.name,
        "answers": answers,
        "faults": faults,
        "comment": _comment(link.name, asked, own, answers, faults),
    }


def _link(snapshot: Snapshot, interface: str | None, own: Sequence[str]) -> Link:
    """Return the link to ask on."""
    if interface is not None:
        parse_interface(interface, "interface", snapshot.system)
        if interface not in snapshot.by_link:
            raise InputError(
                f"there is no interface {interface!r}",
                where="interface",
                way_out=f"this host has {', '.join(sorted(snapshot.by_link)[:20])}",
            )
        return snapshot.by_link[interface]
    for address in own:
        for live in snapshot.addresses:
            network = ipaddress.ip_network(live.cidr, strict=False)
            link = snapshot.by_link.get(live.interface)
            if link is not None and link.mac and ipaddress.ip_address(address) in network:
                return link
    raise InputError(
        "which interface is meant cannot be told",
        where="interface",
        way_out="name it, or give with `real` an address of one of this host's subnets",
    )


def _refuse_own(snapshot: Snapshot, addresses: Collection[str]) -> None:
    """Refuse to ask for what this host has itself: a host does not answer its own question."""
    for live in snapshot.addresses:
        if live.address in addresses:
            raise InputError(
                f"{live.address} is live on this host's {live.interface}",
                where="vips",
                way_out="let a host ask that is no real server for it",
            )


def _ask(
    host: Machine, snapshot: Snapshot, link: Link, addresses: Sequence[str]
) -> dict[str, list[str]]:
    """Return who answers for each address."""
    frames: list[bytes] = []
    for address in addresses:
        source = _source(snapshot, link.name, address)
        frames.append(render_probe(link.mac, address))
        if source is not None:
            frames.append(render_probe(link.mac, address, source))
    heard: Mapping[str, Sequence[str]] = host.perform(
        Probe(link.name, link.mac, tuple(addresses), tuple(frames), ROUNDS, LISTEN, every=True)
    )
    return {address: list(heard.get(address, ())) for address in addresses}


def _source(snapshot: Snapshot, interface: str, address: str) -> str | None:
    """Return an own address to ask from: for IPv6 the link's, which each neighbour reaches."""
    six = ":" in address
    for live in snapshot.on(interface):
        if (live.family == 6) == six and (not six or live.scope == "link"):
            return live.address
    return None


def _faults(
    asked: Sequence[str],
    own: Sequence[str],
    answers: Mapping[str, Sequence[str]],
    theirs: Collection[str],
) -> list[str]:
    faults = [
        f"nobody answers for {address}, an address of the real server itself: it is not reached, "
        "and its silence says nothing"
        for address in own
        if not answers[address]
    ]
    for vip in asked:
        loud = [mac for mac in answers[vip] if not theirs or mac in theirs]
        if loud:
            who = "the real server" if theirs else "somebody"
            faults.append(f"{who} ({', '.join(loud)}) answers for {vip}")
    return faults


def _comment(
    interface: str,
    asked: Sequence[str],
    own: Sequence[str],
    answers: Mapping[str, Sequence[str]],
    faults: Sequence[str],
) -> str:
    if faults:
        return f"{interface}: {'; '.join(faults)}"
    said = []
    for vip in asked:
        who = f"only {', '.join(answers[vip])}" if answers[vip] else "nobody"
        said.append(f"{who} answers for {vip}")
    listed = f", which answers for {', '.join(own)}" if own else ""
    return f"{interface}: {'; '.join(said)}; the real server{listed} is silent"
