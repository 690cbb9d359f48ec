"""Linux: addresses read by `iproute2` and changed by one ``ip -batch``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..effects import Effects, Run, WriteKernel
from ..errors import EffectError
from ..host import Host
from ..model import Command
from . import LiveAddress, Route, Snapshot, iproute2
from .batch import BATCH, BATCH_ON, Op, render_batch, route_back_line
from .ops import batch_error

FRAMES = True


def read_snapshot(host: Host) -> Snapshot:
    """Return what the kernel holds now."""
    return iproute2.read_snapshot(host)


def promotion(interface: str) -> str:
    """Return the kernel setting that decides what follows the head of a subnet."""
    return f"/proc/sys/net/ipv4/conf/{interface}/promote_secondaries"


def kernel_settings(interface: str) -> tuple[str, ...]:
    """Return what `change` borrows."""
    return (promotion(interface),)


def change(
    interface: str,
    ops: Sequence[Op],
    deleted: Iterable[LiveAddress],
    *,
    go_on: bool = False,
) -> Effects[None]:
    """Run one batch; name the address that failed.

    Deleting an address that heads its subnet takes the others of that subnet along,
    unless the kernel is told to promote one: so it is, for the moment this takes.
    """
    heads = any(live.family == 4 and live.prefix < 32 for live in deleted)
    switch = promotion(interface)
    before: str | None = None
    if heads:
        before = yield WriteKernel(switch, "1")
    borrowed = before is not None and before.strip() != "1"
    try:
        argv = BATCH_ON if go_on else BATCH
        result = yield Run(Command(argv, render_batch(ops), timeout=120.0), check=False)
    except EffectError:
        if borrowed:
            yield WriteKernel(switch, str(before).strip())
        raise
    if borrowed:
        # Where this fails, the journal has the value.
        yield WriteKernel(switch, str(before).strip())
    if result.code != 0:
        raise batch_error(interface, ops, result.err or result.out)


def check_gateway(host: Host, address: str, interface: str) -> str:
    """Return nothing: gateways are asked by frames here, see `wire.check_gateway`."""
    return ""


def routes_back(routes: Sequence[Route]) -> list[Command]:
    """Return the one batch that puts routes back as they were, each on its own."""
    return [Command(BATCH_ON, "".join(map(route_back_line, routes)))]
