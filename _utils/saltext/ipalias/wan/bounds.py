"""What settings promise: worst-case detection, false alarms, outages that cause no switch.

Detection by silence, from the fault to the verdict, is at worst the sum of

- the wait for the next calm question to a target of the stream: its `interval`;
- from that question, the first to be lost, to the last that the verdict needs: the silence
  demanded plus the round trip (`silence.SilenceWatch`), or the burst that gives enough
  evidence, which begins when the first answer is late and has a question each spacing;
- one spacing, for questions are not sent continuously;
- the timeout of that last question;
- `LOOP` for the loop itself. A loop that runs later still adds what it was late by.

Detection by rounds is at worst ``fall`` intervals and a timeout: the fault comes just after
the answers of a round.
"""

from __future__ import annotations

import math
from typing import Protocol

from ..errors import InputError
from ..values import span
from .estimate import (
    EVIDENCE,
    HARD,
    MOST_LOSS,
    PER_HOUR,
    PRIOR_LOSS,
    SHORTEST,
    SOFT,
    timeout_of,
    weight_of,
)
from .model import ProbeConfig, Uplink, Way
from .silence import BREADTH, CLOSEST, PARTS, WIDEST, SilenceWatch
from .watch import BURST, CALM, Watch, needed

#: What the loop may add (seconds): being woken, and the grid of a loaded host's timer.
LOOP = 0.02


class Trip(Protocol):
    """Say what a round trip is like (`estimate.RoundTrip`)."""

    mean: float | None

    @property
    def deviation(self) -> float:
        """Return the mean deviation (seconds)."""


def burst_size(loss: float) -> int:
    """Return how many misses in a row are no longer random at a loss (0-1).

    At 2 % it is 5, whose chance is 3e-9; at 10 % it is 8.
    """
    return math.ceil(EVIDENCE / weight_of(loss))


def spacing(silence: float) -> float:
    """Return the time between two questions of a burst (seconds)."""
    return min(max(silence / PARTS, CLOSEST), WIDEST)


def detection(
    probe: ProbeConfig,
    way: Way,
    *,
    silence: float | None = None,
    mean: float | None = None,
    deviation: float = 0.0,
    loss: float = PRIOR_LOSS,
) -> float:
    """Return the worst-case time from a fault to the verdict (seconds).

    :param silence: that is demanded of the line now; None: the most that it can be.
    :param mean: round trip, and its mean `deviation`; None: as long as the timeout allows.
    :param loss: of the targets, 0-1.
    """
    if not probe.confirm:
        timeout = probe.timeout
        if probe.adaptive and mean is not None:
            timeout = timeout_of(mean, deviation, HARD, probe.timeout)
        return probe.fall * probe.interval + timeout + LOOP
    wanted = probe.silence.most if silence is None else silence
    if mean is None:
        soft = hard = trip = probe.timeout
    else:
        soft = timeout_of(mean, deviation, SOFT, probe.timeout)
        hard = timeout_of(mean, deviation, HARD, probe.timeout)
        trip = mean
    kinds = [target.kind for target in way.targets]
    calm = max(probe.interval, min(CALM[kind] for kind in kinds))
    step = spacing(wanted)
    asked = max(burst_size(loss), min(BREADTH, len(kinds)))
    slow = max(BURST[kind] for kind in kinds)
    quick = min(BURST[kind] for kind in kinds)
    burst = soft + max((asked - 1) * max(step, quick), slow)
    return calm + max(wanted + min(trip, wanted), burst) + max(step, quick) + hard + LOOP


def now_bound(uplink: Uplink, way: Way, watch: Watch, now: float) -> float:
    """Return the worst-case detection time of a line as it is now (seconds)."""
    silence = watch.gaps.required(now) if isinstance(watch, SilenceWatch) else None
    live = [asked for asked in watch.asked if not asked.dead] or list(watch.asked)
    trips: list[Trip] = [asked.rtt for asked in live]
    worst = max(trips, key=_longest)
    return detection(
        uplink.probe,
        way,
        silence=silence,
        mean=worst.mean,
        deviation=worst.deviation,
        loss=min(asked.loss.share for asked in live),
    )


def _longest(trip: Trip) -> float:
    """Return how long an answer may take; one that was never measured takes longest."""
    return math.inf if trip.mean is None else trip.mean + HARD * trip.deviation


