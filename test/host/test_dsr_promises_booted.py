"""The DSR proof's own checks on booted hosts: reboots, late cards, each owner once.

`test/proof` has all of them; see docs/proofs.md.
"""

from __future__ import annotations

import pytest
from proof import checks_dsr, registry, runner
from proof.checks_dsr import scene, traffic
from proof.registry import DSR, Case

assert checks_dsr.__all__, "importing them is what registers them"

#: (line, release, set-up): each owner once, each release more than once.
SAMPLE = (
    (19, "trixie", "networkd"),
    (101, "trixie", "netplan_networkd"),
    (201, "bookworm", "netplan_nm"),
    (301, "trixie", "networkmanager"),
    (302, "bookworm", "ifupdown"),
    (501, "trixie", "networkd"),
)


@pytest.mark.parametrize(("number", "suite", "setup"), SAMPLE)
def test_a_promise_is_kept(
    number: int, suite: str, setup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "REQUESTS", 1000)
    monkeypatch.setattr(traffic, "SECOND_REQUESTS", 100)
    monkeypatch.setattr(scene, "QUESTIONS", 250)
    case = Case(suite, setup)
    assert case in DSR[number].cases
    outcome = runner.run_case(DSR[number], case)
    assert outcome.outcome != registry.FAIL, outcome.figure
