"""What the product itself tells of a real server, and of who answers on the segment."""

from __future__ import annotations

from typing import Any

from proof.checks_dsr.scene import IGNORE, PLAIN, Scene
from proof.registry import DSR, cases, check, demand
from proof.stage import Stage, shorten
from rig.dsr_network import FIRST, nft, write_sysctl
from rig.dsr_programs import serving

#: A wall that lets in nothing for the VIP.
WALL = (
    "table inet wall { chain input { type filter hook input priority 0; policy accept;\n"
    f"ip daddr {FIRST.v4} drop\n}}\n}}\n"
)


@check(602, "check tells what is wrong, and another host's probe who answers",
       over=[*PLAIN, *cases(("networkd",))], book=DSR)  # fmt: skip
def told(stage: Stage) -> None:
    """On a good server ``ipalias_dsr.check`` says True, and so does ``ipalias_dsr.probe`` of
    another host, who hears the balancer alone. A setting taken back, a VIP taken away and a wall
    before it are each named; while the setting is off, the probe names the server's MAC.
    """
    with Scene(stage) as scene, serving(scene.server):
        server = scene.server
        scene.apply(server, FIRST)
        good = scene.call(server, "ipalias_dsr.check")
        demand(isinstance(good, dict) and good["result"] is True, f"good, and it says {good}")
        heard = probed(scene)
        demand(heard["result"] is True, f"silent, and the probe says {heard}")
        for vip in FIRST:
            demand(heard["answers"][vip] == [scene.balancer], f"of {vip}: {heard['answers']}")

        write_sysctl(server, f"net/ipv4/conf/all/{IGNORE}", 0)
        names(scene, IGNORE, "eth0")
        heard = probed(scene)
        demand(heard["result"] is False, f"answered for, and the probe says {heard}")
        mac = scene.net.servers[0]
        demand(mac in str(heard["faults"]) and FIRST.v4 in str(heard["faults"]), f"{heard}")
        write_sysctl(server, f"net/ipv4/conf/all/{IGNORE}", 1)

        server.ip("address", "del", f"{FIRST.v6}/128", "dev", "lo")
        names(scene, FIRST.v6)
        scene.state(server)
        nft(server, WALL)
        walled = scene.call(server, "ipalias_dsr.check")
        demand(walled["firewall"]["found"], f"of the wall it says {walled['firewall']}")


def names(scene: Scene, *words: str) -> None:
    """Demand that the check finds a fault and names these."""
    said = scene.call(scene.server, "ipalias_dsr.check")
    demand(said["result"] is False, f"{words[0]}: it says {shorten(str(said))}")
    for word in words:
        demand(word in str(said["faults"]), f"it does not name {word}: {said['faults']}")


def probed(scene: Scene) -> dict[str, Any]:
    """Have another host of the segment ask, by the product's own probe."""
    peer, number = scene.stage.peer, scene.server.number
    peer.checkout = str(scene.stage.source)
    real = f"real={scene.server.primary},2001:db8::{number:x}"
    heard: dict[str, Any] = peer.salt_call("ipalias_dsr.probe", ",".join(FIRST), real, pillar={})
    return heard
