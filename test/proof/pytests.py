"""Lines that are tests: run them on the checkout of a stage, a sabotaged one too."""

from __future__ import annotations

import os
import subprocess
import sys

from proof.registry import demand
from proof.stage import Stage, shorten

#: The dialects whose owners run here, as pytest's -k takes them; the others have a proof of
#: their own.
REAL = "ifupdown or networkd or netplan or networkmanager"


def run_tests(stage: Stage, *paths: str, keyword: str = "") -> str:
    """Run test files, by keyword where one is given, and return pytest's last line.

    :raises NotKept: one failed, or none was chosen.
    """
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header"]
    argv += ["-c", "pyproject.toml", *(["-k", keyword] if keyword else []), *paths]
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
