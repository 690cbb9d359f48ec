"""Bring the kernel's addresses to what a plan wants: one list of operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .effects import Effects
from .live import LiveAddress, Snapshot, ops, tools
from .live.batch import Op
from .plan import Plan, differing


def bring_live(plan: Plan, current: Snapshot) -> Effects[None]:
    """Bring the kernel to what the plan wants, in one go.

    An IPv4 address that only changes its prefix is added before the old form goes, so that
    it never leaves.
    """
    now = {address.cidr: address for address in current.on(plan.interface)}
    recreate = set(plan.recreate)
    if plan.situation.backend.STORED:
        # What commands of the owner's have set right is not set anew.
        recreate &= set(differing(plan.situation, plan.live_wanted, now))
    again = [
        (alias, label)
        for alias, label in plan.live_wanted
        if alias.family == 4 and alias.cidr in recreate and alias.cidr in now
    ]
    missing = [(alias, label) for alias, label in plan.live_wanted if alias.cidr not in now]
    going = [now[live.cidr] for live in plan.live_remove if live.cidr in now]
    # The kernel holds an IPv6 address once, whatever its prefix, and that of Solaris any
    # address: here the old form goes first.
    once = (4, 6) if current.system == "sunos" else (6,)
    twice = {alias.address for alias, _ in missing if alias.family in once}
    first = [now[alias.cidr] for alias, _ in again]
    first += [live for live in going if live.address in twice]
    going = [live for live in going if live.address not in twice]
    stay = [alias for alias, _ in plan.live_wanted]
    batch = [
        *ops.delete_ops(first, current, stay),
        *ops.add_ops([*again, *missing], current, take=_owner_adds(plan)),
        *ops.change_ops(
            alias
            for alias, _ in plan.live_wanted
            if alias.family == 6 and alias.cidr in recreate and alias.cidr in now
        ),
        *ops.delete_ops(going, current, stay),
    ]
    yield from run_batch(plan.interface, batch, [*first, *going], current.system)


def _owner_adds(plan: Plan) -> bool:
    """Tell whether the owner adds addresses of its own accord while we do.

    NetworkManager 1.52, woken by our first address, sets the others that its active profile
    held since the boot (seen): then there is no stranger to stop for.
    """
    evidence = plan.situation.evidence
    renderer = evidence.facts.get("renderer")
    return evidence.backend == "networkmanager" or renderer == "NetworkManager"


def run_batch(
    interface: str,
    batch: Sequence[Op],
    deleted: Iterable[LiveAddress],
    system: str,
    *,
    go_on: bool = False,
) -> Effects[None]:
    """Carry out live operations by the system's own tool; see `live.tools`.

    :param go_on: do what is behind one that fails as well; the error names the first.
    :raises BatchError: naming the address that was refused.
    """
    if batch:
        yield from tools.load(system).change(interface, batch, deleted, go_on=go_on)
