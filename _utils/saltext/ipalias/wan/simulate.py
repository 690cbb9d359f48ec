"""Run the policy over a world of its own: what these settings would have done.

The world says what becomes of each question; time is counted, not waited for. With a
recording of real outcomes it answers `ipalias_wan.simulate`; with models of delay and loss it
measures the design (docs/wan.md).
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .bounds import describe
from .model import DOWN, Line, Outcome, Probe, Transition, WanConfig, Wanted
from .policy import Event, Policy, Start

#: A recorded outcome says nothing of a moment further away than this (seconds).
_NEAR = 60.0


class World(Protocol):
    """Say what becomes of a question."""

    def rtt(self, probe: Probe, at: float) -> float | None:
        """Return the round trip of a question sent at a moment; None: it is lost."""


@dataclass
class Ran:
    """Hold what a run gave.

    :param wanted: (when, the default routes from then on).
    :param probes: how many questions each line was asked.
    """

    policy: Policy
    transitions: list[Transition] = field(default_factory=list)
    wanted: list[tuple[float, Wanted]] = field(default_factory=list)
    warnings: list[tuple[float, str]] = field(default_factory=list)
    probes: dict[Line, int] = field(default_factory=dict)
    steps: int = 0


def run(
    config: WanConfig,
    start: Start,
    world: World,
    until: float,
    script: Iterable[tuple[float, Event]] = (),
    lag: Callable[[float], float] | None = None,
) -> Ran:
    """Run a policy from its start until a moment (boot clock, seconds).

    :param script: what else happens, and when: carriers, operators' words.
    :param lag: how late the loop is for a moment at which it should look (seconds).
    """
    policy = Policy(config, start)
    ran = Ran(policy)
    heap: list[tuple[float, int, Event]] = []
    count = 0
    for at, event in script:
        count += 1
        heapq.heappush(heap, (at, count, event))
    now, offset = start.now, start.wall - start.now
    while now <= until:
        events: list[Event] = []
        while heap and heap[0][0] <= now:
            events.append(heapq.heappop(heap)[2])
        decision = policy.step(now, now + offset, events)
        ran.steps += 1
        ran.transitions += decision.transitions
        ran.warnings += [(now, text) for text in decision.warnings]
        if decision.wanted is not None:
            ran.wanted.append((now, decision.wanted))
        for probe in decision.probes:
            ran.probes[probe.line] = ran.probes.get(probe.line, 0) + 1
            rtt = world.rtt(probe, now)
            if rtt is not None:
                count += 1
                answer = Outcome(probe.line, probe.target, probe.seq, now, rtt)
                heapq.heappush(heap, (now + rtt, count, answer))
        following = min(decision.wake, heap[0][0]) if heap else decision.wake
        following = max(following, now + 1e-6)
        now = following if lag is None else following + max(0.0, lag(following))
    return ran


class Recording:
    """Answer questions as recorded outcomes of the same target say.

    Between two outcomes the nearer one holds, so a loss is taken to have lasted until
    halfway to the next answer. Far from all of them a question counts as lost.
    """

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        grouped: dict[tuple[Line, str], list[tuple[float, float | None]]] = {}
        for outcome in outcomes:
            if not outcome.late:
                rtt = None if outcome.error else outcome.rtt
                key = outcome.line, outcome.target.text()
                grouped.setdefault(key, []).append((outcome.sent, rtt))
        self._by_target = {key: sorted(rows, key=_when) for key, rows in grouped.items()}
        self._times = {key: [row[0] for row in rows] for key, rows in self._by_target.items()}
        every = [time for times in self._times.values() for time in (times[0], times[-1])]
        self.begin, self.end = (min(every), max(every)) if every else (0.0, 0.0)
        self.unknown: set[tuple[Line, str]] = set()

    def rtt(self, probe: Probe, at: float) -> float | None:
        """Return the round trip that was recorded nearest to a moment; None: lost."""
        key = probe.line, probe.target.text()
        times = self._times.get(key)
        if not times:
            self.unknown.add(key)
            return None
        place = bisect_left(times, at)
        near = [index for index in (place - 1, place) if 0 <= index < len(times)]
        best = min(near, key=lambda index: abs(times[index] - at))
        return self._by_target[key][best][1] if abs(times[best] - at) <= _NEAR else None


def _when(row: tuple[float, float | None]) -> float:
    """Return when a recorded question was sent."""
    return row[0]


def simulate(config: WanConfig, outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Return what settings would have done over recorded outcomes, as plain data.

    The lines are taken to have carried the default route at the beginning. Carriers are not
    recorded; an outage by carrier shows as one by silence.
    """
    recording = Recording(outcomes)
    standing: dict[int, tuple[Line, ...]] = {}
    for _, way in config.ways():
        family = way.line.family
        standing[family] = (*standing.get(family, ()), way.line)
    start = Start(recording.begin, recording.begin, "simulated", standing=standing)
    ran = run(config, start, recording, recording.end)
    rows: list[dict[str, object]] = []
    for uplink, way in config.ways():
        own = [t for t in ran.transitions if t.line == way.line]
        rows.append(
            {
                **describe(uplink, way),
                "failures": sum(t.state == DOWN for t in own),
                "down for": round(_down(own, recording.end), 3),
                "probes": ran.probes.get(way.line, 0),
            }
        )
    return {
        "from": recording.begin,
        "to": recording.end,
        "lines": rows,
        "transitions": [
            {"line": t.line.text(), "state": t.state, "at": t.boot_at, "reason": t.reason}
            for t in ran.transitions
        ],
        "not recorded": sorted(f"{line.text()}: {target}" for line, target in recording.unknown),
    }


def _down(transitions: Sequence[Transition], end: float) -> float:
    """Return for how long a line was down."""
    total, since = 0.0, None
    for transition in transitions:
        if transition.state == DOWN:
            since = transition.boot_at if since is None else since
        elif since is not None:
            total, since = total + transition.boot_at - since, None
    return total if since is None else total + end - since
