"""The drill, from a real master: one that passes, and one whose peer does not take over."""

from __future__ import annotations

import json
from typing import Any

from proof.checks_dhcp.scene import PAIRS, demand_files, lease, normal_pair
from proof.registry import DHCP, check, demand
from proof.stage import Stage, shorten
from rig.dhcp_hosts import DhcpHosts
from rig.dhcp_master import DhcpMaster

REPORT = "/var/lib/ipalias/dhcp/drill.json"
#: Seconds after which the member starts its server by itself.
LIMIT = 90


def hold(master: DhcpMaster, scene: DhcpHosts) -> dict[str, Any]:
    """Hold a drill; return its report."""
    told = master.runner(
        "ipalias.dhcp_drill",
        ",".join(member.name for member in scene.members),
        f"client={master.clients[0].name}",
        "interface=eth0",
        f"limit={LIMIT}",
    )
    demand(isinstance(told, dict) and "result" in told, f"no report: {shorten(str(told))}")
    return dict(told)


def kept(scene: DhcpHosts) -> list[dict[str, Any]]:
    """Return the report as each member has kept it; demand that both have."""
    texts = [member.host.read(REPORT) for member in scene.members]
    demand(all(texts), "a member has no report of the drill")
    return [json.loads(text or "{}") for text in texts]


@check(501, "the drill: one is stopped, a client is served by the other, both are normal again",
       over=PAIRS, book=DHCP)  # fmt: skip
def passes(stage: Stage) -> str:
    """`salt-run ipalias.dhcp_drill` with a client on the segment passes, its dated report is kept
    on both members, both servers run and are normal, all leases are there.
    """
    with normal_pair(stage) as scene, DhcpMaster(scene, client=True) as master:
        rows = lease(scene, range(1, 31))
        demand_files(scene, rows)
        told = hold(master, scene)
        said = told["report"]
        demand(told["result"] is True, shorten(f"the drill failed: {said}"))
        scene.await_normal(1.0)
        for report in kept(scene):
            demand(report["result"] == "ok" and report["good"], f"kept: {report}")
            demand(len(report["report"]) == len(said), "the report is kept in part")
        # What the drill's clients had they have given back.
        demand_files(scene, rows)
    words = [line.partition(" UTC ")[2] for line in said]
    demand(all(words) and len(words) >= 5, f"no dated report: {said}")
    return shorten("; ".join(words[-3:]), 200)


@check(502, "a drill whose peer does not take over: fails at once, and brings the server back",
       over=PAIRS, book=DHCP)  # fmt: skip
def fails(stage: Stage) -> str:
    """No client's message comes to the member that stays: the drill says so and ends, the stopped
    server runs again, both are normal, the report is kept and counts as no good drill.
    """
    with normal_pair(stage) as scene, DhcpMaster(scene, client=True) as master:
        rows = lease(scene, range(1, 31))
        demand_files(scene, rows)
        before = scene.primary.pids()
        scene.deafen(scene.secondary)
        told = hold(master, scene)
        demand(told["result"] is False, f"it passed although nobody took over: {told['report']}")
        ran = scene.primary.pids()
        demand(ran and ran != before, f"the stopped server: {before} before, {ran} after")
        scene.heal()
        scene.await_normal()
        for report in kept(scene):
            demand(report["result"] != "ok" and not report["good"], f"kept: {report}")
        demand_files(scene, rows)
    said = "; ".join(line.partition(" UTC ")[2] for line in told["report"])
    demand("did not take over" in said, f"it does not say why it failed: {shorten(said)}")
    return shorten(said, 300)
