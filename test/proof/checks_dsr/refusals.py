"""Bad input: refused by name, and nothing has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proof.checks_dsr.scene import (
    ANNOUNCE,
    IGNORE,
    PLAIN,
    Scene,
    Server,
    live,
    sysctl_files,
)
from proof.registry import DSR, cases, check, demand
from proof.stage import Stage, shorten
from rig.dsr_network import FIRST

LATE = "/etc/sysctl.d/zzzz-local.conf"


def wrong(scene: Scene) -> list[tuple[str, Mapping[str, Any], tuple[str, ...]]]:
    """Return pillars that are wrong: in what, the pillar, what the refusal must name."""
    primary, pillar = scene.server.primary, scene.pillar
    aliased = pillar(FIRST)
    aliased["ipalias"]["interfaces"] = {"eth0": {"addresses": [FIRST.v4]}}
    first = "ipalias:dsr:vips[0]"
    return [
        ("the host's primary", pillar(vips=[primary]), (primary, "eth0", first)),
        ("not a /32", pillar(vips=[f"{FIRST.v4}/24"]), (FIRST.v4, first)),
        ("not a /128", pillar(vips=[f"{FIRST.v6}/64"]), (FIRST.v6, first)),
        (
            "unknown interface",
            pillar(FIRST, interfaces=["eth7"]),
            ("eth7", "ipalias:dsr:interfaces[0]"),
        ),
        ("an alias too", aliased, (FIRST.v4, "ipalias:interfaces:eth0", first)),
        ("an unknown key", pillar(FIRST, scop="all"), ("scop", "ipalias:dsr")),
    ]


@check(601, "bad input is refused by name and changes nothing",
       over=[*PLAIN, *cases(("networkd", "ifupdown"))], book=DSR)  # fmt: skip
def refused_by_name(stage: Stage) -> str:
    """A VIP that is the host's primary, one that is no single address, an unknown receiving
    interface, a VIP that is an alias too, an unknown key, a file that sets the key afterwards.
    """
    with Scene(stage) as scene:
        server = scene.server
        server.run(["mkdir", "-p", "/etc/sysctl.d"])
        for what, pillar, named in wrong(scene):
            demand_refused(scene, what, pillar, named)
        server.write(LATE, f"# somebody's\nnet.ipv4.conf.all.{IGNORE} = 0\n")
        demand_refused(scene, "a file that wins", scene.pillar(FIRST), (f"{LATE}:2", IGNORE))
        server.remove(LATE)
        scene.apply(server, FIRST)
        scene.demand_live(server, FIRST)
        return f"{len(wrong(scene)) + 1} refusals, then a change that stands"


def demand_refused(
    scene: Scene, what: str, pillar: Mapping[str, Any], named: tuple[str, ...]
) -> None:
    """Demand that a pillar is refused, naming these, and that nothing has changed."""
    server = scene.server
    before = state_of(server)
    run = scene.state(server, pillar=pillar, must=False)
    demand(run.failed, f"{what}: taken: {shorten(run.comment)}")
    said = "; ".join(run.failed)
    for word in named:
        demand(word in said, f"{what}: the refusal does not name {word}: {shorten(said)}")
    demand(not run.changes, f"{what}: refused, yet changed {run.changes}")
    demand(state_of(server) == before, f"{what}: refused, yet something changed")


def state_of(server: Server) -> tuple[object, ...]:
    """Return what none of these may touch."""
    addresses = sorted(f"{found.interface} {found}" for found in server.addresses(None))
    return addresses, sysctl_files(server), live(server, IGNORE), live(server, ANNOUNCE)
