"""``ifcfg-*`` files of SUSE before and after, exactly; each case runs twice, then goes back.

``UPDATE_GOLDEN=1`` writes ``after`` anew, to be read before it is committed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rig import tree
from saltext.ipalias.backends import load
from saltext.ipalias.backends.ifcfg_suse_file import File

HERE = Path(__file__).parent
MANDATORY = {"v4", "v6", "two", "removal", "foreign"}
GUIDE = {"IPADDR_1=203.0.113.10", "NETMASK_1=255.255.255.255", "LABEL_1=ens32:0"}


@pytest.mark.parametrize("case", tree.cases(HERE), ids=lambda case: case.name)
def test_tree(case: Path, tmp_path: Path) -> None:
    tree.run_shared_case(load("ifcfg_suse"), case, tmp_path)


def test_every_mandatory_case_is_there() -> None:
    assert {case.name for case in tree.cases(HERE)} >= MANDATORY


def test_what_is_written_for_the_guide_is_what_the_guide_writes() -> None:
    """The address, mask and label that wicked takes from both forms are the same."""
    name = "etc/sysconfig/network/ifcfg-ens32"
    theirs = (HERE / "guide_german/before" / name).read_text()
    assert set(theirs.splitlines()) >= GUIDE
    ours = (HERE / "guide_french/after" / name).read_text()
    seen = [
        [(slot.alias, slot.fields.get("LABEL")) for slot in File(text, name, "ens32").slots]
        for text in (theirs, ours)
    ]
    assert seen[0] == seen[1]
    assert seen[0][1][1] == "ens32:0"
