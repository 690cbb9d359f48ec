"""hostname.if files before and after, exactly; each case runs twice, then all is taken out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rig import tree
from saltext.ipalias.backends import load
from saltext.ipalias.model import Wanted

HERE = Path(__file__).parent
MANDATORY = {"v4", "v6", "two", "removal", "foreign", "adopt", "guide_multi_wan", "manual"}
BACKEND = load("openbsd")


@pytest.mark.parametrize("case", tree.cases(HERE), ids=lambda case: case.name)
def test_tree(case: Path, tmp_path: Path) -> None:
    host = tree.run_case(BACKEND, case, tmp_path)
    told = json.loads((case / "case.json").read_text())
    interface = told["interface"]
    evidence = BACKEND.assume(host, interface)
    path = evidence.facts["path"]
    read = BACKEND.parse(host, evidence)
    assert [f"{found.alias.cidr} {found.line}" for found in read if not found.ours] == told["read"]
    (file,) = BACKEND.render(Wanted(interface, (), evidence), host)
    assert (file.path, file.mode, file.owned) == (path, 0o640, False)
    if told.get("reversible", True):
        assert file.text == tree.TreeHost(case / "before").read(path)


def test_every_mandatory_case_is_there() -> None:
    assert {case.name for case in tree.cases(HERE)} >= MANDATORY
