"""cPanel's lists before and after, exactly; each case runs twice, then goes back.

``UPDATE_GOLDEN=1`` writes ``after`` anew, to be read before it is committed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rig import tree
from saltext.ipalias.backends import load

HERE = Path(__file__).parent
MANDATORY = {"v4", "two", "removal", "foreign"}


@pytest.mark.parametrize("case", tree.cases(HERE), ids=lambda case: case.name)
def test_tree(case: Path, tmp_path: Path) -> None:
    tree.run_shared_case(load("cpanel"), case, tmp_path)


def test_every_mandatory_case_is_there() -> None:
    """There is none for IPv6, which /etc/ips does not hold."""
    assert {case.name for case in tree.cases(HERE)} >= MANDATORY
    assert "ipv6" in load("cpanel").UNSUPPORTED


def test_the_guides_line_is_what_is_written() -> None:
    after, theirs = HERE / "guide_french/after/etc", HERE / "guide_german/before/etc"
    for name in ("ips", "ipaddrpool"):
        assert (after / name).read_text() == (theirs / name).read_text()
