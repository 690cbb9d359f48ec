"""What a pair is, for people and for orchestration: a `Reading` as plain data.

Salt's outputter of an answer sorts its keys and leaves lists as they are. So what is wanted first
is a list of sentences under a key that sorts first, and the log under one that sorts last.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..values import parse_bool, parse_int
from ..wan.history import clock_text
from . import logs
from .glance import glance
from .logs import LogLine
from .model import ISC, Member
from .pools import Pool
from .reading import Drill, Reading, Side

#: What an open way, and one that nobody can tell of, are called for people.
_INWARD = {
    "open": "open: the peer has a session on our port",
    "idle": "not needed: our own session carries the traffic",
    "silent": "the peer has no session on our port",
    "unknown": "not known: the kernel does not tell of its sockets",
    "": "not known",
}


AT_A_GLANCE = "at a glance"
#: Lines of the log in a short answer.
FEW = 5
#: Of `rows`, what a short answer has: what of a member changes, and which way is blocked.
_SHORT = {
    "me": ("name", "state", "says", "listening"),
    "peer": ("name", "state", "says", "last contact", "hears us"),
    "ports": ("blocked",),
}


def parse_telling(whole: object, log: object) -> Callable[[Reading], dict[str, Any]]:
    """Return how a reading is told to who asks.

    :param whole: `rows`, else `short`.
    :param log: lines of the log, up to what is looked through; None: as many as usual.
    :raises InputError: neither can be meant.
    """
    tell = rows if parse_bool(whole, "whole") else short
    if log is None:
        return tell
    return partial(tell, lines=parse_int(log, "log", 0, logs.LOOKED_THROUGH))


def short(reading: Reading, lines: int = FEW) -> dict[str, Any]:
    """Return what is wanted first: sentences, what of `rows` changes, and the end of the log.

    :param lines: of the log, at most.
    """
    whole = rows(reading, 0)
    listed = {key: {name: whole[key][name] for name in names} for key, names in _SHORT.items()}
    said = [f"{clock_text(line.time)} {line.text}" for line in logs.last(reading.log, lines)]
    return {
        AT_A_GLANCE: whole[AT_A_GLANCE],
        **listed,
        "problems": whole["problems"],
        "what the log says": said,
    }


def rows(reading: Reading, lines: int = logs.TOLD) -> dict[str, Any]:
    """Return what is known of the pair from this side.

    ``state`` is one of `model.STATES` on both sides, ``says`` the server's own word for it;
    times are in seconds.

    :param lines: of the log, at most.
    """
    ways = reading.ways
    isc = reading.config.implementation == ISC
    return {
        AT_A_GLANCE: glance(reading),
        "pair": reading.config.pair.name,
        "implementation": reading.config.implementation,
        "me": {**_member(reading.me, reading.own, reading.time), "listening": ways.listening},
        "peer": {
            **_member(reading.peer, reading.partner, reading.time),
            "last contact": None if ways.heard is None else round(ways.heard, 3),
            "silent for": round(reading.silent_for, 3),
            # ISC's own word can be asked for on its own host alone.
            "hears us": reading.peer_hears,
        },
        "ports": {
            f"{reading.me.name} to {reading.peer.name}": _outward(reading),
            f"{reading.peer.name} to {reading.me.name}": _INWARD[ways.inward],
            "blocked": list(ways.blocked),
        },
        "leases": [_pool(pool) for pool in reading.pools or ()],
        "unacked updates" if isc else "unacked clients": reading.unacked,
        "clock skew": {"seconds": reading.skew.ahead, "by": reading.skew.by},
        "drill": _drill(reading.drill, reading.time),
        "log": [_line(line) for line in logs.last(reading.log, lines)],
        "problems": list(reading.problems),
    }


def _member(member: Member, side: Side, now: float) -> dict[str, Any]:
    return {
        "name": member.name,
        "address": member.address,
        "port": member.port,
        "role": member.role,
        "state": side.word,
        "says": side.state,
        "since": None if side.since is None else clock_text(side.since),
        "for": None if side.since is None else round(max(0.0, now - side.since), 1),
    }


def _outward(reading: Reading) -> str:
    said = reading.ways.outward
    if said.seconds is not None and said.kind == "open":
        return f"open, answered in {said.seconds * 1000:.1f} ms"
    words = f"{said.kind}: {said.said}" if said.said else said.kind
    if reading.alive:
        words += "; the peer's host is there"
    return words


def _pool(pool: Pool) -> dict[str, Any]:
    row = pool._asdict()
    row["used"] = round(pool.used, 4)
    row["balance"] = None if pool.balance is None else round(pool.balance, 4)
    return row


def _drill(drill: Drill | None, now: float) -> dict[str, Any]:
    if drill is None:
        return {"last": None, "result": "", "age of the last good one": None}
    return {
        "last": clock_text(drill.time),
        "result": drill.result,
        "age of the last good one": None if drill.good is None else round(now - drill.good),
    }


def _line(line: LogLine) -> dict[str, Any]:
    return {"at": clock_text(line.time), "text": line.text, "fault": line.fault}
