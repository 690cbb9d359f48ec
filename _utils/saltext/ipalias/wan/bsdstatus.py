"""What a BSD's lines are at this moment: the machine's word, the kernel's routes, their use."""

from __future__ import annotations

from typing import Any

from ..errors import EffectError
from ..host import Host
from .bsdroutes import Dialect, load, parse_stored
from .model import UP
from .places import Places
from .record import parse_journal


def parse_use(text: str) -> dict[str, int]:
    """Return the ``Use`` column of default routes by gateway, as ``route show`` has it.

    route(8) and ``usr.bin/netstat/show.c``, pr_rthdr, of OpenBSD: Destination, Gateway, Flags,
    Refs, Use. The headline says where the column stands; a table without one tells nothing.
    """
    found: dict[str, int] = {}
    at = None
    for row in text.splitlines():
        words = row.split()
        if words[:2] == ["Destination", "Gateway"]:
            at = words.index("Use") if "Use" in words else None
        elif at is not None and words[:1] == ["default"]:
            used = words[at] if len(words) > at else ""
            found[words[1]] = found.get(words[1], 0) + (int(used) if used.isdecimal() else 0)
    return found


def status(host: Host, state: str) -> list[dict[str, Any]]:
    """Return a row for each line.

    :param state: folder of our own state.
    :return: rows of ``line``, ``interface``, ``gateway``, ``state`` and ``since`` (as the
        journal has it; wall clock, or None), ``carries`` (bool), ``use`` (packets by its
        default route, or None where the system counts none), ``runs`` (bool: ifstated does),
        ``probe`` (the check as a command to repeat by hand).
    :raises EffectError: the routes cannot be read.
    """
    places = Places(state=f"{state}/wan")
    stored = parse_stored(host.read(places.config) or "", places.config)
    if stored is None:
        return []
    dialect = load(host.system)
    journal = parse_journal(host.read(places.journal) or "", places.journal)
    last = {entry.line: entry for entry in journal.entries}
    use = {family: _use(host, family) for family in (4, 6)}
    runs = dialect.is_running(host)
    rows = []
    for uplink, way in stored.config.ways():
        entry = last.get(way.line)
        gateway = dialect.via(way)
        asked = [
            dialect_ping(dialect, t.host, uplink.probe.timeout, way.source) for t in way.targets
        ]
        rows.append(
            {
                "line": way.line.text(),
                "interface": way.interface,
                "gateway": gateway,
                "state": entry.state if entry is not None else UP,
                "since": entry.at if entry is not None else None,
                "carries": gateway in use[way.line.family],
                "use": use[way.line.family].get(gateway) if host.system == "openbsd" else None,
                "runs": runs,
                "probe": asked,
            }
        )
    return rows


def dialect_ping(dialect: Dialect, address: str, timeout: float, source: str) -> str:
    """Return a check as a command to repeat by hand."""
    from ..bootunit import Program

    made = dialect.commands(Program("", "", ""))
    return " ".join(made.ping(address, int(timeout), source))


def _use(host: Host, family: int) -> dict[str, int]:
    """Return the use of each default route; FreeBSD of 13 and later counts none by route."""
    word = "inet" if family == 4 else "inet6"
    argv = ("route", "-n", "show", f"-{word}")
    if host.system == "freebsd":
        argv = ("netstat", "-rnW", "-f", word)
    result = host.run(argv)
    if result.code != 0:
        raise EffectError(result.err.strip() or f"exit {result.code}", where=f"`{' '.join(argv)}`")
    if host.system == "openbsd":
        return parse_use(result.out)
    rows = (row.split() for row in result.out.splitlines())
    return {words[1]: 0 for words in rows if words[:1] == ["default"] and len(words) > 1}
