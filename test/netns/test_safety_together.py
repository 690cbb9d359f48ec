"""The safety proof's checks that need no booted host: the lock, planted links, hostile input."""

from __future__ import annotations

import pytest
from proof import checks_safety, registry, runner
from proof.checks_safety import hostile, together
from proof.registry import SAFETY
from proof.sabotage import sabotaged
from proof.sabotage_safety import SABOTAGES
from proof.stage import Stage

assert checks_safety.__all__, "importing them is what registers them"

LINES = (501, 502, 503, 504, 601, 603)


@pytest.mark.parametrize("number", LINES)
def test_a_promise_is_kept(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "COUNT", 8)
    monkeypatch.setenv("IPALIAS_FUZZ_SECONDS", "0.3")
    [case] = SAFETY[number].cases
    outcome = runner.run_case(SAFETY[number], case)
    assert outcome.outcome == registry.OK, outcome.figure


def test_hostile_strings_reach_nothing() -> None:
    with Stage(SAFETY[602].cases[0]) as stage:
        told = hostile.program(stage, "hostile.py", str(stage.source), "7")
    assert told["tried"] > 1000
    assert not told["problems"]


@pytest.mark.parametrize("number", [503, 603])
def test_a_broken_product_turns_a_line_to_fail(number: int) -> None:
    with sabotaged(SABOTAGES[number]) as copy:
        outcome = runner.run_case(SAFETY[number], SABOTAGES[number].case, copy)
    assert outcome.outcome == registry.FAIL, outcome.figure
