"""Measure the promises about the platforms of the alias guide; see `proof.command`."""

from __future__ import annotations

import sys
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST), str(TEST.parent / "_utils")]

from proof import checks_platforms  # noqa: E402
from proof.command import Proof, main  # noqa: E402
from proof.registry import PLATFORMS  # noqa: E402
from proof.sabotage_platforms import SABOTAGES  # noqa: E402

assert checks_platforms.__all__, "importing them is what registers them"

if __name__ == "__main__":
    sys.exit(main(Proof(PLATFORMS, SABOTAGES, hosts=False), sys.argv[1:]))
