"""Rules of pf.conf(5) by which traffic leaves with a line's address, in each BSD's grammar. Pure.

OpenBSD (4.7 and later) has ``nat-to`` as the last words of a ``pass`` rule, and the last rule
that matches counts. FreeBSD (to 14) has ``nat`` rules of their own, before every filter
rule, and the first one counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import UnsupportedError
from .model import WanConfig, Way


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


def is_told_apart(config: WanConfig, way: Way) -> bool:
    """Tell whether the states of a line's NAT can be told from those of any other line.

    By the interface alone: with one for two lines pf does not see by which gateway a
    connection went, and one with the same source lives on by the other.
    """
    alone = all(w.line == way.line or w.interface != way.interface for _, w in config.ways())
    return alone and way.line.family == 4 and bool(config.nat.networks)


def label_of(way: Way) -> str:
    """Return the label of a line's rules, by which its states are forgotten."""
    return f"ipalias_{way.line.uplink}"


def _pairs(config: WanConfig) -> Iterator[tuple[str, str, str, str]]:
    """Yield interface, network, the address that stands in for it, and a label or nothing."""
    seen: dict[tuple[str, str, str, str], None] = {}
    for _, way in config.ways():
        if way.line.family == 4:
            label = f'label "{label_of(way)}" ' if is_told_apart(config, way) else ""
            for network in config.nat.networks:
                source = way.source or f"({way.interface})"
                seen[way.interface, network, source, label] = None
    yield from seen


def rules_openbsd(config: WanConfig) -> str:
    """Return the rules, in the guide's form; IPv6 is not translated."""
    rows = [f"pass out on {i} inet from {n} to any {t}nat-to {a}" for i, n, a, t in _pairs(config)]
    return "".join(f"{row}\n" for row in rows)


def rules_freebsd(config: WanConfig) -> str:
    """Return the rules as FreeBSD 13 and 14 read them; a ``nat`` rule has no label."""
    rows = [f"nat on {i} inet from {n} to any -> {a}" for i, n, a, _ in _pairs(config)]
    return "".join(f"{row}\n" for row in rows)
