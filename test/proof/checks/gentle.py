"""Zero bounce: what a running connection feels while 100 aliases come and go."""

from __future__ import annotations

from proof.registry import Missed, check, demand
from proof.stage import Stage, shorten
from rig.gentle import Gentleness, watch

#: 80 and 20.
HUNDRED = ("198.51.100.100-198.51.100.179", "2001:db8:1::100-2001:db8:1::113")
FOREIGN = ("203.0.113.77/32", "2001:db8:2::77/128")
#: Longest silence in milliseconds on a connection asked every 10 ms.
AIM_MS = 50.0


def bounce(stage: Stage, foreign: tuple[str, ...]) -> str:
    """Add and remove 100 aliases under watch, and judge what was seen."""
    host = stage.host
    for cidr in foreign:
        host.ip("address", "add", cidr, "dev", "eth0")
    with watch(host, stage.peer, host.primary) as seen:
        added = stage.apply(*HUNDRED)
        removed = stage.apply()
    demand(len(added.listed("added")) == 100, f"{len(added.listed('added'))} of 100 added")
    demand(len(removed.listed("removed")) == 100, f"{len(removed.listed('removed'))} removed")
    stage.demand_live(*foreign)
    lost = [line for word in (*stage.own, *foreign, "default") for line in seen.deleted_with(word)]
    demand(not lost, f"deleted: {shorten('; '.join(lost))}")
    demand(not seen.lost_routes, f"lost routes: {'; '.join(seen.lost_routes)}")
    return felt(seen)


def felt(seen: Gentleness) -> str:
    """Return the figure of a watch.

    :raises NotKept: for a connection that was lost.
    :raises Missed: for a gap over the aim that a starved asker does not explain.
    """
    demand(seen.answers > 10, f"the watch heard {seen.answers} answers")
    demand(not seen.resets, f"{seen.resets} connections lost")
    figure = f"longest gap {seen.longest_gap_ms:.0f} ms"
    if seen.longest_gap_ms > AIM_MS:
        told = f"{figure} (the asker itself stalled {seen.stall_ms:.0f} ms), aim {AIM_MS:.0f} ms"
        if seen.longest_gap_ms - seen.stall_ms > AIM_MS:
            raise Missed(told)
        return told
    return figure


@check(20, "zero bounce while 100 aliases are added and removed", alone=True)
def no_bounce(stage: Stage) -> str:
    """TCP to the primary sees no reset; the kernel deletes no primary and no default route."""
    return bounce(stage, ())


@check(21, "the same with foreign addresses live, which stay too", alone=True)
def no_bounce_foreign(stage: Stage) -> str:
    """As line 20, with addresses that someone added by hand: none is ever deleted."""
    return bounce(stage, FOREIGN)
