"""How long a failure lasts for who sends packets, and what is taken for one that is none."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence

from proof.checks_wan.scene import BACK, Run, Way, fail_and_return, figures, watched
from proof.extent import full
from proof.registry import WAN, Case, Missed, check, demand
from proof.stage import Stage
from rig.wan_lab import BEYOND, CARRIER, LINK, Lab, clock, pillar
from saltext.ipalias.wan.profiles import DEFAULT, FAST

NEAR, MIDDLE, FAR = Way(), Way(0.03, 0.01), Way(0.15, 0.05)
BURSTS = (0.02, 0.05, 0.1)
#: Fault and lines by the case's name.
SITUATIONS: dict[str, tuple[str, Way]] = {
    "beyond the gateway, RTT 0": (BEYOND, NEAR),
    "on the gateway's link, RTT 0": (LINK, NEAR),
    "beyond the gateway, RTT 30±10 ms": (BEYOND, MIDDLE),
    "on the gateway's link, RTT 30±10 ms": (LINK, MIDDLE),
    "beyond the gateway, RTT 150±50 ms": (BEYOND, FAR),
    "RTT 30±10 ms, 2 % lost": (BEYOND, Way(0.03, 0.01, 0.02)),
    "RTT 150±50 ms, 10 % lost": (BEYOND, Way(0.15, 0.05, 0.1)),
    **{
        f"RTT 30±10 ms, 2 % lost in bursts of {burst * 1000:g} ms": (
            BEYOND,
            Way(0.03, 0.01, 0.02, burst),
        )
        for burst in BURSTS
    },
}
LOSSES = {
    f"{share:.0%} lost{f' in bursts of {burst * 1000:g} ms' if burst else ''}, "
    f"RTT {way.rtt * 1000:g} ms": Way(way.rtt, way.jitter, share, burst)
    for share in (0.02, 0.1)
    for burst in (0.0, *BURSTS)
    for way in (MIDDLE, FAR)
}


def runs() -> int:
    """Return how often a failure is repeated."""
    return 50 if full() else 3


def seed() -> int:
    """Return the run's seed."""
    return int(os.environ.get("SEED") or 1)


def repeat(lab: Lab, fault: str, way: Way, count: int) -> list[Run]:
    """Break and repair a line several times."""
    return [fail_and_return(lab, fault, way) for _ in range(count)]


def judge(done: Sequence[Run], aims: tuple[float, float], hold_down: float, way: Way) -> str:
    """Hold runs against their aims: median and worst outage (seconds), and the return.

    :raises Missed: an aim in time was missed.
    """
    told = figures(done, hold_down)
    if not way.loss:
        demand(not sum(run.lost for run in done), f"packets were lost by the return: {told}")
    outages = [run.outage for run in done]
    missed = statistics.median(outages) > aims[0] or max(outages) > aims[1]
    if missed or max(run.back for run in done) > BACK + hold_down + 2 * way.rtt:
        raise Missed(f"{told}; aims {aims[0]:g} / {aims[1]:g} s")
    return told


@check(101, "`fast`: loss with the carrier up, failover and return",
       over=[Case("", name) for name in SITUATIONS], alone=True, book=WAN)  # fmt: skip
def fast(stage: Stage) -> str:
    """A packet every 10 ms feels a failure: median ≤ 0.15 s + 2 RTT, worst ≤ 0.3 s + 3 RTT, never
    over the bound that was shown; back within 0.5 s + hold-down, without a packet lost.
    """
    fault, way = SITUATIONS[stage.setup]
    with watched(stage, way, seed=seed()) as lab:
        done = repeat(lab, fault, way, runs())
    aims = 0.15 + 2 * way.rtt, 0.3 + 3 * way.rtt
    return judge(done, aims, FAST.hold_down, way)


@check(102, "`default`: loss with the carrier up, failover and return",
       over=[Case("", BEYOND), Case("", LINK)], alone=True, book=WAN)  # fmt: skip
def default(stage: Stage) -> str:
    """As line 101, with an outage of a second at most."""
    with watched(stage, NEAR, pillar("default")) as lab:
        done = repeat(lab, stage.setup, NEAR, runs() if full() else 2)
    return judge(done, (1.0, 1.0), DEFAULT.hold_down, NEAR)


@check(103, "loss of the carrier: failover and return",
       over=[Case("", "fast"), Case("", "default")], alone=True, book=WAN)  # fmt: skip
def carrier(stage: Stage) -> str:
    """A packet every 2 ms feels it for no more than 10 ms, whatever the profile."""
    profile = FAST if stage.setup == "fast" else DEFAULT
    with watched(stage, NEAR, pillar(stage.setup)) as lab:
        done = repeat(lab, CARRIER, NEAR, runs() if full() else 2)
    wrong = [run.reason for run in done if "carrier" not in run.reason]
    demand(not wrong, f"the verdict was not the carrier's: {wrong}")
    return judge(done, (0.01, 0.01), profile.hold_down, NEAR)


@check(104, "no false failover on lines that lose packets", over=[Case("", n) for n in LOSSES],
       book=WAN)  # fmt: skip
def calm(stage: Stage) -> str:
    """`fast` on two lines at once, each with this loss, from a monitor's first moment on: not one
    goes down in ten minutes (a sample: 25 s).
    """
    way = LOSSES[stage.setup]
    seconds = 600 if full() else 25
    with Lab(stage.source, delays=True) as lab:
        way.tune(lab, seed())
        lab.watch(pillar(), fresh=True)
        begun = clock()
        lab.sleep_until(begun + seconds)
        status = lab.status()
        false = [f"{e.line.text()}: {e.reason}" for e in lab.journal() if e.state == "down"]
    demand(not false, f"{len(false)} false failovers in {seconds} s: {'; '.join(false[:3])}")
    silences = ", ".join(f"{row['silence']:.2f} s" for row in status["lines"])
    return f"none in {seconds} s; the lines' silence comes to {silences}"
