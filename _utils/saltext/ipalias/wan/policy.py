"""Decide which lines are up and what the default routes shall be: events in, decisions out.

No clock, no socket, no file: the loop says what time it is and what happened, and gets back
what to send, what to write down, what to route and when to ask again. The contract with it:

- `now` is read from the boot clock (it counts sleep, nobody sets it) *before* the sockets are
  drained, and everything that was in them is among the events of that call. An answer that
  came before `now` is therefore never taken for a miss, however late the loop runs.
- `Policy.step` is called when something happened and at the latest at `Decision.wake`. That
  it was called later than asked is how it knows that the loop ran late.
- The timeouts are kept here. The loop gives each answer (`Outcome.rtt`), also one to a probe
  that is a miss by then, each error as soon as the system says it (`Outcome.error`), and may
  leave out misses without an error. `Outcome.late` says that a probe proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .model import (
    Carrier,
    Command,
    Decision,
    Line,
    Outcome,
    Probe,
    Transition,
    WanConfig,
    Wanted,
)
from .verdict import LineState
from .watch import Asked, Stalls

Event = Outcome | Carrier | Command
#: A loop later than this (seconds) was not looking; what it missed meanwhile proves nothing.
LATE = 0.1
#: What is remembered is of no use after so long (seconds).
_FORGOTTEN = 600.0


@dataclass(frozen=True)
class Start:
    """Hold what is known when the monitor starts.

    :param now: boot clock, seconds.
    :param wall: wall clock, seconds.
    :param boot: id of this boot, for the ids of transitions.
    :param counter: the last number used in them, from the journal.
    :param standing: family → lines whose default route stands in the kernel now.
    :param carrier: interface → whether it can carry packets; one left out: it can.
    :param remembered: what `Policy.remember` gave before the monitor ended.
    """

    now: float
    wall: float
    boot: str
    counter: int = 0
    standing: Mapping[int, tuple[Line, ...]] = field(default_factory=dict)
    carrier: Mapping[str, bool] = field(default_factory=dict)
    remembered: Mapping[str, object] = field(default_factory=dict)


class Policy:
    """Watch the lines of a configuration and decide."""

    def __init__(self, config: WanConfig, start: Start) -> None:
        self.config = config
        self.lines: dict[Line, LineState] = {}
        self._boot, self._counter = start.boot, start.counter
        self._seq = 0
        self._now = self._wake = start.now
        self._stalls = Stalls()
        standing = {line for lines in start.standing.values() for line in lines}
        for uplink, way in config.ways():
            carrier = start.carrier.get(way.interface, True)
            up = way.line in standing and carrier
            self.lines[way.line] = LineState(uplink, way, start.now, up, carrier)
        self._recall(start)
        self._wanted = self._standing(start.standing)
        self._fresh = True

    def step(self, now: float, wall: float, events: Iterable[Event] = ()) -> Decision:
        """Take what happened and return what follows.

        The first call, without events, sends the first probes.

        :param now: boot clock, seconds; `wall`: wall clock, for people.
        """
        now = max(now, self._now)
        if now - self._wake > LATE:
            self._stalls.add(self._wake, now)
        self._now = now
        warnings: list[str] = []
        touched: set[Line] = set()
        for event in events:
            self._take(event, now, warnings, touched)
        probes: list[Probe] = []
        transitions: list[Transition] = []
        for state in self.lines.values():
            if now < state.wake and state.line not in touched:
                continue
            self._fresh = state.expire(now) or self._fresh
            for asked, timeout in state.tick(now, self._stalls):
                probes.append(self._ask(state, asked, timeout, now))
            transition = state.turn(now)
            if transition is not None:
                self._counter += 1
                ident = f"{self._boot}-{self._counter}"
                transitions.append(transition._replace(ident=ident, at=wall))
            state.plan_wake(now)
        wanted = self._choose(warnings) if transitions or self._fresh else None
        self._fresh = False
        self._wake = max(now, min((s.wake for s in self.lines.values()), default=now + 60))
        return Decision(tuple(probes), tuple(transitions), wanted, tuple(warnings), self._wake)

    def _ask(self, state: LineState, asked: Asked, timeout: float, now: float) -> Probe:
        """Give a question its number and note it as sent."""
        self._seq += 1
        state.watch.sent(self._seq, asked, now, timeout)
        return Probe(state.line, asked.target, self._seq, timeout)

    def _take(self, event: Event, now: float, warnings: list[str], touched: set[Line]) -> None:
        """Take one event, and note whose it is."""
        if isinstance(event, Outcome):
            state = self.lines.get(event.line)
            if state is None:
                return
            touched.add(event.line)
            if event.rtt is not None and not event.error:
                state.watch.answer(event.seq, event.rtt, now)
            elif event.late:
                state.watch.forget(event.seq)
            elif event.error:
                state.watch.miss(event.seq, event.error, now)
        elif isinstance(event, Carrier):
            for state in self.lines.values():
                if state.way.interface == event.interface:
                    touched.add(state.line)
                    state.set_carrier(event.up, now)
        else:
            self._command(event, now, warnings, touched)

    def _command(
        self, command: Command, now: float, warnings: list[str], touched: set[Line]
    ) -> None:
        """Take an operator's word."""
        found = False
        for state in self.lines.values():
            named = state.line.uplink == command.uplink
            if named and command.family in (None, state.line.family):
                found = True
                touched.add(state.line)
                state.command(command, now)
        if found:
            self._fresh = True
        else:
            warnings.append(f"{command.verb} {command.uplink}: there is no such uplink")

    # What the default routes shall be

    def _standing(self, standing: Mapping[int, tuple[Line, ...]]) -> Wanted:
        """Return the routes that stand, as far as they are ours to name."""
        lines = {}
        for family, listed in standing.items():
            ours = [self.lines[line] for line in listed if line in self.lines]
            if ours:
                lines[family] = tuple((state.line, state.uplink.weight) for state in ours)
        return Wanted(lines, "they stand")

    def _choose(self, warnings: list[str]) -> Wanted | None:
        """Return the default routes if they shall change.

        A family that has a default route never loses its last one: when no line is left, the
        route stays where it was.
        """
        chosen: dict[int, tuple[tuple[Line, int], ...]] = {}
        reasons = []
        for family in (4, 6):
            states = [s for s in self.lines.values() if s.line.family == family]
            before = self._wanted.lines.get(family, ())
            usable = [s for s in states if s.up]
            fresh = [s for s in usable if not s.drained] or usable
            if fresh:
                tier = min(s.uplink.tier for s in fresh)
                best = [s for s in fresh if s.uplink.tier == tier]
                chosen[family] = tuple((s.line, s.uplink.weight) for s in best)
                why = f"tier {tier}" if any(s.uplink.tier != tier for s in states) else "up"
                reasons.append(f"IPv{family}: {', '.join(s.line.text() for s in best)} ({why})")
            elif before:
                chosen[family] = before
                names = ", ".join(line.text() for line, _ in before)
                reasons.append(f"IPv{family}: {names} (no line is up, the route stays)")
                warnings.append(f"no IPv{family} line is up: the default route stays with {names}")
        if chosen == self._wanted.lines and not self._first_word():
            return None
        self._wanted = Wanted(chosen, "; ".join(reasons))
        return self._wanted

    def _first_word(self) -> bool:
        """Tell whether nothing has been wanted yet."""
        return self._wanted.because == "they stand"

    @property
    def wanted(self) -> Wanted:
        """Return the default routes that are wanted now."""
        return self._wanted

    # For people, and for the next monitor

    def status(self, now: float) -> list[dict[str, object]]:
        """Return a row for each line, as plain data."""
        carried = {line for listed in self._wanted.lines.values() for line, _ in listed}
        return [
            {**state.status(now), "default": state.line in carried} for state in self.lines.values()
        ]

    def remember(self) -> dict[str, object]:
        """Return what a monitor that starts again should know, as plain data."""
        return {
            "boot": self._boot,
            "now": self._now,
            "lines": {s.line.text(): s.dump(self._now) for s in self.lines.values()},
        }

    def _recall(self, start: Start) -> None:
        """Take what an earlier monitor of this boot knew."""
        data = start.remembered
        lines, then = data.get("lines"), data.get("now")
        if data.get("boot") != start.boot or not isinstance(lines, Mapping):
            return
        if not isinstance(then, (int, float)) or isinstance(then, bool):
            return
        away = start.now - then
        if 0 <= away < _FORGOTTEN:
            for state in self.lines.values():
                state.load(lines.get(state.line.text()), start.now, away)
