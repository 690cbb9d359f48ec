"""What needs every prefix and every interleaving: shown on the simulated host."""

from __future__ import annotations

import os
import subprocess
import sys

from proof.registry import SAFETY, Case, check, demand
from proof.stage import Stage, shorten

PYTEST = [Case("", "pytest")]


def tests(stage: Stage, *names: str) -> str:
    """Run test files on the checkout of the stage, and return their last line."""
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header"]
    argv += ["-c", "pyproject.toml", *(f"test/unit/{name}.py" for name in names)]
    done = subprocess.run(
        argv,
        cwd=stage.source,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    lines = done.stdout.strip().splitlines() or [done.stderr]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    demand(done.returncode == 0, shorten("; ".join([*failed[:3], lines[-1]])))
    return lines[-1].strip("= ")


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
