"""Who answers for the VIP on the segment: the balancer, at every moment, and nobody else."""

from __future__ import annotations

import json
import subprocess

from proof.checks_dsr.scene import (
    ANNOUNCE,
    EVERYWHERE,
    IGNORE,
    PLAIN,
    Scene,
    demand_settings,
)
from proof.checks_safety.driver import hear, tell
from proof.extent import draw
from proof.registry import DSR, cases, check, demand
from proof.stage import Stage
from rig.dsr_network import FIRST, SECOND, write_sysctl
from rig.dsr_programs import asking, serving
from rig.host import BootedHost
from rig.salt import interpreter

#: Requests whose answers make a server look for its gateway.
REQUESTS = 100
#: Points of a sample at which adding and removing are killed.
POINTS = 16


@check(201, "no real server answers ARP or ND for a VIP: add, steady, reboot, removal",
       over=EVERYWHERE, book=DSR)  # fmt: skip
def never_answers(stage: Stage) -> str:
    """A thousand ARP requests and a thousand neighbour solicitations in each phase, plain, as of a
    duplicate check, and straight to the servers' MACs: the balancer alone answers. No server
    asks for its gateway in the VIP's name either, nor announces it: the bridge counts.
    """
    with Scene(stage, count=1 if stage.case.suite else 2) as scene, scene.prober() as prober:
        done = []
        prober.begin("add")
        for server in scene.servers:
            scene.apply(server, FIRST)
            scene.apply(server, FIRST, SECOND)
        done.append(scene.demand_silent(prober, "add"))
        prober.begin("steady")
        traffic(scene)
        done.append(scene.demand_silent(prober, "steady"))
        if isinstance(scene.server, BootedHost):
            prober.begin("reboot")
            scene.server.reboot()
            scene.server.await_addresses(*(f"{vip.v4}/32" for vip in (FIRST, SECOND)))
            done.append(scene.demand_silent(prober, "reboot"))
            scene.demand_live(scene.server, FIRST, SECOND, when=" after the reboot")
        prober.begin("removal")
        for server in scene.servers:
            scene.apply(server, FIRST)
            scene.clean(server)
            scene.demand_live(server, when=" after clean")
        done.append(scene.demand_silent(prober, "removal"))
        claims = scene.net.counts().claims
        demand(not claims, f"{claims} frames of a real server said to have a VIP")
        return "; ".join(done)


def traffic(scene: Scene) -> None:
    """Have every server answer requests, with its gateway's address forgotten."""
    for server in scene.servers:
        server.ip("neigh", "flush", "all")
    with serving(*scene.servers), asking(scene.net.client, FIRST, REQUESTS) as found:
        pass
    demand(not found.lost, f"lost {found.lost}: {found.first_lost}")


@check(202, "with the settings withheld the same questions are answered; the next run ends it",
       over=[*PLAIN, *cases(("networkd",))], book=DSR)  # fmt: skip
def withheld(stage: Stage) -> str:
    """Somebody sets ``arp_ignore`` and ``arp_announce`` to 0: the same questions now find the real
    server, so the silence before was no accident of the rig. The next run says so and ends it.
    """
    with Scene(stage) as scene, scene.prober() as prober:
        server = scene.server
        scene.apply(server, FIRST)
        prober.begin("before")
        scene.demand_silent(prober, "before")
        for name in (IGNORE, ANNOUNCE):
            write_sysctl(server, f"net/ipv4/conf/all/{name}", 0)
        prober.begin("withheld")
        heard = scene.heard(prober)
        others = heard.by_others(scene.balancer)
        demand(set(others) == {FIRST.v4}, f"withheld, yet answered only for {others}")
        run = scene.state(server)
        demand(IGNORE in str(run.changes), f"healed without a word: {run.changes}")
        demand_settings(server, when=" after the next run")
        prober.begin("after")
        scene.demand_silent(prober, "after the next run")
        return f"{heard.by(*scene.net.servers)} answers of the real server while withheld"


@check(203, "killed before or after any effect of adding or removing: silent all the same",
       over=[*PLAIN, *cases(("networkd", "ifupdown"))], book=DSR)  # fmt: skip
def killed(stage: Stage) -> str:
    """SIGKILL at each effect of both ways, while another host asks without a pause: no answer,
    never a VIP on a host that is not silent; the next run, either way, gets there.
    """
    with Scene(stage) as scene, scene.prober() as prober:
        server = scene.server
        request = {
            "library": f"{server.checkout}/_utils",
            "pillar": scene.pillar(FIRST, SECOND)["ipalias"] | {"guard": False},
            "vips": [*FIRST, *SECOND],
            "interface": "eth0",
        }
        program = server.popen(
            [*interpreter()[0], f"{server.checkout}/test/rig/inside_dsr.py"],
            interpreter()[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        prober.begin("kills")
        try:
            tell(program, json.dumps(request) + "\n")
            effects = hear(program)["effects"]
            every = [
                (way, at, when)
                for way, names in effects.items()
                for at in range(len(names))
                for when in ("before", "after")
            ]
            chosen = draw(every, POINTS, f"dsr-{stage.case}")
            tell(program, json.dumps(chosen) + "\n")
            kills = 0
            for way, at, when in chosen:
                told = hear(program)
                where = f"{way}, killed {when} effect {at} ({told['name']})"
                demand(not told["is"], f"{where}: {told['is']}")
                kills += told["killed"]
            demand(hear(program).get("end"), "the program inside did not end")
        finally:
            program.end()
        demand(kills * 2 >= len(chosen), f"only {kills} of {len(chosen)} kills came")
        heard = scene.demand_silent(prober, "while it was killed")
        return f"{kills} kills, {len(every)} points; {heard}"
