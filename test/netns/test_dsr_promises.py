"""The DSR proof's own checks on hosts in namespaces, fewer requests than the proof takes.

`test/proof` has all of them; see docs/proofs.md.
"""

from __future__ import annotations

import pytest
from proof import checks_dsr, registry, runner
from proof.checks_dsr import scene, silent, traffic
from proof.registry import DSR, Case
from proof.sabotage import sabotaged
from proof.sabotage_dsr import SABOTAGES

assert checks_dsr.__all__, "importing them is what registers them"

PLAIN = Case("", scene.NAMESPACES)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask less often than the proof does."""
    monkeypatch.setattr(traffic, "REQUESTS", 1000)
    monkeypatch.setattr(traffic, "SECOND_REQUESTS", 100)
    monkeypatch.setattr(scene, "QUESTIONS", 250)
    monkeypatch.setattr(silent, "POINTS", 4)


@pytest.mark.parametrize("number", [101, 202, 203])
def test_a_promise_is_kept(number: int) -> None:
    assert PLAIN in DSR[number].cases
    outcome = runner.run_case(DSR[number], PLAIN)
    assert outcome.outcome == registry.OK, outcome.figure


def test_a_broken_product_turns_a_line_to_fail() -> None:
    with sabotaged(SABOTAGES[201]) as copy:
        outcome = runner.run_case(DSR[201], SABOTAGES[201].case, copy)
    assert outcome.outcome == registry.FAIL
    assert "answered by a real server" in outcome.figure
