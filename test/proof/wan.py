"""Measure the promises about several ways out; see `proof.command`.

FULL=1 takes hours: fifty runs of each fault, and ten minutes of each kind of loss. Lines that
measure time want a machine that has nothing else to do.
"""

from __future__ import annotations

import sys
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST), str(TEST.parent / "_utils")]

from proof import checks_wan  # noqa: E402
from proof.command import Proof, main  # noqa: E402
from proof.registry import WAN  # noqa: E402
from proof.sabotage_wan import SABOTAGES  # noqa: E402

assert checks_wan.__all__, "importing them is what registers them"

#: Seconds after which a sample begins only the first combination of each line.
LIMIT = 300.0

if __name__ == "__main__":
    sys.exit(main(Proof(WAN, SABOTAGES, LIMIT), sys.argv[1:]))
