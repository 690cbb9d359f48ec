"""Ask before adding whether somebody on the segment has an address already."""

from __future__ import annotations

from collections.abc import Sequence

from .effects import Effects, Probe
from .errors import EffectError, RefusedError
from .host import Host
from .live import Link, Snapshot, tools
from .plan import Plan
from .probe import render_probe

#: Rounds of probes, and seconds to listen after the last one. A host on the segment
#: answers within a millisecond or two; the second round is for a lost frame.
ROUNDS = 2
LISTEN = 0.12


def refuse_taken(plans: Sequence[Plan], snapshot: Snapshot, host: Host) -> Effects[list[str]]:
    """Refuse addresses that another host answers for: all asked at once, in parallel.

    Where no frames can be sent, the kernel itself looks when it adds an address, and `verify`
    reads what it found; where it does not, the system's programs ask (`tools.taken`).

    :return: what is to be said: addresses that could not be asked for.
    :raises RefusedError: naming address and hardware address of who answered.
    """
    notes: list[str] = []
    ours = {live.address for live in snapshot.addresses}
    for plan in plans:
        link = snapshot.by_link.get(plan.interface)
        asked = {alias.address: alias for alias in plan.live_add}
        # An alias that is live with another prefix is our own: nobody else is to be asked.
        asked = {address: alias for address, alias in asked.items() if address not in ours}
        if not asked or link is None or not probed(link):
            continue
        try:
            taken, said = yield from _asked(link, tuple(asked), snapshot, host)
            notes += said
        except EffectError as error:
            raise EffectError(
                f"duplicates could not be looked for: {error.what}",
                where=plan.interface,
                way_out="set `check_duplicates: false` to go without",
            ) from error
        if taken:
            address, mac = next(iter(taken.items()))
            more = f" (and {len(taken) - 1} more are taken)" if len(taken) > 1 else ""
            raise RefusedError(
                f"{plan.interface}: {address} is taken: {mac} answers for it{more}",
                where=asked[address].where,
                way_out="nothing was written; take it off that host, "
                "or set `check_duplicates: false` for a planned move",
            )
    return notes


def _asked(
    link: Link, asked: tuple[str, ...], snapshot: Snapshot, host: Host
) -> Effects[tuple[dict[str, str], list[str]]]:
    """Ask a segment; return who has what, and what is to be said."""
    if not tools.load(snapshot.system).FRAMES:
        return (yield from tools.taken(link.name, asked, snapshot, host))
    frames = tuple(render_probe(link.mac, address) for address in asked)
    taken: dict[str, str] = yield Probe(link.name, link.mac, asked, frames, ROUNDS, LISTEN)
    return taken, []


def probed(link: Link) -> bool:
    """Tell whether a link is one on which addresses are asked for."""
    return bool(link.mac) and not link.flags & {"NOARP", "LOOPBACK"} and "UP" in link.flags
