"""A site on which faults are measured, and the figures of several runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proof.registry import demand
from proof.stage import Stage
from rig.wan_lab import CARRIER, SOURCES, Heard, Lab, clock, pillar

#: The line that fails, and the one that stands in.
FIRST, SECOND = "wan1", "wan2"
#: What the aims allow beyond a profile's hold-down until a line is back (seconds).
BACK = 0.5
#: Seconds of the stream before a fault, and after the verdict.
BEFORE, AFTER = 0.4, 0.4
#: Seconds that a fault lasts at the least: a shorter one is taken for a burst of loss, from which
#: the line learns to be waited for (`silence:most`, 2.5 s with `default`).
LASTS = 2.8
#: Between two packets of a stream; of one that measures a lost carrier.
EVERY, CLOSELY = 0.01, 0.002
#: The kernel's clock of a packet and a program's beside it may differ by so much on a busy host.
GRAIN = 0.01


@dataclass(frozen=True)
class Way:
    """Say what both lines of a case are like.

    :param rtt: mean round trip (seconds), `jitter` half the width in which it varies.
    :param loss: share of round trips; `burst` mean length of spans in which all is lost.
    """

    rtt: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    burst: float = 0.0

    @property
    def plain(self) -> bool:
        """Tell whether no line in user space is needed."""
        return self == Way()

    def tune(self, lab: Lab, seed: int) -> None:
        """Make both lines so."""
        for number, name in enumerate(lab.lines):
            lab.tune(
                name,
                delay=self.rtt,
                jitter=self.jitter,
                loss=self.loss,
                burst=self.burst,
                seed=seed + 100 * number,
            )


@dataclass(frozen=True)
class Run:
    """Hold one failure and return (seconds).

    :param outage: from the first packet lost to the first that was delivered again.
    :param quiet: the longest time without an answer.
    :param detected: from the first packet lost to the verdict.
    :param bound: that the monitor showed for it.
    :param back: from the repair until new flows had the line again.
    :param lost: packets lost after the repair.
    """

    outage: float
    quiet: float
    detected: float
    bound: float
    back: float
    lost: int
    reason: str


def fail_and_return(lab: Lab, fault: str, way: Way) -> Run:
    """Break the first line under a stream, repair it, and wait until it carries again."""
    before = lateness(lab)
    trip = way.rtt + way.jitter
    begun = lab.start_stream(fresh=True, every=CLOSELY if fault == CARRIER else EVERY)
    lab.sleep_until(begun + BEFORE + trip)
    broken = lab.break_line(FIRST, fault)
    down = lab.transition(FIRST, "down", broken)
    lab.sleep_until(max(clock() + AFTER + trip, broken + LASTS))
    repaired = lab.repair(FIRST, fault)
    lab.transition(FIRST, "up", repaired)
    lab.sleep_until(clock() + 0.1 + 2 * trip)
    ended = clock() - trip - 0.05
    heard = lab.stop_stream()
    flow, fresh = heard["udp0"], heard["fresh"]
    demand(flow.first_back(broken, SOURCES[SECOND]), "the flow never left by the other line")
    outage = flow.outage(broken, SOURCES[SECOND])
    first_lost = _first_lost(flow, broken)
    back = fresh.first_back(repaired, SOURCES[FIRST])
    demand(back, "new flows never left by the repaired line")
    assert back is not None
    run = Run(
        outage,
        flow.longest_gap(),
        down.boot_at - first_lost,
        down.bound,
        back - repaired,
        len(flow.lost_between(repaired, ended)) + len(fresh.lost_between(repaired, ended)),
        down.reason,
    )
    late = lateness(lab, before)
    # That a loop ran late is added to what it promises (`wan.bounds`).
    demand(
        run.detected <= run.bound + late + GRAIN,
        f"the verdict came {run.detected:.3f} s after the first loss, {run.bound:.3f} s were "
        f"promised at most: {run.reason}",
    )
    return run


def _first_lost(flow: Heard, since: float) -> float:
    lost = [at for n, at in enumerate(flow.sent) if at >= since and n not in flow.back]
    return lost[0] if lost else since


def figures(runs: Sequence[Run], hold_down: float) -> str:
    """Return what several runs gave, for people."""
    outages = [run.outage for run in runs]
    return (
        f"outage {statistics.median(outages):.3f} / {max(outages):.3f} s (median / worst of "
        f"{len(runs)}), no answer for {max(run.quiet for run in runs):.3f} s at worst; verdict "
        f"after {max(run.detected for run in runs):.3f} s, promised "
        f"{max(run.bound for run in runs):.3f} s; back after {max(run.back for run in runs):.2f} "
        f"s (hold-down {hold_down:g} s), {sum(run.lost for run in runs)} packets lost by it"
    )


def watched(stage: Stage, way: Way, block: dict[str, Any] | None = None, seed: int = 1) -> Lab:
    """Return a site whose monitor knows its lines.

    A line that loses packets is learnt as it is, without one as if it had been for long.
    """
    lab = Lab(stage.source, delays=not way.plain)
    try:
        way.tune(lab, seed)
        lab.watch(block or pillar(), fresh=bool(way.loss))
        if way.loss:
            learn(lab)
    except BaseException:
        lab.close()
        raise
    return lab


def learn(lab: Lab) -> None:
    """Wait until the monitor has learnt its lines; it says so."""
    end = clock() + 120
    while any(row.get("learning") for row in lab.status()["lines"]):
        demand(clock() < end, "the lines are never learnt")
        time.sleep(0.5)


def lateness(lab: Lab, before: float = 0.0) -> float:
    """Return how late the monitor's loop has been at worst (seconds).

    :param before: what that was; 0 is returned when it has not been later since.
    """
    now = float(lab.status()["longest_late"])
    return now if now > before else 0.0
