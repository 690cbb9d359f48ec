"""Build the changes of one ``ip -batch`` from aliases and from what was live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..errors import EffectError
from ..model import SOURCE_AUTO, SOURCE_NEVER, Alias
from . import LiveAddress, Snapshot, is_loopback
from .batch import Op, frees_route, parse_batch_error, wants_route


def alias_of(live: LiveAddress) -> Alias:
    """Return the alias that would make an address live as it is."""
    hidden = live.preferred_zero if live.family == 6 else live.scope == "host"
    source = SOURCE_NEVER if hidden and not is_loopback(live.interface) else SOURCE_AUTO
    return Alias(live.address, live.prefix, live.interface, live.label, source)


def add_ops(
    wanted: Iterable[tuple[Alias, str | None]], snapshot: Snapshot, *, take: bool = False
) -> list[Op]:
    """Return what adds aliases, each subnet's own route added once.

    :param take: see `Op`.
    """
    routed: set[object] = set()
    ops: list[Op] = []
    # One that is live with another prefix is no late-comer: the kernel shall say so.
    known = {address.address for address in snapshot.addresses} if take else set()
    for alias, label in wanted:
        route = wants_route(alias, snapshot) and alias.network_object not in routed
        if route:
            routed.add(alias.network_object)
        ops.append(Op(alias, label=label, route=route, take=take and alias.address not in known))
    return ops


def delete_ops(
    addresses: Sequence[LiveAddress], snapshot: Snapshot, remaining: Iterable[Alias] = ()
) -> list[Op]:
    """Return what takes addresses away, and the subnet routes that we made for them."""
    stay = tuple(remaining)
    ops: list[Op] = []
    freed: set[object] = set()
    for live in addresses:
        alias = alias_of(live)
        route = frees_route(alias, snapshot, stay) and alias.network_object not in freed
        if route:
            freed.add(alias.network_object)
        ops.append(Op(alias, delete=True, route=route))
    return ops


def add_back_ops(addresses: Sequence[LiveAddress], snapshot: Snapshot) -> list[Op]:
    """Return what adds addresses again as they were before."""
    added = add_ops(((alias_of(live), live.label) for live in addresses), snapshot)
    return [
        replace(op, bare="noprefixroute" in live.flags)
        for op, live in zip(added, addresses, strict=True)
    ]


def change_ops(aliases: Iterable[Alias]) -> list[Op]:
    """Return what changes the preferred lifetime of live IPv6 addresses in place."""
    return [Op(alias, change=True) for alias in aliases]


class BatchError(EffectError):
    """Raise for a batch that stopped.

    :param spared: ``address/prefix`` of changes that it did not come to: what is there of
        them is somebody else's.
    """

    def __init__(
        self, what: str, *, where: str, interface: str, spared: Iterable[str] = ()
    ) -> None:
        super().__init__(what, where=where)
        self.interface = interface
        self.spared = frozenset(spared)


def batch_error(interface: str, ops: Sequence[Op], stderr: str) -> EffectError:
    """Return the error for a batch that stopped, naming the address it stopped at."""
    index = parse_batch_error(stderr, ops)
    lines = [line for line in stderr.strip().splitlines() if not line.startswith("Command failed")]
    reason = lines[0] if lines else "ip -batch failed"
    if index is None:
        return EffectError(reason, where=interface)
    op = ops[index]
    verb = "taken away" if op.delete else "changed" if op.change else "added"
    # A change of two lines may be half done.
    behind = ops[index + 1 if op.route else index :]
    spared = {o.alias.cidr for o in behind} - {o.alias.cidr for o in ops[:index]}
    what = f"{op.alias.cidr} could not be {verb}: {reason}"
    where = op.alias.where or interface
    return BatchError(what, where=where, interface=interface, spared=spared)
