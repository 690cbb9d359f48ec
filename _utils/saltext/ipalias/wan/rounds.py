"""Watch a line by rounds: all targets at once, `fall` bad rounds take it down.

The way of the source guide and of most monitors. A round is judged as soon as enough targets
have answered or too few still can, and a bad one in which the loop ran late is no round.
"""

from __future__ import annotations

from collections.abc import Sequence

from .model import ProbeConfig, Target
from .watch import Asked, Stalls


class _Sent:
    """Hold a question of a round."""

    __slots__ = ("asked", "at", "deadline", "missed")

    def __init__(self, asked: Asked, at: float, deadline: float) -> None:
        self.asked, self.at, self.deadline = asked, at, deadline
        self.missed = False


class RoundsWatch:
    """Watch one line by rounds; see the module."""

    def __init__(
        self, targets: Sequence[Target], need: int, probe: ProbeConfig, now: float, down: bool
    ) -> None:
        self.probe, self.need, self.down = probe, need, down
        self.asked = [Asked(target, probe, now) for target in targets]
        self.why, self.healthy = "", False
        self.last_heard = now
        self._next = now
        self._begun = now
        self._open = False
        self._answered = 0
        self._pending: dict[int, _Sent] = {}
        self._old: dict[int, _Sent] = {}
        self._bad = self._good = 0
        self._measured = False
        self._failed: list[str] = []

    def sent(self, seq: int, asked: Asked, now: float, timeout: float) -> None:
        """Take the number under which a question was sent."""
        self._pending[seq] = _Sent(asked, now, now + timeout)
        asked.asked = now

    def answer(self, seq: int, rtt: float, now: float) -> None:
        """Take an answer; one that comes too late for its round only tells the round trip."""
        sent = self._pending.pop(seq, None)
        late = sent is None or rtt > sent.deadline - sent.at
        sent = sent or self._old.pop(seq, None)
        if sent is None:
            return
        asked = sent.asked
        asked.rtt.add(rtt)
        asked.heard = self.last_heard = max(self.last_heard, min(now, sent.at + rtt))
        if late:
            self._miss(sent, now)
            return
        asked.answered = max(asked.answered, sent.at)
        asked.row, asked.error = 0, ""
        asked.streak += 1
        asked.count(now, rtt)
        self._answered += 1

    def miss(self, seq: int, error: str, now: float) -> None:
        """Take an error, which is a miss at once."""
        sent = self._pending.pop(seq, None)
        if sent is not None:
            sent.asked.error = error
            self._miss(sent, now)

    def _miss(self, sent: _Sent, now: float) -> None:
        """Count a miss, once."""
        if not sent.missed:
            sent.missed = True
            sent.asked.row += 1
            sent.asked.streak = 0
            if not self.down or self._measured:
                sent.asked.count(now, None)
            told = sent.asked.target.text()
            self._failed.append(f"{told} {sent.asked.error}".strip())

    def forget(self, seq: int) -> None:
        """Drop a probe that proves nothing, and the round with it."""
        if self._pending.pop(seq, None) is not None:
            self._drop()

    def turn(self, down: bool, now: float, measured: bool = False) -> None:
        """Take the owner's verdict; unless it is `measured` by it, the window begins anew."""
        self.down, self._measured = down, down and measured
        self.why, self.healthy = "", False
        self._bad = self._good = 0
        if down and not measured:
            for asked in self.asked:
                if asked.window is not None:
                    asked.window.clear()

    def tick(self, now: float, stalls: Stalls) -> list[tuple[Asked, float]]:
        """Judge the round, and return the questions of the next with their timeout (seconds)."""
        for seq, sent in list(self._pending.items()):
            if sent.deadline <= now:
                del self._pending[seq]
                if stalls.within(sent.at, now) > 0:
                    self._drop()
                    break
                self._miss(sent, now)
                self._old[seq] = sent
        if self._open:
            self._judge(now)
        if now < self._next:
            return []
        if self._open:
            self._drop()
        self._old = {seq: s for seq, s in self._old.items() if now - s.at < 60.0}
        interval = self.probe.interval
        self._next = self._next + interval if now - self._next < interval else now + interval
        self._open, self._begun, self._answered, self._failed = True, now, 0, []
        timeout = self.probe.timeout
        return [(a, a.rtt.hard() if self.probe.adaptive else timeout) for a in self.asked]

    def _drop(self) -> None:
        """End a round that proves nothing."""
        self._open = False
        self._pending.clear()

    def _judge(self, now: float) -> None:
        """Count the round as soon as it is decided."""
        if self._answered >= self.need:
            self._open, self._bad = False, 0
            self._good += 1
            self.why = ""
        elif self._answered + len(self._pending) < self.need:
            self._open, self._good = False, 0
            self._bad += 1
        self.healthy = self.down and self._good >= self.probe.rise
        if not self.down and self._bad >= self.probe.fall:
            rounds = f"{self._bad} rounds" if self._bad > 1 else "a round"
            self.why = f"{rounds} without enough answers: no answer from {', '.join(self._failed)}"

    def wake(self) -> float:
        """Return the boot clock at which it must be asked again."""
        return min([self._next, *(sent.deadline for sent in self._pending.values())])
