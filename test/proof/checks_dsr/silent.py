"""Who answers for the VIP on the segment: the balancer, at every moment, and nobody else."""

from __future__ import annotations

from proof.checks_dsr.scene import (
    ANNOUNCE,
    EVERYWHERE,
    IGNORE,
    PLAIN,
    Scene,
    demand_settings,
)
from proof.registry import DSR, cases, check, demand
from proof.stage import Stage
from rig.dsr_network import FIRST, SECOND, write_sysctl
from rig.dsr_programs import asking, serving
from rig.host import BootedHost

#: Requests whose answers make a server look for its gateway.
REQUESTS = 100


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
