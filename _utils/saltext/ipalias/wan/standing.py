"""What is to be wanted before anyone has decided anything, from what the kernel holds. Pure."""

from __future__ import annotations

from .kernel import Kernel
from .model import TIER, Line, Uplink, WanConfig, Wanted, Way
from .routes import FIRST


def standing(config: WanConfig, kernel: Kernel) -> Wanted:
    """Return what is to be wanted before anyone has decided anything.

    The lines that carry the default routes in the kernel now: a monitor that starts anew
    changes nothing by it. A family without any has all lines of its best tier.
    """
    held = carried(config, kernel)
    lines: dict[int, tuple[tuple[Line, int], ...]] = {}
    for family in (4, 6):
        ways = [(u, way) for u, way in config.ways() if way.line.family == family]
        best = min((uplink.tier for uplink, _ in ways), default=0)
        tiers = config.policy == TIER
        every = tuple((way.line, u.weight) for u, way in ways if u.tier == best or not tiers)
        if ways:
            lines[family] = held.get(family) or every
    return Wanted(lines, "as it stood")


def taken_over(config: WanConfig, former: WanConfig | None, kernel: Kernel) -> Wanted:
    """Return what is to be wanted when one configuration follows another.

    A line that carried nothing though its tier was in use is taken to be down, and stays
    out; one that is new, or of which nothing is known, is taken to be up until the monitor
    knows better.
    """
    if former == config:
        return standing(config, kernel)
    held = carried(former, kernel) if former is not None else {}
    tiers = {u.name: u.tier if former and former.policy == TIER else 1 for u, _ in _ways(former)}
    lines: dict[int, tuple[tuple[Line, int], ...]] = {}
    for family in (4, 6):
        carrying = {line for line, _ in held.get(family, ())}
        used = max((tiers[line.uplink] for line in carrying), default=0)
        down = {
            way.line
            for uplink, way in _ways(former)
            if way.line.family == family and way.line not in carrying and tiers[uplink.name] <= used
        }
        ways = [(u, way) for u, way in config.ways() if way.line.family == family]
        up = [(u, way) for u, way in ways if way.line not in down] or ways
        best = min((uplink.tier for uplink, _ in up), default=0)
        tiered = config.policy == TIER
        if ways:
            lines[family] = tuple((w.line, u.weight) for u, w in up if u.tier == best or not tiered)
    return Wanted(lines, "a new configuration")


def _ways(config: WanConfig | None) -> tuple[tuple[Uplink, Way], ...]:
    return config.ways() if config is not None else ()


def carried(config: WanConfig, kernel: Kernel) -> dict[int, tuple[tuple[Line, int], ...]]:
    """Return the lines that the kernel's default routes of ours use, with their weights."""
    numbers = config.numbers
    weights = {ident: weight for group in kernel.groups for ident, weight in group.members}
    hops = {
        (route.family, hop.gateway, hop.interface): hop.weight
        for route in kernel.routes
        if (route.table, route.metric) == (numbers.default_table, FIRST)
        for hop in route.hops
    }
    found: dict[int, tuple[tuple[Line, int], ...]] = {}
    for uplink, way in config.ways():
        family = way.line.family
        weight = weights.get(numbers.nexthop_of(uplink.index, family))
        weight = weight or hops.get((family, way.gateway, way.interface))
        if weight:
            found[family] = (*found.get(family, ()), (way.line, weight))
    return found
