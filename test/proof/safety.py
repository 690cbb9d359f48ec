"""Measure the promises about safety; see `proof.command` for the options.

IPALIAS_FUZZ_SECONDS  time for each parser that is fuzzed (line 601)
"""

from __future__ import annotations

import sys
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST), str(TEST.parent / "_utils")]

from proof import checks_safety  # noqa: E402
from proof.command import Proof, main  # noqa: E402
from proof.registry import SAFETY  # noqa: E402
from proof.sabotage_safety import SABOTAGES  # noqa: E402

assert checks_safety.__all__, "importing them is what registers them"

#: Seconds after which a sample begins only the first combination of each line.
LIMIT = 540.0

if __name__ == "__main__":
    sys.exit(main(Proof(SAFETY, SABOTAGES, LIMIT), sys.argv[1:]))