def promise(uplink: Uplink, way: Way) -> float:
    """Return what no detection of the line ever exceeds, whatever it shows (seconds)."""
    return detection(uplink.probe, way, loss=MOST_LOSS)


def ride_through(probe: ProbeConfig) -> float:
    """Return the longest outage that by design takes no line down (seconds)."""
    return probe.silence.least if probe.confirm else (probe.fall - 1) * probe.interval


def learnt_silence(probe: ProbeConfig, loss: float, burst: float) -> float:
    """Return the silence that a line with bursts comes to demand (seconds).

    :param loss: share of time in which it loses everything, 0-1.
    :param burst: mean length of such a time, seconds (Gilbert-Elliott).
    """
    if not loss or not burst:
        return probe.silence.least
    rate = loss / burst * math.exp(-SHORTEST / burst)
    foreseen = max(rate * 3600 / PER_HOUR, math.e)
    needed_ = SHORTEST + burst * math.log(foreseen)
    return min(max(probe.silence.least, needed_), probe.silence.most)


def false_alarms(
    probe: ProbeConfig, way: Way, require: str, loss: float, burst: float = 0.0, rtt: float = 0.0
) -> float:
    """Return how many false failovers an hour of such a loss gives, once it was learnt.

    :param loss: share of round trips that are lost, 0-1.
    :param burst: mean length of the bursts in which they are (seconds); 0: each on its own.
    """
    if not loss:
        return 0.0
    count = len(way.targets)
    need = needed(require, count)
    if not probe.confirm:
        rounds = 3600 / probe.interval
        # Targets asked at one moment share a burst; on their own they are lost each.
        bad = loss if burst else _too_few(loss, count, need)
        return rounds * bad**probe.fall
    stream = count - need + 1
    if burst:
        silence = learnt_silence(probe, loss, burst)
        return 3600 * loss / burst * math.exp(-(silence + min(rtt, silence)) / burst)
    silence = probe.silence.least
    late = timeout_of(rtt, 0.0, SOFT, probe.timeout)
    asked = 1 + max(0, math.floor((silence + min(rtt, silence) - late) / spacing(silence)))
    misses = max(burst_size(loss), asked)
    openings = 3600 / probe.interval * stream * loss
    return openings * loss ** (misses - 1)


def _too_few(loss: float, count: int, need: int) -> float:
    """Return the chance that fewer than `need` of `count` answer."""
    return math.fsum(
        math.comb(count, got) * (1 - loss) ** got * loss ** (count - got) for got in range(need)
    )


def refuse_contradictions(uplink: Uplink, within: float | None, where: str) -> None:
    """Refuse a promise that the other settings cannot keep.

    :param within: the longest detection that the operator accepts (seconds).
    :raises InputError: naming what it comes to and what would shorten it.
    """
    if within is None:
        return
    for way in uplink.ways:
        worst = promise(uplink, way)
        if worst > within:
            shorter = (
                "lower `silence:most`, `timeout` or `interval`"
                if uplink.probe.confirm
                else "lower `fall`, `interval` or `timeout`"
            )
            raise InputError(
                f"{way.line.text()} is detected within {span(round(worst, 3))} at worst, "
                f"not within {span(within)}",
                where=where,
                way_out=shorter,
            )


def describe(uplink: Uplink, way: Way) -> dict[str, object]:
    """Return what the settings of a line promise, as plain data; times in seconds."""
    probe = uplink.probe
    least = probe.silence.least
    losses = (("2%", 0.02, 0.0), ("10%", 0.1, 0.0), ("10% in bursts of 50 ms", 0.1, 0.05))
    return {
        "line": way.line.text(),
        "profile": probe.profile,
        "detected": {
            f"rtt {span(rtt)}": round(
                detection(probe, way, silence=least, mean=rtt, deviation=off), 3
            )
            for rtt, off in ((0.0, 0.0), (0.03, 0.005), (0.15, 0.025))
        },
        "detected at worst": round(promise(uplink, way), 3),
        "ridden through": round(ride_through(probe), 3),
        "false alarms an hour": {
            name: float(f"{false_alarms(probe, way, uplink.require, loss, burst):.2g}")
            for name, loss, burst in losses
        },
        "probes a second": round(
            sum(1 / max(probe.interval, CALM[target.kind]) for target in way.targets), 2
        ),
    }
