"""Each restart level of the four owners that run here, for real; the others' are simulated."""

from __future__ import annotations

import pytest
from proof.registry import Case, demand
from proof.stage import Stage

from saltext.ipalias import restarts

ALIASES = ("198.51.100.10/32", "2001:db8:1::10/128")


@pytest.mark.parametrize(
    ("suite", "setup"),
    [
        ("bookworm", "ifupdown"),
        ("trixie", "networkd"),
        ("trixie", "netplan_networkd"),
        ("bookworm", "netplan_nm"),
        ("trixie", "networkmanager"),
    ],
)
def test_every_level_leaves_primary_and_aliases(suite: str, setup: str) -> None:
    with Stage(Case(suite, setup)) as stage:
        stage.apply(*ALIASES)
        for scope in restarts.CUTS:
            told = stage.call("ipalias.restart", "eth0", f"scope={scope}")
            demand(isinstance(told, dict) and told["result"] is True, f"{scope}: {told}")
            cut = restarts.cuts(scope, "eth0", told["changes"].get("commands", ()))
            demand(cut in told["comment"], f"{scope}: {told}")
            stage.demand_live(*ALIASES, when=f" after a restart at level {scope}")
            demand(stage.peer.ping(stage.host.primary), f"{scope}: the primary does not answer")
        run = stage.apply(*ALIASES, "198.51.100.11/32", restart="interface")
        demand("restart: interface" in run.comment, f"the comment has no word of it: {run.comment}")
        stage.demand_live(*ALIASES, "198.51.100.11/32", when=" after restart: interface")
        again = stage.apply(*ALIASES, "198.51.100.11/32", restart="interface")
        demand(not again.changes, f"a second run changed {again.changes}")
