"""The DSR proof's own checks on booted hosts: reboots, late cards.

`test/proof` has all of them; see docs/proofs.md.
"""

from __future__ import annotations

import pytest
from proof import checks_dsr, registry, runner
from proof.checks_dsr import scene
from proof.registry import DSR, Case

assert checks_dsr.__all__, "importing them is what registers them"

#: (line, release, set-up): what only a boot shows.
SAMPLE = (
    (19, "trixie", "netplan_nm"),
    (201, "bookworm", "networkmanager"),
)


@pytest.mark.parametrize(("number", "suite", "setup"), SAMPLE)
def test_a_promise_is_kept(
    number: int, suite: str, setup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "QUESTIONS", 250)
    case = Case(suite, setup)
    assert case in DSR[number].cases
    outcome = runner.run_case(DSR[number], case)
    assert outcome.outcome != registry.FAIL, outcome.figure
