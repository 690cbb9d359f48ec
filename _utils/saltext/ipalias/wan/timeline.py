"""Draw the last day of each line as SVG 1.1: when it was up, when down, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from .history import clock_text
from .model import DOWN, UP, Line, Transition

DAY = 86400.0
#: Pixels: of the strip of a line, of what surrounds it.
_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 960, 22, 110, 34, 12
_COLOURS = {UP: "#2e7d32", DOWN: "#c62828", "": "#bdbdbd"}
_TICKS = 6


class Stretch(NamedTuple):
    """Hold a time in which nothing changed.

    :param state: ``up``, ``down``, or empty where nobody knows.
    """

    begin: float
    end: float
    state: str
    why: str


def stretches(
    line: Line, entries: Sequence[Transition], begin: float, end: float, now_state: str = ""
) -> list[Stretch]:
    """Return what a line was from one moment to another (wall clock, seconds).

    Before it is first said to be down it was up. Before it is first said to be up nobody knows,
    for so begins a journal; without any transition it has been what it is.
    """
    own = sorted((entry for entry in entries if entry.line == line), key=lambda entry: entry.at)
    before = [entry for entry in own if entry.at <= begin]
    within = [entry for entry in own if begin < entry.at < end]
    state, why = now_state, ""
    if before:
        state, why = before[-1].state, before[-1].reason
    elif within:
        state = UP if within[0].state == DOWN else ""
    found: list[Stretch] = []
    since = begin
    for entry in within:
        found.append(Stretch(since, entry.at, state, why))
        since, state, why = entry.at, entry.state, entry.reason
    found.append(Stretch(since, end, state, why))
    return found


def render_timeline(
    states: Mapping[Line, str],
    entries: Sequence[Transition],
    end: float,
    length: float = DAY,
) -> str:
    """Return the picture, a strip for each line.

    :param states: what each line is now; empty: nobody knows.
    :param end: moment at its right end (wall clock, seconds).
    :param length: how much it shows, in seconds.
    """
    return "\n".join([*_drawing(states, entries, end, length), "</svg>", ""])


def _drawing(
    states: Mapping[Line, str], entries: Sequence[Transition], end: float, length: float
) -> Iterator[str]:
    begin = end - length
    bottom = _TOP + len(states) * (_HEIGHT + _GAP)
    width, height = _LEFT + _WIDTH + 20, bottom + 30
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
    )
    yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    yield _text(_LEFT, 18, f"{clock_text(begin)} to {clock_text(end)}")
    for number, (line, state) in enumerate(states.items()):
        top = _TOP + number * (_HEIGHT + _GAP)
        yield _text(8, top + 15, line.text())
        for each in stretches(line, entries, begin, end, state):
            yield _strip(each, begin, length, top)
    for tick in range(_TICKS + 1):
        at = begin + length * tick / _TICKS
        left = _LEFT + _WIDTH * tick / _TICKS
        yield f'<path d="M{left:.1f} {_TOP - 4} V{bottom}" stroke="#757575" stroke-width="0.5"/>'
        yield _text(left - 16, bottom + 16, clock_text(at)[11:16])


def _strip(each: Stretch, begin: float, length: float, top: int) -> str:
    left = _LEFT + _WIDTH * (each.begin - begin) / length
    # A loss of a second in a day is less than a pixel, and the one thing to be seen.
    wide = max(_WIDTH * (each.end - each.begin) / length, 1.0 if each.state == DOWN else 0.0)
    told = f"{each.state or 'not known'}, {clock_text(each.begin)} to {clock_text(each.end)}"
    told = f"{told}: {each.why}" if each.why else told
    return (
        f'<rect x="{left:.2f}" y="{top}" width="{wide:.2f}" height="{_HEIGHT}" '
        f'fill="{_COLOURS[each.state]}"><title>{_safe(told)}</title></rect>'
    )


def _text(left: float, base: float, text: str) -> str:
    return f'<text x="{left:.1f}" y="{base:.1f}">{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Return a text as XML 1.0 can hold it: no control characters."""
    return escape("".join(sign if sign >= " " else " " for sign in text))
