"""Restarts of an interface's owner: what each level cuts, and how the addresses come back.

A change needs none. They are for a person who wants the owner to read everything anew
(`ipalias.restart`), and for the pillar's ``restart: interface|network``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from .effects import Effects, Pause, ReadClock, ReadLive, Run
from .errors import VerifyError
from .ledger import Ledger
from .live import LiveAddress, Snapshot, is_loopback, ops
from .livewrite import run_batch
from .model import Command
from .plan import RELOAD
from .situation import Situation

#: Longest wait for the primary addresses after a restart (seconds): a lease takes its time.
PATIENCE = 30.0
#: The same for the static ones of all other interfaces together, when those are back: both
#: have to end well before the dead man fires.
PATIENCE_BESIDE = 10.0
#: Wait between two looks at addresses that the kernel or a daemon is still busy with (s).
LOOK_AGAIN = 0.05
#: Levels, the gentlest first, and what each cuts.
CUTS: Mapping[str, str] = {
    "alias": "the primary address and its connections stay",
    "interface": "every connection over {interface} may be cut",
    "network": "every connection of this host may be cut",
}
#: What a reload of networkd does, the gentlest level there.
RELOADING = (
    "addresses that networkd did not set are dropped; before version 255 the primary address"
    " leaves for a moment"
)
#: Levels that a change runs in place of telling the owner.
NETWORK = "network"
HARD = ("interface", NETWORK)
#: Words for an address that comes and goes by itself.
PASSING = frozenset({"dynamic", "mngtmpaddr", "temporary", "tentative", "dadfailed"})


def cuts(scope: str, interface: str, commands: Sequence[str] = ()) -> str:
    """Return in words what a level cuts.

    :param commands: what it runs; networkd's gentlest is not as gentle as the others'.
    """
    if scope == "alias" and " ".join(RELOAD) in commands:
        return RELOADING
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
    return (yield from primaries_back(situation))


def primaries_back(situation: Situation) -> Effects[Snapshot]:
    """Wait for an interface's primary addresses.

    :raises VerifyError: one did not come back.
    """
    primaries = set(situation.primaries.values())
    now = yield from _awaited({situation.interface: primaries}, PATIENCE)
    lost = primaries - {address.address for address in now.on(situation.interface)}
    if lost:
        gone = ", ".join(sorted(lost))
        raise VerifyError(
            f"{gone} did not come back after the restart",
            where=situation.interface,
            way_out="everything was put back",
        )
    return now


def _awaited(wanted: Mapping[str, Collection[str]], patience: float) -> Effects[Snapshot]:
    """Look until interfaces have their addresses, or time is up."""
    started: float = yield ReadClock()
    while True:
        now: Snapshot = yield ReadLive()
        there = all(
            {address.address for address in now.on(name)}.issuperset(addresses)
            for name, addresses in wanted.items()
        )
        clock: float = yield ReadClock()
        if there or clock - started > patience:
            return now
        yield Pause(LOOK_AGAIN)


def beside(before: Snapshot, done: Collection[str]) -> dict[str, tuple[LiveAddress, ...]]:
    """Return the addresses of the other interfaces, which a restart of the network reaches.

    :param done: interfaces that the change is about.
    """
    return {
        link.name: before.on(link.name)
        for link in before.links
        if link.name not in done
        and "UP" in link.flags
        and not is_loopback(link.name)
        and before.on(link.name)
    }


def add_fallen_beside(
    before: Snapshot, ledger: Ledger, done: Collection[str]
) -> Effects[list[str]]:
    """Bring live what of ours fell on other interfaces with a restart of the network.

    :return: what did not come back of all that was live there; see `gone`.
    """
    reached = beside(before, done)
    now = yield from _awaited(
        {
            name: {live.address for live in lasting(listed) if live.cidr not in ledger.on(name)}
            for name, listed in reached.items()
        },
        PATIENCE_BESIDE,
    )
    for name, listed in reached.items():
        entries = ledger.on(name)
        ours = [live for live in listed if live.cidr in entries and entries[live.cidr].live]
        there = {live.cidr for live in now.on(name)}
        fallen = [live for live in ours if live.cidr not in there]
        if name in now.by_link:
            # Its owner may be about to set them itself.
            batch = [replace(op, take=True) for op in ops.add_back_ops(fallen, now)]
            yield from run_batch(name, batch, (), now.system)
    after: Snapshot = yield ReadLive()
    return gone(before, after, reached)


def gone(before: Snapshot, after: Snapshot, names: Iterable[str]) -> list[str]:
    """Return, a sentence each, the addresses of interfaces that a restart took away."""
    said = []
    for name in names:
        there = {live.cidr for live in after.on(name)}
        said += [
            f"{live.cidr} of {name} was live before the restart: it is gone"
            for live in lasting(before.on(name))
            if live.cidr not in there
        ]
    return said


def lasting(listed: Iterable[LiveAddress]) -> list[LiveAddress]:
    """Return the addresses that do not come and go by themselves."""
    return [a for a in listed if a.scope != "link" and not a.flags & PASSING]


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
