"""Look through both sides' lease files for what a pair must never do. Pure.

An address with two clients at one time; an address that one side alone knows of for longer than
it may; an active one that no pool has; and, where clients are asked too, one that a client has
and no side knows of. A file keeps its past only until its server writes it anew, so a proof
hands in several of a side, older ones first.
"""

from __future__ import annotations

import ipaddress
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from .model import ACTIVE, ISC, DhcpConfig, Lease, LeaseFile

TWICE: Final = "twice"
ONE_SIDED: Final = "one side only"
OUTSIDE: Final = "outside"
LOST: Final = "lost"
UNREAD: Final = "unread"
#: Files tell whole seconds, each server its own.
SLACK: Final = 1.0

Sides = Mapping[str, Sequence[LeaseFile]]


@dataclass(frozen=True)
class Finding:
    """Hold what is wrong with an address.

    :param clients: as `Names.of` tells them.
    :param sides: whose files say so; `where`: ``file:line`` of each.
    :param begins: seconds since 1970, and `ends` (None: never), of what should not be.
    """

    kind: str
    address: str
    comment: str
    clients: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    begins: float | None = None
    ends: float | None = None

    def row(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "kind": self.kind,
            "address": self.address,
            "clients": list(self.clients),
            "sides": list(self.sides),
            "where": list(self.where),
            "from": self.begins,
            "until": self.ends,
            "comment": self.comment,
        }


class Held(NamedTuple):
    """Hold what a client says that it has."""

    address: str
    mac: str


class _Span(NamedTuple):
    """Hold from when to when a client had an address, by one entry."""

    begins: float
    ends: float
    client: str
    side: str
    where: str


class _End(NamedTuple):
    """Hold when a client gave an address up, by one entry.

    :param last: the same file has nothing newer of the two.
    """

    moment: float
    side: str
    last: bool


@dataclass
class _Address:
    """Hold all that both sides say of an address."""

    spans: list[_Span] = field(default_factory=list)
    ends: dict[str, list[_End]] = field(default_factory=lambda: defaultdict(list))


class Names:
    """Tell clients apart: by the id that one gives, else by its hardware address.

    A file may leave the id out in an entry that has the hardware address.
    """

    def __init__(self, leases: Iterable[Lease]) -> None:
        self._ids: dict[str, set[str]] = defaultdict(set)
        for lease in leases:
            if lease.mac and lease.client:
                self._ids[lease.mac].add(lease.client)

    def of(self, lease: Lease) -> str:
        """Return the client of a lease; empty: it names none."""
        if lease.client:
            return f"id {lease.client}"
        known = self._ids.get(lease.mac, set())
        return f"id {next(iter(known))}" if len(known) == 1 else lease.mac


def find(
    sides: Sides,
    config: DhcpConfig,
    now: float,
    *,
    grace: float | None = None,
    held: Iterable[Held] = (),
) -> list[Finding]:
    """Return what is wrong, by address.

    :param sides: by a name for messages, the files of each, older ones first.
    :param now: seconds since 1970.
    :param grace: seconds for which one side alone may know of a lease; None: the pair's
        ``mclt``, which is how far a side may go without the other one.
    :param held: what clients say that they have.
    """
    names = Names(lease for files in sides.values() for f in files for lease in f.leases)
    last = {side: _last(files) for side, files in sides.items()}
    may = float(config.pair.mclt) if grace is None else grace
    found = [*_twice(sides, names), *_outside(last, config, now)]
    if len(sides) > 1:
        found += _one_sided(sides, last, names, config, now, may)
    found += _lost(last, held, now)
    found.sort(key=lambda f: (int(ipaddress.IPv4Address(f.address)), f.kind))
    unread = [
        Finding(UNREAD, "", problem, sides=(side,))
        for side, files in sides.items()
        for file in files
        for problem in file.problems
    ]
    return found + unread


def _last(files: Sequence[LeaseFile]) -> dict[str, Lease]:
    """Return a side's last word on each address."""
    return {address: lease for file in files for address, lease in file.last().items()}


# -- given twice -----------------------------------------------------------------------------


def _twice(sides: Sides, names: Names) -> Iterable[Finding]:
    for address, all_of_it in _gather(sides, names).items():
        by_client: dict[str, list[_Span]] = defaultdict(list)
        for span in all_of_it.spans:
            closed = _closed(span, all_of_it.ends[span.client])
            if closed.ends - closed.begins > 0:
                by_client[span.client].append(closed)
        clients = sorted(by_client)
        for number, one in enumerate(clients):
            for other in clients[number + 1 :]:
                pair = _overlap(by_client[one], by_client[other])
                if pair is not None:
                    yield _given_twice(address, *pair)


def _gather(sides: Sides, names: Names) -> dict[str, _Address]:
    """Return by address who had it when, and who gave it up when."""
    found: dict[str, _Address] = defaultdict(_Address)
    for side, files in sides.items():
        ordered: dict[str, list[Lease]] = defaultdict(list)
        for file in files:
            for lease in file.leases:
                ordered[lease.address].append(lease)
        for address, leases in ordered.items():
            _gather_one(found[address], side, leases, names)
    return found


