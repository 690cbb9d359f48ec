"""The multi-WAN proof's own checks in namespaces, those that are quick; `test/proof` has all.

See docs/proofs.md.
"""

from __future__ import annotations

import pytest
from proof import checks_wan, registry, runner
from proof.registry import WAN, Case
from proof.sabotage import sabotaged
from proof.sabotage_wan import SABOTAGES

assert checks_wan.__all__, "importing them is what registers them"

PLAIN = Case("", "namespaces")


@pytest.mark.parametrize("number", [22, 31, 35])
def test_a_promise_is_kept(number: int) -> None:
    assert PLAIN in WAN[number].cases
    outcome = runner.run_case(WAN[number], PLAIN)
    assert outcome.outcome != registry.FAIL, outcome.figure


def test_a_broken_product_turns_a_line_to_fail() -> None:
    with sabotaged(SABOTAGES[31]) as copy:
        outcome = runner.run_case(WAN[31], SABOTAGES[31].case, copy)
    assert outcome.outcome == registry.FAIL
    assert "stuck to the dead line" in outcome.figure
