"""Trees before and after, exactly; each case runs twice, then everything is taken out.

The cases ``guide_…`` are the alias guide's own snippets, German and French, their addresses
replaced by those for documentation.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rig import tree
from saltext.ipalias.backends import load
from saltext.ipalias.model import Alias, Change, Found, Wanted

HERE = Path(__file__).with_name("ifcfg_rh")
MANDATORY = {"v4", "v6", "two", "removal", "foreign_kept", "guide_centos", "guide_fedora"}
BACKEND = load("ifcfg_rh")


def held(host: tree.TreeHost, evidence: Any, ledger: set[str]) -> list[Alias]:
    """Return what the files hold of ours; of the parent's list the ledger knows."""
    found: list[Found] = BACKEND.parse(host, evidence)
    return [f.alias for f in found if f.ours or (f.ours is None and f.alias.cidr in ledger)]


@pytest.mark.parametrize("case", tree.cases(HERE), ids=lambda case: case.name)
def test_golden(case: Path, tmp_path: Path) -> None:
    told = json.loads((case / "case.json").read_text())
    shutil.copytree(case / "before", tmp_path / "root")
    host = tree.TreeHost(tmp_path / "root", told["answers"])
    aliases = tuple(Alias(interface="eth0", **one) for one in told["aliases"])
    evidence = tree.evidence_of(BACKEND, host, "eth0")
    assert evidence.strength == told["strength"]
    former = tuple(held(host, evidence, set(told["former"])))
    assert {alias.cidr for alias in former} == set(told["former"])
    adopt = tuple(f for f in BACKEND.parse(host, evidence) if f.alias.cidr in told["adopt"])
    files = host.store(BACKEND.render(Wanted("eth0", aliases, evidence, former, adopt), host))
    assert host.texts() == tree.TreeHost(case / "after").texts()

    removed = tuple(alias for alias in former if alias not in aliases)
    change = Change("eth0", evidence, aliases, removed, tuple(files))
    assert tree.commands(BACKEND.activate(change, host)) == told["activation"]
    assert BACKEND.validate(change, host) == []

    wanted = {alias.cidr for alias in aliases}
    assert sorted(held(host, evidence, wanted), key=str) == sorted(aliases, key=str)
    assert host.store(BACKEND.render(Wanted("eth0", aliases, evidence, aliases), host)) == []

    if told["reversible"]:
        host.store(BACKEND.render(Wanted("eth0", (), evidence, aliases), host))
        assert host.texts() == tree.TreeHost(case / "before").texts()


def test_every_mandatory_case_is_there() -> None:
    assert {case.name for case in tree.cases(HERE)} >= MANDATORY