def _gather_one(into: _Address, side: str, leases: list[Lease], names: Names) -> None:
    """Take in what one side says of one address, in the order in which it came about."""
    open_: dict[str, list[_Span]] = defaultdict(list)
    ends: dict[str, _End] = {}
    for lease in leases:
        client = names.of(lease)
        if not client:
            continue
        if lease.state == ACTIVE:
            begins = lease.starts if lease.starts is not None else lease.heard
            last = math.inf if lease.ends is None else lease.ends
            if begins is not None:
                open_[client].append(_Span(begins, last, client, side, lease.where))
            if client in ends:
                into.ends[client].append(ends.pop(client)._replace(last=False))
            continue
        moment = lease.ends if lease.ends is not None else lease.heard
        if moment is None:
            continue
        into.spans += [_cut(span, moment) for span in open_.pop(client, [])]
        if client in ends:
            into.ends[client].append(ends[client]._replace(last=False))
        ends[client] = _End(moment, side, True)
    into.spans += [span for spans in open_.values() for span in spans]
    for client, end in ends.items():
        into.ends[client].append(end)


def _cut(span: _Span, moment: float) -> _Span:
    return span._replace(ends=max(span.begins, min(span.ends, moment)))


def _closed(span: _Span, ends: Iterable[_End]) -> _Span:
    """Return a span as the other side has seen it end: what is sent there is the latest state.

    What has happened within one second cannot be told apart: an end then counts if it was the
    last that came about.
    """
    for end in ends:
        if end.side == span.side:
            continue
        if span.begins < end.moment or (end.last and span.begins == end.moment):
            span = _cut(span, end.moment)
    return span


def _overlap(first: list[_Span], second: list[_Span]) -> tuple[_Span, _Span] | None:
    """Return two spans that have more than the slack in common, or None."""
    for one in first:
        for other in second:
            if min(one.ends, other.ends) - max(one.begins, other.begins) > SLACK:
                return one, other
    return None


def _given_twice(address: str, one: _Span, other: _Span) -> Finding:
    begins, ends = max(one.begins, other.begins), min(one.ends, other.ends)
    return Finding(
        TWICE,
        address,
        f"{one.client} ({one.where}) and {other.client} ({other.where}) had it at one time",
        (one.client, other.client),
        tuple(dict.fromkeys((one.side, other.side))),
        (one.where, other.where),
        begins,
        None if math.isinf(ends) else ends,
    )


# -- known to one side, to none, to no pool --------------------------------------------------


def _is_active(lease: Lease | None, now: float) -> bool:
    if lease is None or lease.state != ACTIVE:
        return False
    return lease.ends is None or lease.ends > now


def _one_sided(
    sides: Sides,
    last: Mapping[str, Mapping[str, Lease]],
    names: Names,
    config: DhcpConfig,
    now: float,
    may: float,
) -> Iterable[Finding]:
    for side, leases in last.items():
        first = _first_starts(sides[side], names)
        others = [other for other in last if other != side]
        for address, lease in leases.items():
            client = names.of(lease)
            since = first.get((address, client))
            due = since is None or now - since > may or _runs_ahead(lease, config)
            if not _is_active(lease, now) or not due:
                continue
            for other in others:
                there = last[other].get(address)
                known = _is_active(there, now) and there and names.of(there) == client
                if not known:
                    said = f"there it is {there.state} ({there.where})" if there else "not there"
                    yield Finding(
                        ONE_SIDED,
                        address,
                        f"{client} has it by {side} ({lease.where}); {other} does not know: {said}",
                        (client,),
                        (side,),
                        (lease.where,),
                        since,
                        lease.ends,
                    )


def _runs_ahead(lease: Lease, config: DhcpConfig) -> bool:
    """Tell whether a lease is longer than dhcpd may make one that its peer does not know of."""
    if config.implementation != ISC or lease.starts is None:
        return False
    return lease.ends is None or lease.ends - lease.starts > config.pair.mclt


def _first_starts(files: Sequence[LeaseFile], names: Names) -> dict[tuple[str, str], float]:
    """Return when each client got each address first, as far back as a file goes."""
    first: dict[tuple[str, str], float] = {}
    for file in files:
        for lease in file.leases:
            if lease.state == ACTIVE and lease.starts is not None:
                key = (lease.address, names.of(lease))
                first[key] = min(first.get(key, lease.starts), lease.starts)
    return first


def _outside(
    last: Mapping[str, Mapping[str, Lease]], config: DhcpConfig, now: float
) -> Iterable[Finding]:
    ranges = [
        (int(ipaddress.IPv4Address(one.first)), int(ipaddress.IPv4Address(one.last)))
        for subnet in config.subnets
        for one in subnet.ranges
    ]
    reserved = {r.address for subnet in config.subnets for r in subnet.reservations}
    for side, leases in last.items():
        for address, lease in leases.items():
            number = int(ipaddress.IPv4Address(address))
            inside = any(first <= number <= final for first, final in ranges)
            if _is_active(lease, now) and not inside and address not in reserved:
                yield Finding(
                    OUTSIDE,
                    address,
                    f"{side} has it active ({lease.where}), and no pool of {config.where} has it",
                    (lease.mac or lease.client,),
                    (side,),
                    (lease.where,),
                    lease.starts,
                    lease.ends,
                )


def _lost(
    last: Mapping[str, Mapping[str, Lease]], held: Iterable[Held], now: float
) -> Iterable[Finding]:
    for address, mac in held:
        known = [leases.get(address) for leases in last.values()]
        if not any(_is_active(x, now) and x is not None and x.mac == mac for x in known):
            said = "; ".join(f"{x.state} ({x.where})" for x in known if x is not None)
            yield Finding(
                LOST,
                address,
                f"{mac} has it, and no side knows: {said or 'no file names it'}",
                (mac,),
                tuple(last),
            )
