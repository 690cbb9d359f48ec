"""rc.conf and its kin before and after, exactly: one folder a case under `freebsd/`.

``case.json`` says what is asked; ``UPDATE_GOLDEN=1`` writes ``after`` anew, to be read before
it is committed. Each case runs twice, and then everything of ours is taken out.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from rig import tree
from saltext.ipalias.backends import load
from saltext.ipalias.model import Alias, Wanted

HERE = Path(__file__).with_name("freebsd")
BACKEND = load("freebsd")
CASES = sorted(path.parent for path in HERE.glob("*/case.json"))


def aliases(told: dict[str, Any], key: str) -> tuple[Alias, ...]:
    listed = (one if isinstance(one, dict) else {"address": one} for one in told.get(key, ()))
    made = []
    for one in listed:
        address, _, prefix = one["address"].partition("/")
        source = one.get("source", "auto")
        made.append(Alias(address, int(prefix), told["interface"], source=source))
    return tuple(made)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tree(case: Path, tmp_path: Path) -> None:
    told = json.loads((case / "case.json").read_text())
    shutil.copytree(case / "before", tmp_path / "root")
    answers = {
        "ifconfig -l": f"lo0 {told['interface']}\n",
        "uname -r": told.get("release", "14.1-RELEASE") + "\n",
    }
    host = tree.TreeHost(tmp_path / "root", answers, system="freebsd")
    evidence = tree.evidence_of(BACKEND, host, told["interface"])
    options = told.get("options", {})
    wanted = Wanted(
        told["interface"],
        aliases(told, "aliases"),
        evidence,
        aliases(told, "former"),
        options=options,
    )
    files = host.store(BACKEND.render(wanted, host))
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(case / "after", ignore_errors=True)
        shutil.copytree(tmp_path / "root", case / "after")
    assert host.texts("/") == tree.TreeHost(case / "after").texts("/")
    assert all(not file.owned for file in files)

    again = Wanted(told["interface"], wanted.aliases, evidence, wanted.aliases, options=options)
    assert host.store(BACKEND.render(again, host)) == []
    held = {found.alias for found in BACKEND.parse(host, evidence)}
    assert held >= set(wanted.aliases)

    if told.get("reversible", not wanted.former):
        host.store(BACKEND.render(Wanted(told["interface"], (), evidence, wanted.aliases), host))
        assert host.texts("/") == tree.TreeHost(case / "before").texts("/")
