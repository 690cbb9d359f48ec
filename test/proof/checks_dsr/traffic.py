"""Requests through the balancer, answered by two real servers without it."""

from __future__ import annotations

from proof.checks_dsr.scene import EVERYWHERE, Scene
from proof.registry import DSR, check, demand
from proof.stage import Stage
from rig.dsr_network import FIRST, SECOND
from rig.dsr_programs import Traffic, asking, serving

#: Requests to the first VIP, and at least so many to the second while it is there.
REQUESTS, SECOND_REQUESTS = 10_000, 400


@check(101, "10,000 requests answered directly, none lost while a second VIP comes and goes",
       over=EVERYWHERE, book=DSR)  # fmt: skip
def requests_answered(stage: Stage) -> str:
    """TCP and UDP, IPv4 and IPv6, from a client behind a router to a VIP that two servers have;
    each answers about half, by its own MAC, and no answer passes the balancer. Meanwhile a second
    VIP is added to both servers, asked as well, and removed again. Not a request is lost.
    """
    with Scene(stage, count=2) as scene:
        for server in scene.servers:
            scene.apply(server, FIRST)
            scene.demand_live(server, FIRST)
        with serving(*scene.servers), asking(scene.net.client, FIRST, REQUESTS) as first:
            for server in scene.servers:
                scene.apply(server, FIRST, SECOND)
            with asking(scene.net.client, SECOND, SECOND_REQUESTS) as second:
                pass
            for server in scene.servers:
                scene.apply(server, FIRST)
        for server in scene.servers:
            scene.demand_live(server, FIRST, when=" after the second VIP was removed")
        demand_answered(scene, first, REQUESTS)
        demand_answered(scene, second, SECOND_REQUESTS)
        return demand_direct(scene, first, second)


def demand_answered(scene: Scene, traffic: Traffic, least: int) -> None:
    """Demand that no request was lost, and that both servers answered of each kind."""
    demand(not traffic.lost, f"lost {traffic.lost} of {traffic.asked}: {traffic.first_lost}")
    demand(traffic.asked == traffic.answered >= least, f"{traffic.answered} answers only")
    names = {server.name for server in scene.servers}
    demand(len(traffic.kinds) == 4, f"asked by {', '.join(traffic.kinds)} only")
    for kind, row in traffic.kinds.items():
        demand(set(row["servers"]) == names, f"{kind} answered by {row['servers']}")


def demand_direct(scene: Scene, *traffic: Traffic) -> str:
    """Demand by the bridge's counters that answers went straight back; return the figures."""
    seen = scene.net.counts()
    answered = sum(part.answered for part in traffic)
    demand(seen.to_balancer >= answered, f"the balancer got {seen.to_balancer} frames only")
    demand(seen.on == seen.to_balancer, f"it handed on {seen.on} of {seen.to_balancer} frames")
    demand(not seen.past_balancer, f"{seen.past_balancer} frames went past the balancer")
    demand(not seen.through_balancer, f"{seen.through_balancer} answers passed the balancer")
    demand(not seen.claims, f"{seen.claims} times a server said to have the VIP")
    demand(sum(seen.direct.values()) >= answered, f"direct answers: {seen.direct}")
    shares = sorted(traffic[0].servers.values())
    resent = sum(part.retransmitted for part in traffic)
    return (
        f"{answered} requests in {traffic[0].seconds:.0f} s, 0 lost, {resent} segments sent again; "
        f"answered by the two {shares[0]} and {shares[1]}"
    )
