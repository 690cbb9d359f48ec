"""Bring the kernel's addresses to what a plan wants: one ``ip -batch``."""

from __future__ import annotations

from collections.abc import Iterable

from .effects import Effects, Run, WriteKernel
from .errors import EffectError
from .live import LiveAddress, Snapshot, ops
from .live.batch import BATCH, BATCH_ON, Op, render_batch
from .model import Command
from .plan import Plan


def bring_live(plan: Plan, current: Snapshot) -> Effects[None]:
    """Bring the kernel to what the plan wants, in one ``ip -batch``.

    An IPv4 address that only changes its prefix is added before the old form goes, so that
    it never leaves.
    """
    now = {address.cidr: address for address in current.on(plan.interface)}
    recreate = set(plan.recreate)
    again = [
        (alias, label)
        for alias, label in plan.live_wanted
        if alias.family == 4 and alias.cidr in recreate and alias.cidr in now
    ]
    missing = [(alias, label) for alias, label in plan.live_wanted if alias.cidr not in now]
    going = [now[live.cidr] for live in plan.live_remove if live.cidr in now]
    # The kernel holds an IPv6 address once, whatever its prefix: here the old form goes first.
    twice = {alias.address for alias, _ in missing if alias.family == 6}
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
    yield from run_batch(plan.interface, batch, [*first, *going])


def promotion(interface: str) -> str:
    """Return the kernel setting that decides what follows the head of a subnet."""
    return f"/proc/sys/net/ipv4/conf/{interface}/promote_secondaries"


def _owner_adds(plan: Plan) -> bool:
    """Tell whether the owner adds addresses of its own accord while we do.

    NetworkManager 1.52, woken by our first address, sets the others that its active profile
    held since the boot (seen): then there is no stranger to stop for.
    """
    evidence = plan.situation.evidence
    renderer = evidence.facts.get("renderer")
    return evidence.backend == "networkmanager" or renderer == "NetworkManager"


def run_batch(
    interface: str, batch: list[Op], deleted: Iterable[LiveAddress], *, go_on: bool = False
) -> Effects[None]:
    """Run live operations; name the address that failed.

    Deleting an address that heads its subnet takes the others of that subnet along,
    unless the kernel is told to promote one: so it is, for the moment this takes.

    :param go_on: do what is behind a line that fails as well; the error names the first.
    """
    if not batch:
        return
    heads = any(live.family == 4 and live.prefix < 32 for live in deleted)
    switch = promotion(interface)
    before: str | None = None
    if heads:
        before = yield WriteKernel(switch, "1")
    borrowed = before is not None and before.strip() != "1"
    try:
        argv = BATCH_ON if go_on else BATCH
        result = yield Run(Command(argv, render_batch(batch), timeout=120.0), check=False)
    except EffectError:
        if borrowed:
            yield WriteKernel(switch, str(before).strip())
        raise
    if borrowed:
        # Where this fails, the journal has the value.
        yield WriteKernel(switch, str(before).strip())
    if result.code != 0:
        raise ops.batch_error(interface, batch, result.err or result.out)
