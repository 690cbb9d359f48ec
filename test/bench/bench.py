"""Benchmarks beside the peers, in one run: a table, or JSON with ``--json``.

    bench.py [--json FILE] [SECTION...]      sections: live states peer boot texts
    FULL=1                                   every backend, size, family and Debian release
    SUITES=trixie                            only these releases

Times are of whole processes on the wall, medians of five pairs; what a line is held against
was measured right before it. Never a failure because of time: an aim that is missed says so.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST), str(TEST.parent / "_utils")]

SECTIONS = ("live", "states", "peer", "boot", "texts")
#: Lanes that have to be able to run here.
NEEDS = {"live": "netns", "states": "host", "peer": "host", "boot": "host", "texts": "unit"}


def main(arguments: Sequence[str]) -> int:
    """Run the sections asked for, or all."""
    from measure import Row, surroundings, table

    from rig.lanes import missing

    parser = argparse.ArgumentParser(description="Benchmarks beside the peers.")
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], metavar="SECTION")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    options = parser.parse_args(arguments)
    full = os.environ.get("FULL", "") not in ("", "0")
    around = {**surroundings(), "full": str(full)}
    print("\n".join(f"{name:8} {value}" for name, value in around.items()), flush=True)
    rows: list[Row] = []
    left_out: list[str] = []
    broken: list[str] = []
    for name in options.sections or SECTIONS:
        reason = missing(NEEDS[name])
        if reason:
            left_out.append(f"{name}: {reason}")
            continue
        try:
            for row in importlib.import_module(name).measure(full):
                rows.append(row)
                said = f"... {row.section[:1]} {row.what}: {row.figure():.3f} {row.verdict}"
                print(said, file=sys.stderr, flush=True)
        except Exception as error:  # what was measured so far is worth telling
            traceback.print_exc()
            broken.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
    print(table(rows))
    print("".join(f"\nleft out: {each}" for each in left_out))
    print("".join(f"\nfailed: {each}" for each in broken))
    missed = [row for row in rows if row.verdict == "MISS"]
    print(f"\n{len(rows)} lines, {len(missed)} of them miss their aim")
    if options.json:
        data = {
            "around": around,
            "rows": [row.data() for row in rows],
            "left_out": left_out,
            "failed": broken,
        }
        Path(options.json).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
