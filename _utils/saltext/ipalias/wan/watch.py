"""What the two ways of watching a line have in common: its targets, and what each said."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from .estimate import Loss, RoundTrip, Window
from .model import ALL, ANY, ARP, DNS, HTTP, ICMP, TCP, ProbeConfig, Target

#: Seconds between two calm questions of a kind, and between two of a burst, at the least: a
#: server is asked for a page more seldom than for an echo.
CALM = {ICMP: 0.0, ARP: 0.0, DNS: 0.2, TCP: 0.5, HTTP: 1.0}
BURST = {ICMP: 0.0, ARP: 0.0, DNS: 0.05, TCP: 0.1, HTTP: 0.5}
#: A stall so long (seconds), and so long after the one before, is a sleep.
LONG, APART = 0.5, 10.0


def needed(require: str, targets: int) -> int:
    """Return how many of the targets must answer."""
    if require == ANY:
        return 1
    return targets if require == ALL else targets // 2 + 1


class Asked:
    """Follow one target of a line.

    :param answered: boot clock at which the last probe that it answered was sent.
    :param heard: boot clock of its last answer.
    :param row: probes missed in a row while the line lived.
    :param streak: answers in a row, for a line that is to come back; misses shorten it.
    :param dead: True when it has been silent while the line was not: it proves nothing then.
    :param error: what the last miss said.
    """

    __slots__ = (
        "answered",
        "asked",
        "burst",
        "dead",
        "due",
        "error",
        "every",
        "heard",
        "loss",
        "row",
        "rtt",
        "streak",
        "target",
        "window",
    )

    def __init__(self, target: Target, probe: ProbeConfig, now: float) -> None:
        self.target = target
        self.every = max(probe.interval, CALM[target.kind])
        self.burst = BURST[target.kind]
        self.rtt = RoundTrip(probe.timeout)
        self.loss = Loss()
        limits = [limit.window for limit in (probe.loss, probe.latency) if limit]
        self.window = Window(limits) if limits else None
        self.answered = self.heard = self.asked = now
        self.due = now
        self.row = self.streak = 0
        self.dead = False
        self.error = ""

    def count(self, now: float, rtt: float | None) -> None:
        """Take what became of a calm probe into the statistics."""
        self.loss.add(rtt is None)
        if self.window is not None:
            self.window.add(now, rtt)


class Stalls:
    """Remember when the loop ran late, for what was missed meanwhile proves nothing.

    :param slept: boot clock at which the last long stall ended. What was on its way when a
        host goes to sleep is lost by it, not by the line; where one stall follows the other
        it is load, and what is missed then has to count.
    """

    def __init__(self) -> None:
        self._spans: deque[tuple[float, float]] = deque(maxlen=64)
        self.slept = self._long = -math.inf

    def add(self, begin: float, end: float) -> None:
        """Take a span in which nobody looked."""
        self._spans.append((begin, end))
        if end - begin >= LONG:
            if begin - self._long > APART:
                self.slept = end
            self._long = end

    def within(self, begin: float, end: float) -> float:
        """Return how much of a span (seconds) was not looked at."""
        if not self._spans:
            return 0.0
        return sum(max(0.0, min(end, e) - max(begin, b)) for b, e in self._spans)


class Watch(Protocol):
    """Say of one line whether its targets answer.

    :param asked: its targets.
    :param down: the owner's verdict, which it is told.
    :param why: reason for people while it holds the line for silent, else empty.
    :param healthy: True when a line that was down answers well enough to come back.
    """

    asked: list[Asked]
    down: bool
    why: str
    healthy: bool
    last_heard: float

    def tick(self, now: float, stalls: Stalls) -> list[tuple[Asked, float]]:
        """Judge, and return what to ask now with its timeout (seconds)."""

    def sent(self, seq: int, asked: Asked, now: float, timeout: float) -> None:
        """Take the number under which a question was sent."""

    def answer(self, seq: int, rtt: float, now: float) -> None:
        """Take an answer, however late."""

    def miss(self, seq: int, error: str, now: float) -> None:
        """Take an error, which is a miss at once."""

    def forget(self, seq: int) -> None:
        """Drop a probe that proves nothing."""

    def turn(self, down: bool, now: float, measured: bool = False) -> None:
        """Take the owner's verdict; `measured`: it goes by the window, which counts on."""

    def wake(self) -> float:
        """Return the boot clock at which it must be asked again."""
