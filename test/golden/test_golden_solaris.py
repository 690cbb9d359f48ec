"""File trees before and after, exactly, for /etc/hostname.IF:N; each case runs twice.

The two guides have the same step for Solaris: one line, ``ADDRESS/32 up``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rig import tree
from saltext.ipalias.backends import load
from saltext.ipalias.model import Alias, Wanted

HERE = Path(__file__).with_name("solaris")
BACKEND = load("solaris")
MANDATORY = {"v4", "v6", "two", "removal", "foreign", "guide_french", "guide_german"}


def host_of(case: Path, tmp_path: Path) -> tuple[tree.TreeHost, dict[str, Any]]:
    told: dict[str, Any] = json.loads((case / "case.json").read_text())
    shutil.copytree(case / "before", tmp_path / "root")
    return tree.TreeHost(tmp_path / "root", told.get("answers", {}), "sunos"), told


def named(cidrs: list[str], interface: str) -> tuple[Alias, ...]:
    split = (cidr.split("/") for cidr in cidrs)
    return tuple(Alias(address, int(prefix), interface) for address, prefix in split)


@pytest.mark.parametrize("case", tree.cases(HERE), ids=lambda case: case.name)
def test_tree(case: Path, tmp_path: Path) -> None:
    host, told = host_of(case, tmp_path)
    interface = told["interface"]
    evidence = tree.evidence_of(BACKEND, host, interface)
    found = BACKEND.parse(host, evidence)
    if "found" in told:
        assert [item.alias.cidr for item in found] == told["found"]
    aliases = tuple(Alias(interface=interface, **alias) for alias in told["aliases"])
    former = named(told.get("former", []), interface)
    adopt = tuple(item for item in found if item.alias.cidr in told.get("adopt", ()))
    assert len(adopt) == len(told.get("adopt", ()))
    wanted = Wanted(interface, aliases, evidence, former, adopt)
    host.store(BACKEND.render(wanted, host))
    assert host.texts() == tree.TreeHost(case / "after").texts()

    again = Wanted(interface, aliases, evidence, aliases)
    assert host.store(BACKEND.render(again, host)) == []
    held = [item.alias for item in BACKEND.parse(host, evidence)]
    assert [alias for alias in held if alias in aliases] == list(aliases)

    if told.get("reversible", True) and not former:
        host.store(BACKEND.render(Wanted(interface, (), evidence, aliases), host))
        assert host.texts() == tree.TreeHost(case / "before").texts()


def test_every_mandatory_case_is_there() -> None:
    assert {case.name for case in tree.cases(HERE)} >= MANDATORY


def test_what_is_edited_of_others_is_backed_up(tmp_path: Path) -> None:
    host, told = host_of(HERE / "guide_french", tmp_path)
    evidence = tree.evidence_of(BACKEND, host, "e1000g0")
    adopt = tuple(f for f in BACKEND.parse(host, evidence) if f.alias.cidr in told["adopt"])
    aliases = tuple(Alias(interface="e1000g0", **alias) for alias in told["aliases"])
    (file,) = BACKEND.render(Wanted("e1000g0", aliases, evidence, (), adopt), host)
    assert (file.path, file.owned) == ("/etc/hostname.e1000g0:1", False)
