"""Promises about the library itself: property tests, and what a return may weigh."""

from __future__ import annotations

import json
import re
from pathlib import Path

from proof.pytests import run_tests
from proof.registry import Case, check, demand
from proof.stage import Stage, shorten
from rig import plat

#: Salt trims an event over this.
EVENT_BYTES = 1 << 20
MANY = 10000


def property_tests(source: Path) -> list[str]:
    """Return the test files that generate cases or read real files.

    Those of dialects that are only simulated here belong to the proof of the platforms.
    """
    elsewhere = re.compile("|".join([*plat.NAMES, "bsd", "powershell", "shellvars"]))
    found = []
    for folder in ("test/unit", "test/golden"):
        for path in sorted((source / folder).glob("test_*.py")):
            if elsewhere.search(path.name):
                continue
            if re.search(r"\bhypothesis\b|\bcorpus\b", path.read_text(encoding="utf-8")):
                found.append(str(path.relative_to(source)))
    return found


@check(40, "property tests: formats round-trip, foreign lines survive", over=[Case("", "pytest")])
def properties(stage: Stage) -> str:
    """parse(render(x)) = x, rendering twice changes nothing, foreign lines keep their bytes."""
    return run_tests(stage, *property_tests(stage.source))


@check(
    60,
    "a return never exceeds what Salt's event bus takes",
    over=[Case("trixie", "ifupdown"), Case("bookworm", "ifupdown")],
)
def return_is_capped(stage: Stage) -> str:
    """10,000 aliases: the return lists 200 and counts the rest, the whole is in our journal."""
    # Of IPv4: as many of IPv6 on one link take the kernel itself minutes (a group for each).
    stage.host.salt_prepare(
        {"ipalias": {"interfaces": {"eth0": {"addresses": ["198.18.0.1-198.18.39.16"]}}}}
    )
    told = stage.host.salt_call("state.apply", "ipalias", timeout=300)
    demand(isinstance(told, dict), shorten(str(told)))
    failed = [row["comment"] for row in told.values() if row["result"] is not True]
    demand(not failed, shorten("; ".join(map(str, failed))))
    size = len(json.dumps(told))
    demand(size < EVENT_BYTES, f"the return has {size} bytes")
    changes = next(row["changes"] for row in told.values() if row["changes"])
    added = changes["addresses"]["added"]
    demand(len(added) <= 201 and "9800 more" in added[-1], f"{len(added)} listed: {added[-1]}")
    longest = max(text.count("\n") + 1 for text in changes["files"].values())
    demand(longest <= 201, f"a diff has {longest} lines")
    names = stage.call("ipalias.journal")
    demand(isinstance(names, list) and names, f"ipalias.journal says {names}")
    first = stage.call("ipalias.journal", str(names[-1]))
    pages = [first]
    for page in range(2, first.get("pages", 1) + 1):
        pages.append(stage.call("ipalias.journal", str(names[-1]), f"page={page}"))
    largest = max(len(json.dumps(page)) for page in pages)
    demand(largest < EVENT_BYTES, f"a page of the journal has {largest} bytes")
    count = len({cidr for page in pages for cidr in page["addresses"]["added"]})
    demand(count == MANY, f"the journal has {count} of {MANY}")
    return f"{size // 1024} KiB for {MANY} aliases, {len(pages)} pages of the journal"
