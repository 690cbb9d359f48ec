"""The safety proof's own checks on a small sample: a booted host each.

`test/proof` has all of them; see docs/safety.md.
"""

from __future__ import annotations

import pytest
from proof import checks_safety, registry, runner
from proof.checks_safety import crashes
from proof.registry import SAFETY, Case
from proof.sabotage import sabotaged
from proof.sabotage_safety import SABOTAGES

assert checks_safety.__all__, "importing them is what registers them"

#: (line, release, set-up): each owner and each release more than once.
SAMPLE = (
    (4, "bookworm", "ifupdown"),
    (15, "trixie", "netplan_nm"),
    (101, "trixie", "networkmanager"),
    (102, "bookworm", "networkd"),
    (103, "trixie", "netplan_networkd"),
    (403, "bookworm", "netplan_nm"),
    (406, "trixie", "networkd"),
    (801, "trixie", "ifupdown"),
)


@pytest.mark.parametrize(("number", "suite", "setup"), SAMPLE)
def test_a_promise_is_kept(
    number: int, suite: str, setup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crashes, "POINTS", 3)
    monkeypatch.setattr(crashes, "REBOOTS", 1)
    case = Case(suite, setup)
    assert case in SAFETY[number].cases
    outcome = runner.run_case(SAFETY[number], case)
    assert outcome.outcome != registry.FAIL, outcome.figure


@pytest.mark.parametrize("number", sorted(SAFETY))
def test_every_sabotage_applies(number: int) -> None:
    assert SABOTAGES[number].case in SAFETY[number].cases
    with sabotaged(SABOTAGES[number]) as copy:
        for edit in SABOTAGES[number].edits:
            compile((copy / "_utils/saltext/ipalias" / edit.path).read_text(), edit.path, "exec")


def test_a_broken_dead_man_turns_a_line_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crashes, "POINTS", 6)
    with sabotaged(SABOTAGES[102]) as copy:
        outcome = runner.run_case(SAFETY[102], SABOTAGES[102].case, copy)
    assert outcome.outcome == registry.FAIL
    assert "60-ipalias.conf" in outcome.figure
