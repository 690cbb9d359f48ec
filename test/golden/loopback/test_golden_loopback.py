"""File trees before and after, exactly, for lo where nobody else owns it; each case runs twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig import tree
from saltext.ipalias.backends import load

HERE = Path(__file__).parent


@pytest.mark.parametrize("case", tree.cases(HERE), ids=lambda case: case.name)
def test_tree(case: Path, tmp_path: Path) -> None:
    tree.run_case(load("loopback"), case, tmp_path)


def test_every_carrier_has_a_case() -> None:
    assert {case.name for case in tree.cases(HERE)} >= {"two", "openrc"}
