"""Watch a line calmly, and answer the first late answer with a burst of questions.

Targets are asked in turn, so that one of them is asked every ``interval / targets``. As soon
as an answer is later than usual, targets are asked every 10 to 50 ms, until one answers or the
line is held for dead. That takes three things at once:

- *Time*: between the first and the last question that went unanswered lies at least the
  silence that the line's bursts of loss demand (`estimate.Gaps`). A short outage is not worth
  a switch, and a burst of loss ends.
- *Evidence*: so many misses that random loss of the size seen gives them once in 10^8.
- *Breadth*: several targets, each with a miss of its own.

With ``any`` the questions to all targets are one stream: an answer by any ends the silence.
With ``all`` and ``majority`` the stream is that of the targets that miss something, those that
are asked most often first, as many as must be silent for the requirement to be missed; and
with so many held for dead it is missed as well.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from .estimate import EVIDENCE, Gap, Gaps
from .model import ProbeConfig, Target
from .watch import Asked, Stalls

#: Shortest and longest spacing of a burst (seconds), and in how many parts it cuts a silence.
CLOSEST, WIDEST, PARTS = 0.01, 0.05, 24
#: Spacing of the questions to a line that begins to answer again, and for how long it must.
#: At that pace it is asked for no longer than the third.
RISING, RISE_SPAN, RISE_HURRY = 0.05, 0.2, 1.0
#: Longest spacing of the questions to a line that is down: its return is not to be missed.
RETURN = 0.2
#: Of so many targets each needs a miss of its own.
BREADTH = 4
#: A target that missed so many in a row while the line lived is dead itself.
DEAD_ROW, DEAD_AFTER = 5, 1.0


class _Sent:
    """Hold a question that is not answered yet."""

    __slots__ = ("asked", "at", "calm", "deadline", "failed", "late", "settled")

    def __init__(self, asked: Asked, at: float, late: float, deadline: float, calm: bool) -> None:
        self.asked, self.at, self.late, self.deadline = asked, at, late, deadline
        self.calm = calm
        self.failed = self.settled = False


class SilenceWatch:
    """Watch one line by its silence; see the module."""

    def __init__(
        self, targets: Sequence[Target], need: int, probe: ProbeConfig, now: float, down: bool
    ) -> None:
        self.probe, self.need, self.down = probe, need, down
        self.asked = [Asked(target, probe, now) for target in targets]
        self.gaps = Gaps(*self._limits(), now)
        self.why, self.healthy = "", False
        self.last_heard = now
        self.suspect: float | None = None
        self._pending: dict[int, _Sent] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._calm = now
        self._turn = 0
        self._burst = now
        self._good_since: float | None = None
        self._seen = now
        self._measured = False
        self._fallen: list[float] = []
        self._calm_asked: set[int] = set()
        self._paces: tuple[list[Asked], list[Asked]] | None = None
        self._stalls = Stalls()
        self._members = {id(asked) for asked in self.asked}

    def _limits(self) -> tuple[float, float]:
        return self.probe.silence.least, self.probe.silence.most

    # What happened

    def sent(self, seq: int, asked: Asked, now: float, timeout: float) -> None:
        """Take the number under which a question was sent."""
        late = now + asked.rtt.soft()
        calm = id(asked) in self._calm_asked
        self._calm_asked.discard(id(asked))
        self._pending[seq] = _Sent(asked, now, late, now + timeout, calm)
        heapq.heappush(self._deadlines, (late, seq))
        asked.asked = now

    def answer(self, seq: int, rtt: float, now: float) -> None:
        """Take an answer, however late."""
        sent = self._pending.pop(seq, None)
        if sent is None:
            return
        asked = sent.asked
        asked.rtt.add(rtt)
        self.gaps.begin(now)
        if id(asked) not in self._members:
            pass  # where each must answer, the others' answers end no silence of its
        elif self.suspect is not None and not self.down:
            self._note_gap(self._lost_before(sent, now), sent, now)
        elif self._fallen:
            # The line was taken down by what was but a burst: one that must be learnt most.
            if sent.at - self._fallen[0] <= self.probe.silence.most:
                self._note_gap([*self._fallen, *self._lost_before(sent, now)], sent, now)
            self._fallen = []
        asked.answered = max(asked.answered, sent.at)
        asked.heard = self.last_heard = max(self.last_heard, min(now, sent.at + rtt))
        asked.row, asked.error = 0, ""
        asked.streak += 1
        if asked.dead and asked.streak > 1:
            asked.dead, self._paces = False, None
        if sent.calm and not sent.settled:
            asked.count(now, rtt)
            self.gaps.count(now, False)

    def miss(self, seq: int, error: str, now: float) -> None:
        """Take an error, which is a miss at once."""
        sent = self._pending.get(seq)
        if sent is not None:
            sent.failed = True
            sent.late = sent.deadline = min(sent.deadline, now)
            sent.asked.error = error
            heapq.heappush(self._deadlines, (now, seq))

    def forget(self, seq: int) -> None:
        """Drop a probe that proves nothing."""
        self._pending.pop(seq, None)

    def turn(self, down: bool, now: float, measured: bool = False) -> None:
        """Take the owner's verdict: what is pending belongs to the one before.

        An outage is no loss: unless the verdict is `measured` by it, the window begins anew.
        """
        self.down, self._measured = down, down and measured
        self.why, self.healthy, self.suspect = "", False, None
        self._good_since = self._paces = None
        for asked in self.asked:
            asked.streak = asked.row = 0
            if not down:
                asked.dead = not self._is_fresh(asked, now)
            elif asked.window is not None and not measured:
                asked.window.clear()
        self._pending = {} if down else {s: p for s, p in self._pending.items() if not p.failed}

    # Judging

    def tick(self, now: float, stalls: Stalls) -> list[tuple[Asked, float]]:
        """Judge, and return what to ask now with its timeout (seconds)."""
        self._seen, self._stalls = now, stalls
        due = self._deadlines and self._deadlines[0][0] <= now
        if due or self.suspect is not None:
            self._expire(now, stalls)
            if self.down:
                self.suspect = None
            else:
                self._judge(now, stalls)
                self._count_dead(now)
        if self.down:
            self._rise(now)
        return self._questions(now)

    def _expire(self, now: float, stalls: Stalls) -> None:
        """Look at the questions whose answer is late, and settle those of a line that lives."""
        heap = self._deadlines
        while heap and heap[0][0] <= now:
            _, seq = heapq.heappop(heap)
            sent = self._pending.get(seq)
            if sent is None:
                continue
            missing = self._missing_at(sent, stalls, now)
            if now < missing:
                heapq.heappush(heap, (missing, seq))
            elif self.down and not sent.settled:
                sent.settled = True
                asked = sent.asked
                asked.streak = 0 if asked.row else max(0, asked.streak - 1)
                asked.row += 1
                if self._measured and sent.calm:
                    asked.count(now, None)
        self._settle(now, stalls)

    def _missing_at(self, sent: _Sent, stalls: Stalls, now: float) -> float:
        """Return when a question is a miss: time in which nobody looked does not count."""
        if sent.failed:
            return sent.deadline
        return sent.deadline + stalls.within(sent.at, now)

    def _settle(self, now: float, stalls: Stalls) -> None:
        """Count misses that a later answer has outlived; forget what is too old to come."""
        lived = max(asked.answered for asked in self.asked)
        patience = 2 * self.probe.timeout
        gone = []
        for seq, sent in self._pending.items():
            if sent.at > lived and not (self.down and now - sent.at > patience):
                break
            if now < self._missing_at(sent, stalls, now):
                continue
            if not sent.settled and not self.down:
                sent.settled = True
                asked = sent.asked
                asked.row += 1
                asked.streak = 0
                if sent.calm and not stalls.within(sent.at, sent.deadline):
                    asked.count(now, None)
                    self.gaps.count(now, not asked.dead)
                self._bury(asked, now)
            if now - sent.at > patience:
                gone.append(seq)
        for seq in gone:
            del self._pending[seq]

    def _bury(self, asked: Asked, now: float) -> None:
        """Hold a target for dead that has been silent for long while the line was not."""
        patience = max(DEAD_AFTER, self.probe.silence.most)
        if asked.row >= DEAD_ROW and now - asked.heard > patience and not asked.dead:
            asked.dead, asked.due, self._paces = True, now + asked.every, None

    def _count_dead(self, now: float) -> None:
        """Take the line down when too few targets are left that are not dead for certain.

        Of a target that is asked seldom no stream ever gathers enough evidence.
        """
        dead = [a for a in self.asked if a.dead and a.row * a.loss.weight() >= EVIDENCE]
        if len(self.asked) - len(dead) < self.need:
            told = ", ".join(f"{a.target.text()} ({a.row})" for a in dead[:BREADTH])
            since = max(asked.heard for asked in dead)
            self.why = self.why or f"no answer for {now - since:.1f} s from {told}"

    def _stream(self, now: float) -> list[Asked]:
        """Return the targets whose silence would take the line down.

        By what they miss and not by when they last answered: one that is asked seldom has
        always been silent for longer than one that is asked often.
        """
        count = len(self.asked) - self.need + 1
        if count == len(self.asked):
            return list(self.asked)
        missing = {
            id(sent.asked)
            for sent in self._pending.values()
            if sent.late <= now and sent.at > sent.asked.answered
        }
        return sorted(self.asked, key=lambda a: (id(a) not in missing, a.burst, a.answered))[:count]

    def _judge(self, now: float, stalls: Stalls) -> None:
        """Hold what was missed since the last answer against what proves a line dead."""
        stream = self._stream(now)
        lived = max(stalls.slept, *(asked.answered for asked in stream))
        # Were every target held for dead, nothing would be missed and the line never fall.
        members = {id(asked) for asked in stream if not asked.dead} or {id(a) for a in stream}
        self._members = members
        missed = [s for s in self._pending.values() if s.at > lived and id(s.asked) in members]
        if not any(sent.late <= now for sent in missed):
            self.suspect = None
            return
        if self.suspect is None:
            self._burst = now
        first = missed[0].at
        self.suspect = first
        expired = [s for s in missed if self._missing_at(s, stalls, now) <= now]
        if not expired:
            return
        last = max(sent.at for sent in expired)
        span = last - first - stalls.within(first, last)
        required = self.gaps.required(now)
        shown = {id(sent.asked) for sent in expired}
        if (
            span >= required + self._extra(required)
            and sum(sent.asked.loss.weight() for sent in expired) >= EVIDENCE
            and len(shown) >= min(BREADTH, len(members))
        ):
            self.why = _reason(expired, span)
            self._fallen = [sent.at for sent in missed]

    def _extra(self, required: float) -> float:
        """Return what is added to a silence in time of sending.

        An outage loses questions on their way and answers on theirs, so the questions that
        it makes miss span its own length and, at the most, a round trip or that length more.
        """
        means = [asked.rtt.mean for asked in self.asked if asked.rtt.mean is not None]
        return min(min(means), required) if means else 0.0

    def _lost_before(self, answered: _Sent, now: float) -> list[float]:
        """Return when the questions were sent that this answer leaves behind."""
        first = self.suspect or 0.0
        return [
            sent.at
            for sent in self._pending.values()
            if first <= sent.at < answered.at
            and sent.late <= now
            and not sent.asked.dead
            and id(sent.asked) in self._members
        ]

    def _note_gap(self, lost: Sequence[float], answered: _Sent, now: float) -> None:
        """Learn from a silence that this answer ends, unless nobody looked: a host that slept."""
        if len(lost) > 1 and not self._stalls.within(lost[0], answered.at):
            age, survived = lost[1] - lost[0], lost[-1] - lost[1]
            self.gaps.add(Gap(now, len(lost), age, survived, answered.at - lost[-1]))

    def _rise(self, now: float) -> None:
        """Tell whether a line that is down has begun to answer well."""
        streaks = sorted((asked.streak for asked in self.asked), reverse=True)
        best = sum(streaks) if self.need == 1 else streaks[self.need - 1]
        fresh = sum(bool(asked.streak) and self._is_fresh(asked, now) for asked in self.asked)
        if fresh < self.need:
            # Answers from before a time in which nobody looked say nothing of the line now.
            self._good_since = None
        elif self._good_since is None:
            self._good_since = now
            self._burst = now + RISING
        since = self._good_since
        self.healthy = best >= self.probe.rise and since is not None and now - since >= RISE_SPAN

    def _is_fresh(self, asked: Asked, now: float) -> bool:
        """Tell whether a target has answered of late."""
        return asked.answered >= now - max(1.0, 4 * asked.every)

    # Asking

    def _questions(self, now: float) -> list[tuple[Asked, float]]:
        """Return what to ask now."""
        due: list[Asked] = []
        light, own = self._by_pace()
        if light and now >= self._calm:
            pace = self.probe.interval / len(light)
            if self.down:
                pace = min(pace, RETURN)
            self._calm = self._calm + pace if now - self._calm < pace else now + pace
            self._turn = (self._turn + 1) % len(light)
            due.append(light[self._turn])
        for asked in own:
            if now >= asked.due:
                asked.due = now + asked.every
                due.append(asked)
        self._calm_asked = {id(asked) for asked in due}
        if not due and now >= self._burst and self._bursting():
            due = self._next_of_burst(now)
        return [(asked, asked.rtt.hard()) for asked in due]

    def _by_pace(self) -> tuple[list[Asked], list[Asked]]:
        """Return the targets that are asked in turn, and those with a time of their own.

        The latter are dead, or of a kind that is asked more seldom than the interval says.
        """
        if self._paces is None:
            every = self.probe.interval
            light = [a for a in self.asked if a.every <= every and not a.dead]
            self._paces = light, [a for a in self.asked if a.every > every or a.dead]
        return self._paces

    def _bursting(self) -> bool:
        if self.suspect is not None:
            return True
        since = self._good_since
        return since is not None and not self.healthy and self._seen - since < RISE_HURRY

    def _next_of_burst(self, now: float) -> list[Asked]:
        """Return the target that a burst asks next: the one that was not asked for longest."""
        if self.suspect is None:
            self._burst = now + RISING
        else:
            required = self.gaps.required(now)
            self._burst = now + min(max(required / PARTS, CLOSEST), WIDEST)
        members = self.asked if self.suspect is None else self._stream(now)
        free = [a for a in members if not a.dead and now - a.asked >= a.burst]
        return [min(free, key=lambda asked: asked.asked)] if free else []

    def wake(self) -> float:
        """Return the boot clock at which it must be asked again."""
        heap = self._deadlines
        while heap and heap[0][1] not in self._pending:
            heapq.heappop(heap)
        times = [heap[0][0]] if heap else []
        light, own = self._by_pace()
        if light:
            times.append(self._calm)
        times += [asked.due for asked in own]
        if self._bursting():
            times.append(self._burst)
        since = self._good_since
        if since is not None and self._seen < since + RISE_SPAN:
            times.append(since + RISE_SPAN)
        return min(times)


def _reason(expired: Sequence[_Sent], span: float) -> str:
    """Return why a line is held for dead, for people."""
    counts: dict[str, int] = {}
    errors = []
    for sent in expired:
        name = sent.asked.target.text()
        counts[name] = counts.get(name, 0) + 1
        if sent.asked.error and sent.asked.error not in errors:
            errors.append(sent.asked.error)
    told = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:BREADTH])
    failed = f", {', '.join(errors[:3])}" if errors else ""
    return f"no answer for {span * 1000:.0f} ms from {told}{failed}"
