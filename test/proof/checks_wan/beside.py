"""Peers in the same rig in the same run."""

from __future__ import annotations

import statistics

from proof.checks_wan.failover import NEAR
from proof.checks_wan.scene import FIRST, SECOND, fail_and_return, watched
from proof.extent import full
from proof.registry import WAN, Case, check, demand
from proof.stage import Stage
from rig import wan_peers
from rig.process import wait_until
from rig.wan_lab import BEYOND, SOURCES, Lab, clock

#: Longest that a peer may take for a change: the guide's loop has its round, and two pings.
PATIENCE = 90.0


def peers(stage: Stage) -> str:
    """Loss beyond the gateway, RTT about 0, ours ten times and what peers this machine has, five
    times each. Their figures are no promise of ours: nothing here can fail.
    """
    with watched(stage, NEAR) as lab:
        ours = [fail_and_return(lab, BEYOND, NEAR) for _ in range(10)]
    rows = [_row("ours, `fast`", [run.outage for run in ours], [run.back for run in ours])]
    for name in wan_peers.names():
        with Lab(stage.source) as lab, wan_peers.running(lab, name):
            took = [_one(lab) for _ in range(5)]
        rows.append(_row(name, [outage for outage, _ in took], [back for _, back in took]))
    return "; ".join(rows)


def _one(lab: Lab) -> tuple[float, float]:
    """Return outage and return of new flows (seconds)."""
    lab.start_stream(flows=0, fresh=True)
    lab.sleep_until(clock() + 0.5)
    broken = lab.break_line(FIRST, BEYOND)
    wait_until(lambda: _way(lab) == SECOND, "the peer to switch", timeout=PATIENCE)
    lab.sleep_until(clock() + 0.5)
    repaired = lab.repair(FIRST, BEYOND)
    wait_until(lambda: _way(lab) == FIRST, "the peer to switch back", timeout=PATIENCE)
    lab.sleep_until(clock() + 0.5)
    fresh = lab.stop_stream()["fresh"]
    back = fresh.first_back(repaired, SOURCES[FIRST])
    demand(back, "new flows never took the line again")
    assert back is not None
    return fresh.outage(broken, SOURCES[SECOND]), back - repaired


def _way(lab: Lab) -> str:
    words = lab.router.ip("route", "show", "default").out.split()
    return words[words.index("dev") + 1] if "dev" in words else ""


def _row(name: str, outages: list[float], back: list[float]) -> str:
    return (
        f"{name}: outage {statistics.median(outages):.2f} / {max(outages):.2f} s, back after "
        f"{statistics.median(back):.1f} s"
    )


# A round of the guide's loop alone takes half a minute; and where nothing is promised there is
# nothing to break.
if full():
    check(
        110,
        "peers in the same rig: the outage of new flows, and how long until they are back",
        over=[Case("", "namespaces")],
        alone=True,
        book=WAN,
    )(peers)
