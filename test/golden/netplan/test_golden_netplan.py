"""File trees before and after, exactly, for netplan; each case runs twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig import tree
from saltext.ipalias.backends import load

HERE = Path(__file__).parent
MANDATORY = {"v4", "v6", "two", "removal", "foreign", "adopt"}


@pytest.mark.parametrize("case", tree.cases(HERE), ids=lambda case: case.name)
def test_tree(case: Path, tmp_path: Path) -> None:
    tree.run_case(load("netplan"), case, tmp_path)


def test_every_mandatory_case_is_there() -> None:
    assert {case.name for case in tree.cases(HERE)} >= MANDATORY
