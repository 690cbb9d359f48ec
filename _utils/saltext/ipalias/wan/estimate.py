"""What a line has shown of itself: round trips, loss, how long its bursts of loss last."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import MALFORMED

#: No timeout is shorter: an answer may wait this long in a busy host.
SHORTEST = 0.02
#: How many mean deviations above the mean an answer is late, and is a miss (RFC 6298: 4).
SOFT, HARD = 2.0, 4.0
#: Loss a target is thought to have before it was measured, and the range it is kept in: no
#: miss is taken for proof, nor for nothing.
PRIOR_LOSS, LEAST_LOSS, MOST_LOSS = 0.02, 0.01, 0.6
#: Of the misses of calm probes the last hundred or so count.
_LOSS_GAIN = 1 / 64
#: What proves a row of misses to be no random loss: minus the logarithm of a chance of 1e-8.
EVIDENCE = 18.42
#: Bursts of loss are remembered so long (seconds), and so many.
MEMORY, REMEMBERED = 600.0, 256
#: False alarms an hour that bursts may cause, as far as they can be foreseen.
PER_HOUR = 0.02
#: A line is being learnt for so long (seconds) and meanwhile taken for one with bursts.
LEARNING, CAUTION = 60.0, 0.8
#: Chance below which rows of misses are no longer put down to random loss.
_UNLIKELY = 0.01
#: Rows are compared up to this length, and what was learnt is computed anew at most this
#: often (seconds): a line in trouble has many gaps.
_LONG_ROW, _RELEARN = 32, 0.25
#: The longest burst seen, and how much longer the next may be.
_BEYOND = 1.25


class RoundTrip:
    """Follow the round trip of a target as TCP does (RFC 6298), and give timeouts.

    The deviation is followed twice, quickly and slowly, and the greater counts: a quiet
    second on a line that is not quiet would else make the next answer a miss.
    """

    __slots__ = ("_quick", "_slow", "ceiling", "mean")

    def __init__(self, ceiling: float) -> None:
        self.ceiling = ceiling
        self.mean: float | None = None
        self._quick = self._slow = 0.0

    def add(self, rtt: float) -> None:
        """Take a measured round trip (seconds)."""
        if self.mean is None:
            self.mean, self._quick, self._slow = rtt, rtt / 2, rtt / 2
            return
        off = abs(rtt - self.mean)
        self._quick += (off - self._quick) / 4
        self._slow += (off - self._slow) / 32
        self.mean += (rtt - self.mean) / 8

    @property
    def deviation(self) -> float:
        """Return the mean deviation (seconds)."""
        return max(self._quick, self._slow)

    def soft(self) -> float:
        """Return after how long an answer is late (seconds)."""
        return self._after(SOFT)

    def hard(self) -> float:
        """Return after how long an answer is missing (seconds)."""
        return self._after(HARD)

    def _after(self, deviations: float) -> float:
        if self.mean is None:
            return self.ceiling
        return timeout_of(self.mean, self.deviation, deviations, self.ceiling)


def timeout_of(mean: float, deviation: float, deviations: float, ceiling: float) -> float:
    """Return a timeout for a round trip (all in seconds)."""
    return min(max(mean + deviations * deviation, SHORTEST), ceiling)


class Loss:
    """Follow the share of calm probes that a target misses."""

    __slots__ = ("share",)

    def __init__(self) -> None:
        self.share = PRIOR_LOSS

    def add(self, missed: bool) -> None:
        """Take what became of a calm probe."""
        self.share += (float(missed) - self.share) * _LOSS_GAIN

    def weight(self) -> float:
        """Return what one miss proves: minus the logarithm of its chance on a live line."""
        return weight_of(self.share)


def weight_of(share: float) -> float:
    """Return what one miss proves at a loss (0-1)."""
    return -math.log(min(max(share, LEAST_LOSS), MOST_LOSS))


class Gap(NamedTuple):
    """Hold a silence that ended by itself, as far as probes show it (seconds).

    :param ended: boot clock.
    :param misses: questions missed in a row, two at least.
    :param age: from its first missed probe to the next one, which was missed too.
    :param survived: from that one to the last that was missed.
    :param width: from the last that was missed to the first that was answered.
    """

    ended: float
    misses: int
    age: float
    survived: float
    width: float


class Gaps:
    """Learn how long a line's bursts of loss last, and say how long a silence proves one dead.

    A silence that outlived its second probe is no single lost packet any more. What remains
    of a burst of exponential length then is exponential again with the same mean, so the
    mean is found by maximum likelihood from how long these lasted, each known up to the
    spacing of probes. The silence that must be waited for is the one that fewer than
    `PER_HOUR` bursts an hour outlive at that mean and that rate.

    Random loss gives rows of misses too, which say nothing of bursts. As long as the rows
    seen are no more and no longer than it explains, the line is one without bursts.
    """

    def __init__(self, least: float, most: float, now: float) -> None:
        self.least, self.most = least, most
        self.since: float | None = None
        self._gaps: deque[Gap] = deque(maxlen=REMEMBERED)
        self._learnt = least
        self._stale = self._learnt_at = now
        self._counted = now
        self._calm = self._lost = 0.0

    def begin(self, now: float) -> None:
        """Take the first answer of the line: learning starts here."""
        if self.since is None:
            self.since = now

    def settled(self, now: float) -> bool:
        """Tell whether the line has been seen for long enough to be judged quickly."""
        return self.since is not None and now - self.since >= LEARNING

    def count(self, now: float, missed: bool) -> None:
        """Take what became of a calm probe; they fade as gaps do."""
        fade = math.exp((self._counted - now) / MEMORY)
        self._counted = now
        self._calm = self._calm * fade + 1
        self._lost = self._lost * fade + missed

    def _explained(self) -> bool:
        """Tell whether random loss would give as many rows of misses, and as long ones."""
        loss = max(self._lost / self._calm if self._calm else 0.0, LEAST_LOSS)
        rows = max(self._lost, 1.0) * (1 - loss)
        lengths = Counter(min(gap.misses, _LONG_ROW) for gap in self._gaps)
        seen = len(self._gaps)
        for misses in range(2, max(lengths) + 1):
            seen -= lengths[misses - 1]
            if poisson_tail(seen, rows * loss ** (misses - 1)) < _UNLIKELY:
                return False
        return True

    def add(self, gap: Gap) -> None:
        """Take a silence that ended."""
        self._gaps.append(gap)
        due = max(self._learnt_at + _RELEARN, gap.ended)
        longer = gap.age + gap.survived + gap.width > self._learnt
        self._stale = gap.ended if longer else min(self._stale, due)

    def required(self, now: float) -> float:
        """Return how long a silence proves the line dead (seconds)."""
        if now >= self._stale:
            self._learn(now)
        if self.settled(now):
            return self._learnt
        return max(self._learnt, min(self.most, CAUTION))

    def _learn(self, now: float) -> None:
        while self._gaps and self._gaps[0].ended < now - MEMORY:
            self._gaps.popleft()
        self._stale = self._gaps[0].ended + MEMORY if self._gaps else math.inf
        self._learnt_at = now
        self._learnt = self.least
        if not self._gaps or self._explained():
            return
        count = len(self._gaps)
        mean = mean_burst([(gap.survived, gap.width) for gap in self._gaps])
        # With few bursts seen the mean may well be longer.
        mean *= 1 + 1.5 / math.sqrt(count)
        age = sum(gap.age for gap in self._gaps) / count
        oldest = self._gaps[0].ended if count == REMEMBERED else self.since
        seen = max(now - (now if oldest is None else oldest), LEARNING)
        foreseen = count / min(seen, MEMORY) * 3600 / PER_HOUR
        longest = max(gap.age + gap.survived + gap.width for gap in self._gaps)
        needed = max(age + mean * math.log(max(foreseen, math.e)), _BEYOND * longest)
        self._learnt = min(max(self.least, needed), self.most)

    def dump(self, now: float) -> dict[str, object]:
        """Return what was learnt, with ages instead of times, as plain data."""
        return {
            "seen": 0.0 if self.since is None else now - self.since,
            "calm": self._calm,
            "lost": self._lost,
            "gaps": [[now - gap.ended, *gap[1:]] for gap in self._gaps],
        }

    def load(self, data: object, now: float, away: float) -> None:
        """Take what `dump` gave `away` seconds ago; what cannot be read is as if unknown."""
        if not isinstance(data, dict):
            return
        try:
            gaps = [
                Gap(now - away - float(ago), int(misses), *map(float, rest))
                for ago, misses, *rest in data["gaps"]
            ]
            seen, calm, lost = (float(data[key]) for key in ("seen", "calm", "lost"))
        except MALFORMED:
            return
        self._calm, self._lost, self._counted = calm, lost, now
        if seen > 0:
            self.since = now - away - seen
        self._gaps.extend(gaps[-REMEMBERED:])
        self._learn(now)


def poisson_tail(seen: int, mean: float) -> float:
    """Return the chance of `seen` or more where `mean` are expected."""
    term = math.exp(-mean)
    below = 0.0
    for count in range(seen):
        below += term
        term *= mean / (count + 1)
    return max(0.0, 1 - below)


def mean_burst(ends: list[tuple[float, float]]) -> float:
    """Return the likeliest mean of exponential spans (seconds).

    :param ends: (lower end, width) of the interval in which each span is known to end.

    The likelihood of spans ending between s and s + w is greatest where the sum of
    w / (exp(w / mean) - 1) equals the sum of s; found by halving. One millisecond is added
    to the sum of s, for a line that showed no survivor may yet have some.
    """
    survived = sum(low for low, _ in ends) + 0.001
    low, high = 1e-4, 10.0
    for _ in range(24):
        mean = math.sqrt(low * high)
        expected = sum(width / math.expm1(min(width / mean, 500.0)) for _, width in ends if width)
        low, high = (mean, high) if expected < survived else (low, mean)
    return high


class Window:
    """Count probes, misses and round trips over sliding windows.

    :param widths: of the windows that will be asked for, in seconds.
    """

    __slots__ = ("_buckets", "_longest", "_part")

    def __init__(self, widths: Sequence[float]) -> None:
        self._longest = max(widths)
        self._part = min(widths) / 20
        self._buckets: deque[list[float]] = deque()

    def add(self, now: float, rtt: float | None) -> None:
        """Take what became of a probe; None: missed."""
        buckets = self._buckets
        if not buckets or now - buckets[-1][0] >= self._part:
            buckets.append([now, 0, 0, 0.0])
            while buckets[0][0] < now - self._longest:
                buckets.popleft()
        bucket = buckets[-1]
        bucket[1] += 1
        if rtt is None:
            bucket[2] += 1
        else:
            bucket[3] += rtt

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()

    def totals(self, now: float, width: float) -> tuple[int, int, float]:
        """Return probes, misses and the mean round trip of a window."""
        count = missed = 0
        total = 0.0
        for bucket in reversed(self._buckets):
            if bucket[0] < now - width:
                break
            count += int(bucket[1])
            missed += int(bucket[2])
            total += bucket[3]
        answered = count - missed
        return count, missed, total / answered if answered else 0.0
