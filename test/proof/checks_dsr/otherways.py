"""What else takes things away, while a VIP is there: none of it makes the host answer."""

from __future__ import annotations

from proof.checks_dsr.scene import (
    ANNOUNCE,
    IGNORE,
    PLAIN,
    Scene,
    demand_settings,
)
from proof.registry import DSR, check, demand
from proof.stage import Stage, shorten
from rig.dsr_network import FIRST, SECOND, write_sysctl

KEY = f"net.ipv4.conf.all.{IGNORE}"
#: Calls that take away what is ours in other ways, and what an answer that is no refusal says.
WAYS = (
    ("ipalias.rollback",),
    ("ipalias.clean",),
    ("ipalias.remove", FIRST.v4),
    ("ipalias_sysctl.absent", KEY),
    ("ipalias_sysctl.clean",),
)


@check(205, "rollback, clean, remove and the settings' own ways never make a real server answer",
       over=PLAIN, book=DSR)  # fmt: skip
def other_ways(stage: Stage) -> str:
    """The last change is one of the settings alone, as somebody had taken them back; each way is
    refused or leaves VIPs and settings, and says so. A highstate with other aliases leaves them
    too; ``state.apply ipalias.clean`` takes all away, and rolling that back does not bring back a
    VIP. Nobody hears an answer meanwhile.
    """
    with Scene(stage) as scene, scene.prober() as prober:
        server = scene.server
        scene.apply(server, FIRST)
        for name in (IGNORE, ANNOUNCE):
            write_sysctl(server, f"net/ipv4/conf/all/{name}", 0)
        scene.state(server)
        prober.begin("other ways")
        refused = 0
        for words in WAYS:
            said = scene.call(server, *words)
            scene.demand_live(server, FIRST, when=f" after {words[0]}")
            demand_settings(server, when=f" after {words[0]}")
            demand(FIRST.v4 in str(said) or KEY in str(said) or "as wanted" in str(said), said)
            refused += isinstance(said, str)
        pillar = scene.pillar(FIRST, SECOND)
        pillar["ipalias"]["interfaces"] = {"eth0": {"addresses": ["198.51.100.10"]}}
        scene.state(server, "ipalias", pillar)
        scene.demand_live(server, FIRST, SECOND, when=" after a highstate")
        scene.state(server, "ipalias.clean")
        scene.demand_live(server, when=" after clean")
        said = str(scene.call(server, "ipalias.rollback"))
        scene.call(server, "ipalias.rollback")
        demand_no_vip_loud(scene, said)
        heard = scene.demand_silent(prober, "meanwhile")
        return f"{refused} of {len(WAYS)} refused; {heard}"


def demand_no_vip_loud(scene: Scene, said: str) -> None:
    """Demand that there is no VIP, or that the host is silent."""
    if any(scene.server.has(address, None) for address in (*FIRST, *SECOND)):
        demand_settings(scene.server, when=f" after a rollback that said {shorten(said)}")
