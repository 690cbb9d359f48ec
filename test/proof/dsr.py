"""Measure the promises about real servers behind a balancer; see `proof.command`."""

from __future__ import annotations

import sys
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST), str(TEST.parent / "_utils")]

from proof import checks_dsr  # noqa: E402
from proof.command import Proof, main  # noqa: E402
from proof.registry import DSR  # noqa: E402
from proof.sabotage_dsr import SABOTAGES  # noqa: E402

assert checks_dsr.__all__, "importing them is what registers them"

if __name__ == "__main__":
    sys.exit(main(Proof(DSR, SABOTAGES), sys.argv[1:]))
