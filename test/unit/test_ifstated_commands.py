"""Each command that the rendered machine says, on simulated hosts of both systems, as it runs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from rig import simfreewan, simopenwan
from rig.bsdlines import block
from rig.simmachine import Machine
from saltext.ipalias.wan.systems import make

SYSTEMS = {"openbsd": simopenwan, "freebsd": simfreewan}
TARGETS = {"wan1": {"203.0.113.1", "203.0.113.2"}, "wan3": {"203.0.113.21"}}
FIRST, THIRD = "198.51.100.1", "198.51.100.129"
_ids = itertools.count(1)


def machine(system: str, **more: Any) -> Machine:
    """Return a host on which wan1 and wan3, each with an interface of its own, are watched."""
    module: Any = SYSTEMS[system]
    host = module.machine()
    wan = block(3, nat={"networks": ["192.0.2.0/24"]}, **more)
    del wan["uplinks"]["wan2"]
    wan["uplinks"]["wan1"]["source"] = "198.51.100.10"
    wan["uplinks"]["wan3"]["source"] = "198.51.100.130"
    if system == "freebsd":
        wan["uplinks"]["wan3"]["weight"] = 3
    data = {"wan": wan, "guard": False}
    new_id = (f"machine-{next(_ids):06d}" for _ in itertools.count())
    made = make(
        host=host, data=data, new_id=lambda: next(new_id), interpreter="/usr/local/bin/python3"
    )
    assert made.managed()["result"] is True
    return Machine(host, module.CONF)


def gateways(made: Machine) -> set[str | None]:
    return {r.gateway for r in made.host.net.routes if r.destination == "default"}


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_kernel_follows_each_loss_and_return(system: str) -> None:
    made = machine(system)
    assert gateways(made) == {FIRST, THIRD}
    seen = {FIRST: "wan1", THIRD: "wan3"}
    forgotten = {
        "openbsd": [("ipalias_wan1",), ("ipalias_wan3",)],
        "freebsd": [("re0", "198.51.100.10"), ("re1", "198.51.100.130")],
    }[system]
    for gateway, name in seen.items():
        made.dead = set(TARGETS[name])
        made.settle()
        assert gateways(made) == {FIRST, THIRD} - {gateway}
        assert made.told[-1] == [f"{n}={'down' if n == name else 'up'}" for n in seen.values()]
        made.dead = set()
        made.settle()
        assert gateways(made) == {FIRST, THIRD}
    assert made.forgotten == forgotten
    made.dead = TARGETS["wan1"] | TARGETS["wan3"]
    made.settle()
    assert len(gateways(made)) == 1 and made.daemon.state.name == "all_down"
    assert any("stay as they are" in line for line in made.log)
    if system == "freebsd":
        assert made.host.stored["weights"][THIRD] == "3"


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_kernel_follows_the_carrier(system: str) -> None:
    made = machine(system, policy="tier")
    assert gateways(made) == {FIRST}
    made.dead = set(TARGETS["wan1"])
    made.daemon.link("re0", "down")
    assert gateways(made) == {THIRD}, "without waiting for a check"
    made.dead = set()
    made.daemon.link("re0", "up")
    made.settle()
    assert gateways(made) == {FIRST}
