"""A pair in a few sentences: what whoever looks at it wants to know first. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..values import span
from .bounds import dangers
from .model import ISC, UNKNOWN
from .pools import Pool
from .reading import Reading

#: Pools that are shown, the fullest.
POOLS = 5
#: Seconds of what a span is told in, the largest first.
_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"))


def glance(reading: Reading) -> list[str]:
    """Return it, the states first, a sentence each."""
    return [
        _own(reading),
        _partner(reading),
        *_ways(reading),
        *_leases(reading),
        _clocks(reading),
        _drill(reading),
        *dangers(reading.config),
    ]


def _own(reading: Reading) -> str:
    me, own = reading.me, reading.own
    said = f"{me.name} ({me.role}, this host): {_state(own.word, own.state)}"
    if reading.said:
        return f"{said}, it does not say: {reading.said}"
    if own.since is not None:
        said += f" for {_lasted(reading.time - own.since)}"
    return said if reading.ways.listening else f"{said}, and does not listen for its peer"


def _partner(reading: Reading) -> str:
    other, state = reading.peer, reading.partner
    said = f"{other.name} ({other.role}): {_state(state.word, state.state)}"
    if reading.config.implementation == ISC and state.state:
        said += f" as {reading.me.name} has it"
    if reading.silent_for:
        return f"{said}, silent for {_lasted(reading.silent_for)}"
    heard = reading.ways.heard
    return f"{said}, {'no session' if heard is None else f'heard {span(round(heard, 1))} ago'}"


def _state(word: str, state: str) -> str:
    return word if state in ("", word) or word == UNKNOWN else f"{word} ({state})"


def _ways(reading: Reading) -> Iterator[str]:
    for way in reading.ways.blocked:
        yield f"blocked: {way}"
    if not reading.ways.blocked:
        yield "nothing is blocked between the two ports"


def _leases(reading: Reading) -> Iterator[str]:
    """Yield the pools, and what the peer has not acknowledged."""
    pools = reading.pools
    if pools is None:
        yield "leases: not known"
    fullest = sorted(pools or (), key=lambda pool: pool.used, reverse=True)
    yield from map(_pool, fullest[:POOLS])
    if len(fullest) > POOLS:
        yield f"{len(fullest) - POOLS} more pools, less full"
    if reading.unacked:
        what = "updates" if reading.config.implementation == ISC else "clients"
        yield f"{reading.unacked} {what} that {reading.peer.name} has not acknowledged"


def _pool(pool: Pool) -> str:
    said = f"{pool.network}: {pool.active} of {pool.total} leased, {pool.free} free"
    if pool.backup is None or pool.balance is None:
        return said
    return f"{said} for the primary, {pool.backup} for the secondary ({pool.balance:.0%} apart)"


def _clocks(reading: Reading) -> str:
    ahead = reading.skew.ahead
    if ahead is None:
        return f"clocks: not known, {reading.skew.by}"
    way = "ahead" if ahead >= 0 else "behind"
    return f"clocks: that of {reading.peer.name} is {abs(ahead):.1f} s {way}"


def _drill(reading: Reading) -> str:
    drill = reading.drill
    good = drill.good if drill else None
    failed = drill is not None and drill.time != good
    said = (
        "no good drill ever" if good is None else f"good drill {_lasted(reading.time - good)} ago"
    )
    return f"{said}, the last one has failed" if failed else said


def _lasted(seconds: float) -> str:
    """Return a span in its largest unit."""
    for size, name in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}" + ("s" if count > 1 else "")
    return f"{max(0.0, seconds):.0f} s"
