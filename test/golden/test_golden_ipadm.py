"""The store before and after, as ``ipadm show-addr`` shows it, and the commands between.

The guide knows no ``ipadm``: its case is the same alias in the only form there is today.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rig import plat, tree
from rig.simhost import SimHost
from saltext.ipalias.backends import load
from saltext.ipalias.model import Alias, Change

HERE = Path(__file__).with_name("ipadm")
BACKEND = load("ipadm")
MANDATORY = {"v4", "v6", "two", "removal", "foreign", "guide"}
HEAD = "ADDROBJ TYPE STATE PERSISTENT ADDR"


def rows(case: Path, side: str) -> list[list[str]]:
    head, *lines = (case / side / "etc/ipadm/show-addr").read_text().splitlines()
    assert head == HEAD
    return [line.split() for line in lines]


def host_of(case: Path) -> SimHost:
    """Return a host whose store is the one of the tree."""
    host = plat.load("ipadm").host(links=("eth0", "e1000g0"))
    link = host.net.links["e1000g0"]
    link.addresses4, link.addresses6, link.known6 = [], [], {}
    host.stored["interfaces"] = ["e1000g0"]
    host.stored["objects"] = {
        name: [kind, cidr, "U" in flags, "d" in flags]
        for name, kind, _, flags, cidr in rows(case, "before")
    }
    assert host.run(["ipadm", "enable-if", "-t", "e1000g0"]).code == 0
    return host


def shown(host: SimHost) -> list[list[str]]:
    told = host.run(["ipadm", "show-addr", "-p", "-o", "addrobj,type,state,persistent,addr"])
    listed = [line.replace("\\:", "\0").split(":") for line in told.out.splitlines()]
    found = [[each.replace("\0", ":") for each in row] for row in listed]
    return sorted(row for row in found if row[0].startswith("e1000g0/"))


@pytest.mark.parametrize("case", tree.cases(HERE), ids=lambda case: case.name)
def test_store(case: Path) -> None:
    host, told = host_of(case), json.loads((case / "case.json").read_text())
    evidence = BACKEND.detect(host, "e1000g0")
    assert evidence.owns, evidence.reasons
    aliases = tuple(Alias(interface="e1000g0", **alias) for alias in told["aliases"])
    assert carry_out(host, evidence, aliases) == told["commands"]
    assert shown(host) == sorted(rows(case, "after"))
    assert carry_out(host, evidence, aliases) == []
    held = [found.alias for found in BACKEND.parse(host, evidence) if found.ours]
    assert held == list(aliases)


def carry_out(host: SimHost, evidence: Any, aliases: tuple[Alias, ...]) -> list[str]:
    """Run what leads to a list of ours; return the commands."""
    former = [found.alias for found in BACKEND.parse(host, evidence) if found.ours]
    added = tuple(alias for alias in aliases if alias not in former)
    removed = tuple(alias for alias in former if alias not in aliases)
    activation = BACKEND.activate(Change("e1000g0", evidence, added, removed), host)
    commands = tree.commands(activation)
    for command in (*activation.before, *activation.up):
        assert host.run(command.argv).code == 0, command.argv
    return commands


def test_every_mandatory_case_is_there() -> None:
    assert {case.name for case in tree.cases(HERE)} >= MANDATORY
