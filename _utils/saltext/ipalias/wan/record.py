"""The journal of transitions, who has taken note of it, and the record of probes: text alone.

The journal is a file of JSON lines, one a transition, oldest first, appended by one writer;
where it is known only later who acted on one, a note of its own says so (`render_note`). A
host that dies while it writes leaves a torn last line: it is passed over, and the next entry
begins on a line of its own.

Delivery is at least once. A reader sends what `unacknowledged` returns until the master's
reply names an id, and stores the `Position` that `acknowledge` gives. Acting is once for each
id: a consumer asks its `Acted` store first.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import MALFORMED, ParseError
from .model import DOWN, IDENT, NAME, UP, Line, Outcome, Target, Transition, WanConfig

SCHEMA = 1
#: The journal is made anew from `kept` when it is larger than this (bytes).
ROTATE_AT = 1 << 20
#: How many entries stay that the master has; how many that it has not are kept for it.
KEPT, OWED = 1000, 10000
#: How many ids a consumer remembers to have acted on.
ACTED = 4096
#: Answers in a row are one line of the record of probes, for so many seconds at the most.
_STRETCH = 10.0
_FIELDS = ("at", "boot_at", "reason", "outage", "bound", "acted")


def render_entry(transition: Transition) -> str:
    """Return a transition as a line of the journal, with its newline."""
    return json.dumps(event_data(transition), separators=(",", ":")) + "\n"


def event_data(transition: Transition) -> dict[str, Any]:
    """Return a transition as plain data, as events carry it."""
    line = transition.line
    data: dict[str, Any] = {"schema": SCHEMA, "id": transition.ident}
    data |= {"uplink": line.uplink, "family": line.family, "state": transition.state}
    return data | {key: getattr(transition, key) for key in _FIELDS}


def render_note(ident: str, acted: str) -> str:
    """Return the line that says who changed the kernel for a transition written before."""
    data = {"schema": SCHEMA, "of": ident, "acted": acted}
    return json.dumps(data, separators=(",", ":")) + "\n"


def parse_entry(data: object) -> Transition:
    """Read a transition from plain data.

    :raises ValueError: it is none; `parse_journal` says where.
    """
    try:
        if not isinstance(data, Mapping):
            raise ValueError("not a mapping")
        if data["family"] not in (4, 6) or data["state"] not in (UP, DOWN):
            raise ValueError(f"{data['family']!r} or {data['state']!r}")
        return Transition(
            _matching(data["id"], IDENT),
            Line(_matching(data["uplink"], NAME), int(data["family"])),
            data["state"],
            _number(data["at"]),
            _number(data["boot_at"]),
            _text(data["reason"]),
            _number(data["outage"]),
            _number(data["bound"]),
            _text(data["acted"]),
        )
    except MALFORMED as error:
        raise ValueError(f"no transition: {error}") from error


def _text(value: object) -> str:
    """Return a text, and nothing that only looks like one."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _matching(value: object, pattern: re.Pattern[str]) -> str:
    """Return a text of a form.

    An entry with another one would be no event to the master's reactor. It could never be
    acknowledged, nor what goes with it in one message.
    """
    if not pattern.fullmatch(_text(value)):
        raise ValueError(f"{value!r:.100}")
    return _text(value)


def _number(value: object) -> float:
    """Return a number that can be computed with."""
    number = float(value)  # type: ignore[arg-type]
    if not math.isfinite(number):
        raise ValueError(f"{number}")
    return number


class Journal(NamedTuple):
    """Hold what a journal's text says.

    :param entries: oldest first; of two with one id the first.
    :param unreadable: numbers of lines that say nothing: torn ones.
    """

    entries: tuple[Transition, ...]
    unreadable: tuple[int, ...] = ()


def parse_journal(text: str, path: str) -> Journal:
    """Read a journal; torn lines are passed over.

    :raises ParseError: an entry of a later schema than this version knows.
    """
    entries: dict[str, Transition] = {}
    acted: dict[str, str] = {}
    unreadable = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            schema = data.get("schema") if isinstance(data, dict) else None
            if isinstance(schema, int) and schema > SCHEMA:
                raise ParseError(
                    path,
                    number,
                    f"schema {schema} is newer than {SCHEMA}, which this version knows",
                    way_out="install the version that wrote it, or a newer one",
                )
            if isinstance(data, dict) and "of" in data:
                acted[_text(data["of"])] = _text(data["acted"])
                continue
            entry = parse_entry(data)
        except MALFORMED:
            unreadable.append(number)
            continue
        entries.setdefault(entry.ident, entry)
    told = (e._replace(acted=acted.get(e.ident, e.acted)) for e in entries.values())
    return Journal(tuple(told), tuple(unreadable))


def last_counter(entries: Iterable[Transition], boot: str) -> int:
    """Return the last number used in the ids of a boot; 0: none."""
    numbers = [0]
    for entry in entries:
        owner, _, number = entry.ident.rpartition("-")
        if owner == boot and number.isdecimal():
            numbers.append(int(number))
    return max(numbers)


# Who has taken note


@dataclass(frozen=True)
class Position:
    """Hold what the master has acknowledged.

    :param last: id up to which everything is; empty: nothing.
    :param beyond: ids after it that are, too: replies may overtake each other.
    """

    last: str = ""
    beyond: tuple[str, ...] = ()


def render_position(position: Position) -> str:
    """Return a position as text."""
    data = {"schema": SCHEMA, "last": position.last, "beyond": list(position.beyond)}
    return json.dumps(data) + "\n"


