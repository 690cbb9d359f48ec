"""Restarts of an interface's owner: what each level cuts, and how the addresses come back.

A change needs none. They are for a person who wants the owner to read everything anew
(`ipalias.restart`), and for the pillar's ``restart: interface|network``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .effects import Effects, Pause, ReadClock, ReadLive, Run
from .errors import VerifyError
from .live import Snapshot, ops
from .livewrite import run_batch
from .model import Command
from .situation import Situation

#: Longest wait for the primary addresses after a restart (seconds): a lease takes its time.
PATIENCE = 30.0
#: Wait between two looks at addresses that the kernel or a daemon is still busy with (s).
LOOK_AGAIN = 0.05
#: Levels, the gentlest first, and what each cuts.
CUTS: Mapping[str, str] = {
    "alias": "the primary address and its connections stay",
    "interface": "every connection over {interface} may be cut",
    "network": "every connection of this host may be cut",
}
#: Levels that a change runs in place of telling the owner.
HARD = ("interface", "network")


def cuts(scope: str, interface: str) -> str:
    """Return in words what a level cuts."""
    return CUTS[scope].format(interface=interface)


def is_up(situation: Situation) -> bool:
    """Tell whether the link is up."""
    link = situation.snapshot.by_link.get(situation.interface)
    return link is not None and "UP" in link.flags


def restarted(situation: Situation, commands: Sequence[Command]) -> Effects[Snapshot]:
    """Run the owner's restart and wait for the primary addresses.

    :raises VerifyError: one did not come back.
    """
    for command in commands:
        yield Run(command)
    started: float = yield ReadClock()
    primaries = set(situation.primaries.values())
    while True:
        now: Snapshot = yield ReadLive()
        live = {address.address for address in now.on(situation.interface)}
        clock: float = yield ReadClock()
        if primaries <= live or clock - started > PATIENCE:
            break
        yield Pause(LOOK_AGAIN)
    if not primaries <= live:
        gone = ", ".join(sorted(primaries - live))
        raise VerifyError(
            f"{gone} did not come back after the restart",
            where=situation.interface,
            way_out="everything was put back",
        )
    return now


def add_fallen(situation: Situation, now: Snapshot) -> Effects[None]:
    """Bring live whatever of ours fell with a restart."""
    live = {address.address for address in now.on(situation.interface)}
    label_of = situation.backend.live_label
    missing = [
        (entry.alias, label_of(entry.alias, situation.evidence))
        for entry in situation.entries.values()
        if entry.live and entry.alias.address not in live
    ]
    yield from run_batch(situation.interface, ops.add_ops(missing, now), (), now.system)
