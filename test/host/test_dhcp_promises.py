"""The DHCP proof's own checks on a small sample: two booted members each.

`test/proof` has all of them; see docs/proofs.md.
"""

from __future__ import annotations

import pytest
from proof import checks_dhcp, registry, runner
from proof.registry import DHCP, Case
from proof.sabotage import sabotaged
from proof.sabotage_dhcp import SABOTAGES

assert checks_dhcp.__all__, "importing them is what registers them"

#: (line, releases, implementation)
SAMPLE = ((102, "mixed", "isc"), (104, "bookworm", "kea-short"))


@pytest.mark.parametrize(("number", "suite", "setup"), SAMPLE)
def test_a_promise_is_kept(number: int, suite: str, setup: str) -> None:
    case = Case(suite, setup)
    assert case in DHCP[number].cases
    outcome = runner.run_case(DHCP[number], case)
    assert outcome.outcome != registry.FAIL, outcome.figure


@pytest.mark.parametrize("number", sorted(DHCP))
def test_every_sabotage_applies(number: int) -> None:
    assert SABOTAGES[number].case in DHCP[number].cases
    with sabotaged(SABOTAGES[number]) as copy:
        for edit in SABOTAGES[number].edits:
            compile((copy / "_utils/saltext/ipalias" / edit.path).read_text(), edit.path, "exec")
