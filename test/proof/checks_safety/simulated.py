"""What needs every prefix and every interleaving: shown on the simulated host."""

from __future__ import annotations

from proof.pytests import REAL, run_tests
from proof.registry import SAFETY, Case, check
from proof.stage import Stage

PYTEST = [Case("", "pytest")]


def tests(stage: Stage, *names: str) -> str:
    """Run test files on the checkout of the stage, and return their last line."""
    return run_tests(stage, *(f"test/unit/{name}.py" for name in names), keyword=REAL)


@check(201, "power loss: every prefix, un-synced writes dropped", over=PYTEST, book=SAFETY)
def power_loss(stage: Stage) -> str:
    """Writes, fsyncs and renames of a change are recorded; every prefix, with un-synced writes
    dropped or reordered, recovers to old or new.
    """
    return tests(stage, "test_power_loss")


@check(302, "the fault matrix on the simulated host", over=PYTEST, book=SAFETY)
def faults(stage: Stage) -> str:
    """Each effect fails with each error, each command fails, hangs or is absent; a foreign
    process adds or removes one of many addresses in the middle.
    """
    return tests(stage, "test_fault_matrix", "test_crash_matrix")


@check(505, "random interleavings of add, remove, managed, crash", over=PYTEST, book=SAFETY)
def interleavings(stage: Stage) -> str:
    """In whatever order: the files are the ledger's persistent set, the kernel its live set,
    and what is foreign is untouched.
    """
    return tests(stage, "test_interleavings")
