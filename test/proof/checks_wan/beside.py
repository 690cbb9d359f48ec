"""Peers in the same rig in the same run."""

from __future__ import annotations

import os
import random
import statistics

from proof.checks_wan.failover import NEAR
from proof.checks_wan.scene import FIRST, SECOND, fail_and_return, watched
from proof.extent import full
from proof.registry import WAN, Case, Missed, check, demand
from proof.stage import Stage
from rig import wan_peers
from rig.process import wait_until
from rig.wan_lab import SOURCES, Lab, clock

#: Longest that a peer may take for a change: the guide's loop has its round, and two pings.
PATIENCE = 90.0
GUIDE = [Case("", wan_peers.GUIDE)]
OTHERS = [Case("", name) for name in wan_peers.PEERS if name != wan_peers.GUIDE]


@check(110, "peers in the same rig: the outage of new flows, and how long until they are back",
       over=OTHERS, alone=True, book=WAN)  # fmt: skip
def peers(stage: Stage) -> str:
    """keepalived, a script around fping, BIRD with BFD: loss beyond the gateway, for BFD on the
    gateway's link; five runs with FULL=1, else one, and ours of the same fault beside them, which
    must keep its own bound. To be slower than the peer is a MISS.
    """
    return _beside(stage)


@check(111, "the guide's loop in the same rig: two pings, 30 s", over=GUIDE, alone=True, book=WAN)
def guide(stage: Stage) -> str:
    """`ping -q -c 1 -w 5` to each of two targets, either will do, every 30 s; likewise."""
    return _beside(stage)


def _beside(stage: Stage) -> str:
    """Return the figures of a peer and of ours; MISS where ours are the longer ones."""
    name = stage.setup
    lacking = wan_peers.missing(name)
    demand(not lacking, f"this machine has no {lacking}: python test/rig/needs.py lists all")
    fault = wan_peers.PEERS[name].fault
    count = 5 if full() else 1
    with watched(stage, NEAR) as lab:
        runs = [fail_and_return(lab, fault, NEAR) for _ in range(2 * count)]
    ours = [run.outage for run in runs]
    draw = random.Random(f"{os.environ.get('SEED') or 1}-{name}")
    every = wan_peers.PEERS[name].every
    with Lab(stage.source) as lab, wan_peers.running(lab, name):
        took = [_one(lab, fault, draw.uniform(0, every)) for _ in range(count)]
    theirs = [outage for outage, _ in took]
    told = (
        f"outage {_figures(theirs)}, back after {statistics.median(b for _, b in took):.2f} s; "
        f"ours ({fault}) {_figures(ours)}, back after "
        f"{statistics.median(run.back for run in runs):.2f} s"
    )
    if statistics.median(ours) > statistics.median(theirs):
        raise Missed(told)
    return told


def _one(lab: Lab, fault: str, after: float) -> tuple[float, float]:
    """Return outage and return of new flows (seconds).

    :param after: seconds until the fault: else it would come just behind the peer's look that
        has found the line back, each time.
    """
    lab.sleep_until(clock() + after)
    lab.start_stream(flows=0, fresh=True)
    lab.sleep_until(clock() + 0.5)
    broken = lab.break_line(FIRST, fault)
    wait_until(lambda: wan_peers.way_out(lab) == SECOND, "the peer to switch", timeout=PATIENCE)
    lab.sleep_until(clock() + 0.5)
    repaired = lab.repair(FIRST, fault)
    wait_until(lambda: wan_peers.way_out(lab) == FIRST, "the peer to be back", timeout=PATIENCE)
    lab.sleep_until(clock() + 0.5)
    fresh = lab.stop_stream()["fresh"]
    back = fresh.first_back(repaired, SOURCES[FIRST])
    demand(back, "new flows never took the line again")
    assert back is not None
    return fresh.outage(broken, SOURCES[SECOND]), back - repaired


def _figures(outages: list[float]) -> str:
    """Return median and worst."""
    if len(outages) == 1:
        return f"{outages[0]:.2f} s"
    return f"{statistics.median(outages):.2f} / {max(outages):.2f} s (of {len(outages)})"
