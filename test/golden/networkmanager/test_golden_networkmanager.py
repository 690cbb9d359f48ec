"""Keyfiles before and after, exactly; each case runs twice, then everything is taken out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rig import tree
from saltext.ipalias.backends import load
from saltext.ipalias.model import Alias, Change, Wanted

HERE = Path(__file__).parent
MANDATORY = {"v4", "v6", "two", "removal", "foreign", "adopt"}
BACKEND = load("networkmanager")


def aliases(cidrs: list[str]) -> tuple[Alias, ...]:
    split = (cidr.split("/") for cidr in cidrs)
    return tuple(Alias(address, int(prefix), "eth0") for address, prefix in split)


@pytest.mark.parametrize("case", tree.cases(HERE), ids=lambda case: case.name)
def test_tree(case: Path, tmp_path: Path) -> None:
    told = json.loads((case / "case.json").read_text())
    shutil.copytree(case / "before", tmp_path / "root")
    host = tree.TreeHost(tmp_path / "root", told.get("answers", {}))
    evidence = tree.evidence_of(BACKEND, host, "eth0")
    assert evidence.strength == told["strength"]
    wanted = Wanted("eth0", aliases(told["aliases"]), evidence, aliases(told.get("former", [])))
    files = host.store(BACKEND.render(wanted, host))
    assert host.texts() == tree.TreeHost(case / "after").texts()
    assert {(file.mode, file.owned) for file in files} <= {(0o600, False)}

    removed = tuple(alias for alias in wanted.former if alias not in wanted.aliases)
    change = Change("eth0", evidence, wanted.aliases, removed, tuple(files))
    activation = BACKEND.activate(change, host)
    assert tree.commands(activation) == told["activation"]
    assert told.get("note", "") in activation.note
    assert bool(told.get("note")) == bool(activation.note)

    again = Wanted("eth0", wanted.aliases, evidence, wanted.aliases)
    assert host.store(BACKEND.render(again, host)) == []
    held = {found.alias.cidr for found in BACKEND.parse(host, evidence)}
    assert held >= set(told["aliases"])

    if told.get("reversible", True):
        host.store(BACKEND.render(Wanted("eth0", (), evidence, wanted.aliases), host))
        assert host.texts() == tree.TreeHost(case / "before").texts()


def test_every_mandatory_case_is_there() -> None:
    assert {case.name for case in tree.cases(HERE)} >= MANDATORY
