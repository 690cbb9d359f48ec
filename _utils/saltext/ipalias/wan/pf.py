"""Rules of pf.conf(5) by which traffic leaves with a line's address, in each BSD's grammar. Pure.

OpenBSD (4.7 and later) has ``nat-to`` as the last words of a ``pass`` rule, and the last rule
that matches counts. FreeBSD (to 14) has ``nat`` rules of their own, before every filter
rule, and the first one counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import UnsupportedError
from .model import WanConfig


def refuse_ambiguous(config: WanConfig) -> None:
    """Refuse two sources on one interface: pf does not see by which gateway a packet leaves.

    :raises UnsupportedError: naming the second.
    """
    sources: dict[tuple[str, int], str] = {}
    for uplink, way in config.ways():
        first = sources.setdefault((way.interface, way.line.family), way.source)
        if first != way.source and (config.nat.networks or config.nat.networks6):
            raise UnsupportedError(
                f"{way.interface} has two sources, and pf does not know by which gateway of one "
                "interface a packet leaves",
                where=f"{uplink.where}:source",
                way_out="leave the source out, or give each uplink an interface",
            )


def _pairs(config: WanConfig) -> Iterator[tuple[str, str, str]]:
    """Yield interface, network and the address that stands in for it."""
    seen: dict[tuple[str, str, str], None] = {}
    for _, way in config.ways():
        if way.line.family == 4:
            for network in config.nat.networks:
                seen[way.interface, network, way.source or f"({way.interface})"] = None
    yield from seen


def rules_openbsd(config: WanConfig) -> str:
    """Return the rules, in the guide's form; IPv6 is not translated."""
    rows = [f"pass out on {i} inet from {n} to any nat-to {a}" for i, n, a in _pairs(config)]
    return "".join(f"{row}\n" for row in rows)


def rules_freebsd(config: WanConfig) -> str:
    """Return the rules as FreeBSD 13 and 14 read them."""
    rows = [f"nat on {i} inet from {n} to any -> {a}" for i, n, a in _pairs(config)]
    return "".join(f"{row}\n" for row in rows)
