"""Measure the promises about a DHCP pair; see `proof.command`.

Lines that measure time want a machine that has nothing else to do.
"""

from __future__ import annotations

import sys
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST), str(TEST.parent / "_utils")]

from proof import checks_dhcp  # noqa: E402
from proof.command import Proof, main  # noqa: E402
from proof.registry import DHCP  # noqa: E402
from proof.sabotage_dhcp import SABOTAGES  # noqa: E402

assert checks_dhcp.__all__, "importing them is what registers them"

#: Seconds after which a sample begins only the first combination of each line.
LIMIT = 100.0

if __name__ == "__main__":
    sys.exit(main(Proof(DHCP, SABOTAGES, LIMIT), sys.argv[1:]))