def parse_position(text: str) -> Position:
    """Read a position; one that cannot be read is that nothing is acknowledged.

    Too much is sent then, and acted on once all the same.
    """
    try:
        data = json.loads(text)
        return Position(_text(data["last"]), tuple(_text(item) for item in data["beyond"]))
    except MALFORMED:
        return Position()


def unacknowledged(entries: Sequence[Transition], position: Position) -> tuple[Transition, ...]:
    """Return what the master has not acknowledged, oldest first.

    An id that is no longer in the journal was rotated away, and nothing before it is left.
    """
    begin = 0
    for index, entry in enumerate(entries):
        if entry.ident == position.last:
            begin = index + 1
    return tuple(entry for entry in entries[begin:] if entry.ident not in position.beyond)


def acknowledge(entries: Sequence[Transition], position: Position, *named: str) -> Position:
    """Return the position after the master has named ids; unknown ones change nothing."""
    new = {entry.ident for entry in unacknowledged(entries, position)}.intersection(named)
    if not new:
        return position
    beyond = {*position.beyond, *new}
    last = position.last
    idents = [entry.ident for entry in entries]
    begin = idents.index(last) + 1 if last in idents else 0
    for ident_ in idents[begin:]:
        if ident_ not in beyond:
            break
        beyond.discard(ident_)
        last = ident_
    return Position(last, tuple(item for item in idents if item in beyond))


def kept(entries: Sequence[Transition], position: Position) -> tuple[Transition, ...]:
    """Return the entries of a journal made anew: the last ones, and all that are owed.

    Of those that are owed the latest `OWED` stay, for a master that never comes back must
    not fill the disk; what is dropped then shows as a jump in the numbers of the ids.
    """
    owed = {entry.ident for entry in unacknowledged(entries, position)[-OWED:]}
    recent = {entry.ident for entry in entries[-KEPT:]}
    return tuple(entry for entry in entries if entry.ident in owed or entry.ident in recent)


@dataclass(frozen=True)
class Acted:
    """Hold the ids that a consumer has acted on, oldest first."""

    idents: tuple[str, ...] = ()

    def add(self, ident: str) -> tuple[bool, Acted]:
        """Return whether an id is new, and the store that holds it."""
        if ident in self.idents:
            return False, self
        return True, Acted((*self.idents, ident)[-ACTED:])


def render_acted(acted: Acted) -> str:
    """Return the store as text."""
    return json.dumps({"schema": SCHEMA, "ids": list(acted.idents)}) + "\n"


def parse_acted(text: str, path: str) -> Acted:
    """Read the store.

    :raises ParseError: it cannot be read: to take it for empty would act twice.
    """
    if not text.strip():
        return Acted()
    try:
        data = json.loads(text)
        if data["schema"] > SCHEMA:
            raise ValueError(f"schema {data['schema']}")
        return Acted(tuple(_text(item) for item in data["ids"]))
    except MALFORMED as error:
        raise ParseError(
            path, 1, f"the ids acted on cannot be read: {error}", way_out="remove it to start anew"
        ) from error


# The record of probes, for `simulate`


class Recorder:
    """Shorten outcomes to lines: each miss is one, answers in a row are one together."""

    def __init__(self) -> None:
        self._open: dict[tuple[Line, str], list[float]] = {}

    def add(self, outcome: Outcome) -> str:
        """Return what an outcome adds to the record; maybe nothing yet."""
        if outcome.late:
            return ""
        key = outcome.line, outcome.target.text()
        stretch = self._open.get(key)
        if outcome.rtt is None or outcome.error:
            text = self._close(key)
            return text + _row(key, "missed", round(outcome.sent, 4), outcome.error)
        text = ""
        if stretch is not None and outcome.sent - stretch[0] > _STRETCH:
            text, stretch = self._close(key), None
        if stretch is None:
            self._open[key] = [outcome.sent, outcome.sent, 1, outcome.rtt]
        else:
            stretch[1] = max(stretch[1], outcome.sent)
            stretch[2] += 1
            stretch[3] += outcome.rtt
        return text

    def close(self) -> str:
        """Return what is still open."""
        return "".join(self._close(key) for key in list(self._open))

    def _close(self, key: tuple[Line, str]) -> str:
        stretch = self._open.pop(key, None)
        if stretch is None:
            return ""
        first, last, count, total = stretch
        mean = round(total / count, 6)
        return _row(key, "answered", round(first, 4), round(last, 4), int(count), mean)


def _row(key: tuple[Line, str], *what: object) -> str:
    """Return a line of the record."""
    (uplink, family), target = key
    return json.dumps([uplink, family, target, *what], separators=(",", ":")) + "\n"


def parse_probes(text: str, config: WanConfig) -> list[Outcome]:
    """Read a record of probes; what is torn, or of a line there is not, is passed over.

    A row of answers is returned as its first and its last, with the mean round trip.
    """
    known: dict[tuple[Line, str], Target] = {}
    for _, way in config.ways():
        for target in way.targets:
            known[way.line, target.text()] = target
    outcomes: list[Outcome] = []
    for row in text.split("\n"):
        try:
            uplink, family, name, kind, *rest = json.loads(row)
            line = Line(uplink, family)
            target = known[line, name]
            if kind == "missed":
                outcomes.append(Outcome(line, target, 0, float(rest[0]), None, _text(rest[1])))
            elif kind == "answered":
                first, last, rtt = float(rest[0]), float(rest[1]), float(rest[3])
                for sent in (first, last) if last > first else (first,):
                    outcomes.append(Outcome(line, target, 0, sent, rtt))
        except (*MALFORMED, IndexError):
            continue
    return outcomes
