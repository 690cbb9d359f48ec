"""Measure the promises about aliases; see `proof.command` for the options."""

from __future__ import annotations

import sys
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST), str(TEST.parent / "_utils")]

from proof import checks  # noqa: E402
from proof.command import Proof, main  # noqa: E402
from proof.registry import CHECKS  # noqa: E402
from proof.sabotage import SABOTAGES  # noqa: E402

assert checks.__all__, "importing them is what registers them"

if __name__ == "__main__":
    sys.exit(main(Proof(CHECKS, SABOTAGES), sys.argv[1:]))
