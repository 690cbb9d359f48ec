"""A change, and a backup, that is killed in its middle."""

from __future__ import annotations

import json
import subprocess

from proof.checks_dhcp.scene import PAIRS, demand_files, lease, normal_pair, renew
from proof.checks_safety.driver import hear, tell
from proof.extent import draw
from proof.registry import DHCP, check, demand
from proof.stage import Stage
from rig.dhcp_hosts import DhcpHosts, Member
from rig.process import Running
from rig.salt import interpreter

#: Points of a sample.
POINTS = 6


@check(401, "a change killed before or after any effect: configuration and leases intact",
       over=PAIRS, book=DHCP)  # fmt: skip
def change(stage: Stage) -> str:
    """SIGKILL at each effect of a change of the lease times (`FULL=1`: all). The next run, or
    the dead man alone, leads to exactly the old or the new files with the server running; no
    lease is lost; in the end all clients renew and both members are normal.
    """
    reached, every = killed(stage, "change")
    return f"{reached} kills of {every} points, 0 torn states, 30 leases there"


@check(402, "a backup killed before or after any effect: leases, configuration, backups intact",
       over=PAIRS, book=DHCP)  # fmt: skip
def backup(stage: Stage) -> str:
    """SIGKILL at each effect of `ipalias_dhcp.backup`, which also takes the oldest away (`FULL=1`:
    all): files and service untouched, each backup that counts is whole and has all leases, the next
    run leaves as many as are to be kept and no half of one.
    """
    reached, every = killed(stage, "backup")
    return f"{reached} kills of {every} points, no backup torn, 30 leases there"


def killed(stage: Stage, do: str) -> tuple[int, int]:
    """Kill what is done on the secondary at one point after another; return kills and points."""
    with normal_pair(stage) as scene:
        first = lease(scene, range(1, 31))
        demand_files(scene, first)
        held = {row["address"]: row["mac"] for row in first.values()}
        program = started(scene, scene.secondary, held, do)
        try:
            effects = hear(program)["effects"]
            every = [
                (at, when, then)
                for then, names in effects.items()
                for at in range(len(names))
                for when in ("before", "after")
                if do == "change" or then == "run"
            ]
            chosen = draw(every, POINTS, f"{do}-{stage.case}")
            tell(program, json.dumps(chosen) + "\n")
            reached = 0
            for at, when, then in chosen:
                told = hear(program)
                where = f"killed {when} effect {at} ({told['name']}), {then}"
                demand(not told["is"], f"{where}: {told['is']}")
                reached += told["killed"]
            demand(hear(program).get("end"), "the program inside did not end")
        finally:
            program.end()
        demand(reached * 2 >= len(chosen), f"only {reached} of {len(chosen)} kills came")
        scene.await_normal()
        renewed = renew(scene, first)
        demand_files(scene, renewed)
    return reached, len(every)


def started(scene: DhcpHosts, member: Member, held: dict[str, str], do: str) -> Running:
    """Start `rig.inside_dhcp` on a member, with two pillars that differ in the lease times."""
    old = scene.pillar
    new = json.loads(json.dumps(old))
    [subnet] = new["ipalias"]["dhcp"]["subnets"]
    subnet.update(default_lease_time=900, max_lease_time=9000)
    host = member.host
    program = host.popen(
        [*interpreter()[0], f"{host.checkout}/test/rig/inside_dhcp.py"],
        interpreter()[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    words = {
        "library": f"{host.checkout}/_utils",
        "minion": member.name,
        "implementation": scene.implementation,
        "old": old,
        "new": new,
        "held": held,
        "do": do,
    }
    tell(program, json.dumps(words) + "\n")
    return program
