"""Scenes of several ways out on the simulated BSDs, for the matrices of crashes and faults."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from rig import simfreewan, simopenwan
from rig.bsdlines import block
from rig.simhost import SimHost
from saltext.ipalias.engine import Answer
from saltext.ipalias.wan.bsdsetup import BsdSetup
from saltext.ipalias.wan.config import parse_wan

SCENES = ("first", "other", "clean")
#: System by the name of its scenes.
SYSTEMS = {"openwan": simopenwan, "freewan": simfreewan}
NAT = {"networks": ["192.0.2.0/24"]}
_ids = itertools.count(1)


def bring(data: dict[str, Any] | None) -> Callable[[SimHost], Answer]:
    """Return the request that brings a host to a block, without the kernel settings."""

    def request(host: SimHost) -> Answer:
        setup = BsdSetup(
            host,
            new_id=lambda: f"bsd-{next(_ids):06d}",
            interpreter="/usr/local/bin/python3",
        )
        if data is None:
            return setup.bring(None, "")
        config = parse_wan(data, system=host.system)
        return setup.bring(config, setup._render(data))

    return request


def scene_of(name: str, scene: str) -> tuple[SimHost, Callable[[SimHost], Answer]]:
    """Return a host as it is before a change of the configuration, and the request for it."""
    host = SYSTEMS[name].machine()
    host.files.put("/etc/unrelated", "kept\n")
    if name == "freewan":
        # A change of its own, and before this one.
        host.run(["sysctl", "net.route.multipath=1"])
        host.files.put("/etc/sysctl.conf", "net.route.multipath=1\n")
    host.run(["pfctl", "-f", simopenwan.PF])
    request = bring(block(2, nat=NAT))
    if scene != "first":
        request(host)
        request = bring(None if scene == "clean" else block(3))
    host.log.clear()
    return host, request


def boot(host: SimHost) -> None:
    """Do what a boot does with our part, behind the network's."""
    {"openbsd": simopenwan.boot, "freebsd": simfreewan.boot}[host.system](host)
