"""Write down what ifstated found: ``run.py wan-note STATE wan1=up wan2=down``.

ifstated knows only in which state it is. So each of its states names every line, and what
differs from the journal is a transition: the same state entered twice writes nothing, and
one that was missed while ifstated did not run is made up for.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .. import processes
from ..errors import IpaliasError
from .ifstated import VERB, detection
from .model import DOWN, UP, Line, Transition, WanConfig
from .places import Places
from .record import ROTATE_AT, kept, last_counter, parse_journal, parse_position, render_entry
from .stored import parse_config
from .writer import append, replace

USAGE = f"usage: run.py {VERB} STATE LINE=up|down ..."
#: Who changes the kernel: ifstated is the monitor of a BSD.
ACTED = "monitor"


class Moment(NamedTuple):
    """Hold when something was noted.

    :param boot_at: seconds since boot.
    :param at: wall clock, seconds.
    :param boot: id of this boot.
    """

    boot_at: float
    at: float
    boot: str


def transitions(
    entries: Sequence[Transition],
    told: Iterable[tuple[Line, str]],
    config: WanConfig,
    moment: Moment,
) -> list[Transition]:
    """Return what is to be appended to a journal.

    A line of which the journal says nothing was up: that is how the host boots.

    :param entries: of the journal, oldest first.
    :param told: each line with `UP` or `DOWN`.
    """
    known = {entry.line: entry.state for entry in entries}
    counter = last_counter(entries, moment.boot)
    found: list[Transition] = []
    for line, state in told:
        if known.get(line, UP) == state:
            continue
        counter += 1
        ident = f"{moment.boot}-{counter}"
        uplink = next((u for u, way in config.ways() if way.line == line), None)
        every = f" every {uplink.probe.interval:g} s" if uplink is not None else ""
        verb = "no ping is answered" if state == DOWN else "ping is answered"
        reason = f"ifstated: {verb}, asked{every}"
        bound = detection(config, line) if uplink is not None else 0.0
        found.append(
            Transition(ident, line, state, moment.at, moment.boot_at, reason, 0.0, bound, ACTED)
        )
    return found


def parse_told(words: Iterable[str]) -> list[tuple[Line, str]]:
    """Read ``wan1=up`` and ``wan1/6=down``.

    :raises ValueError: another word.
    """
    told = []
    for word in words:
        text, equals, state = word.partition("=")
        name, slash, family = text.partition("/")
        if not equals or state not in (UP, DOWN) or not name or (slash and family != "6"):
            raise ValueError(word)
        told.append((Line(name, 6 if slash else 4), state))
    return told


def main(arguments: Sequence[str]) -> int:
    """Append what is new to the journal; return the exit code, which ifstated does not ask for."""
    try:
        _, state, *words = arguments
        told = parse_told(words)
    except ValueError:
        print(USAGE, file=sys.stderr)
        return 2
    places = Places(state=f"{state}/wan")
    try:
        config = parse_config(_text(places.config), places.config)
        with processes.lock(f"{places.state}/journal.lock", "writes the journal", 10.0):
            entries = parse_journal(_text(places.journal), places.journal).entries
            new = transitions(entries, told, config, read_moment(entries))
            if new:
                append(places.journal, "".join(map(render_entry, new)))
                _rotate(places, [*entries, *new])
    except (IpaliasError, OSError) as error:
        processes.log(f"{VERB}: {error}")
        return 1
    return 0


def read_moment(entries: Sequence[Transition]) -> Moment:
    """Return the moment, with an id of this boot: when it began, for there is no other.

    A wall clock that was set since moves that; so the id of an entry of this boot, which is
    one whose own boot time agrees within a minute, is taken over.
    """
    boot_at, at = processes.boot_clock(), time.time()
    began = at - boot_at
    if entries:
        last = entries[-1]
        same = abs(last.at - last.boot_at - began) < 60 and last.boot_at <= boot_at
        if same:
            return Moment(boot_at, at, last.ident.rpartition("-")[0])
    return Moment(boot_at, at, processes.boot_id() or f"boot{int(began)}")


def _rotate(places: Places, entries: Sequence[Transition]) -> None:
    if os.stat(places.journal).st_size > ROTATE_AT:
        position = parse_position(_text(places.position))
        text = "".join(map(render_entry, kept(entries, position)))
        replace(places.journal, text, sync=True)


def _text(path: str) -> str:
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
