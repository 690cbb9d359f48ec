"""Through Salt with a real master and two minions: figures, and what holds after every fault."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from proof.extent import full
from proof.registry import WAN, Case, Missed, check, demand
from proof.stage import Stage, shorten

REACTOR, ENGINE = "reactor", "engine"
#: Longest that a reaction may take from the fault on (seconds).
AIM = 2.5
#: Cuts, and cycles of failure and recovery: with FULL=1, and in a sample.
CUTS, CYCLES = (40, 8), (100, 8)


def ran(stage: Stage, program: str, *words: str) -> dict[str, Any]:
    """Run a program of the fleet on the stage's checkout; what it is at is shown meanwhile.

    :raises NotKept: it failed.
    """
    done = subprocess.run(
        [sys.executable, f"test/fleet/{program}.py", *words],
        cwd=stage.source,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    lines = done.stdout.strip().splitlines()
    demand(done.returncode == 0 and lines, f"{program} ended with {done.returncode}, see above")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def seed() -> str:
    """Return the run's seed."""
    return os.environ.get("SEED") or "1"


def span(values: Sequence[float]) -> str:
    """Return median and worst."""
    return f"{statistics.median(values):.2f} / {max(values):.2f} s"


@check(401, "failures and recoveries under every fault: journal, kernel and master agree",
       over=[Case("", "fleet")], alone=True, book=WAN)  # fmt: skip
def cycles(stage: Stage) -> str:
    """100 (a sample: 8), with the master up, down, flapping, killed between receipt and answer, the
    minion started anew, its cache cleared, a sync from an empty master, the monitor killed: each id
    is received at least once and acted on once.
    """
    count = CYCLES[not full()]
    found = ran(stage, "wan_cycles", str(count), seed())
    for fault in (
        "one id twice",
        "never received",
        "received though never written",
        "not acted on once",
        "acted on twice",
    ):
        demand(not found[fault], shorten(f"{fault}: {found[fault]}"))
    demand(set(found["last"].values()) == {"up"}, f"the journal ends with {found['last']}")
    demand(found["kernel"] == ["wan1", "wan2"], f"the kernel has {found['kernel']}")
    demand(found["ids"] >= 2 * count, f"{found['ids']} transitions on record for {count} cycles")
    demand(found["killed between"], "the master was never killed between receipt and answer")
    by = ", ".join(f"{n} by {who}" for who, n in sorted(found["by"].items()))
    return (
        f"{count} cycles, {found['ids']} ids ({by}), none unheard, none acted on twice; "
        f"{found['received again']} received again, killed between {found['killed between']}"
    )


@check(902, "`react: event`: seconds from the fault until a reaction has switched, `fast`",
       over=[Case("", REACTOR), Case("", ENGINE)], alone=True, book=WAN)  # fmt: skip
def reaction_time(stage: Stage) -> str:
    """40 cuts (a sample: 8): by the master's reactor, with another minion told by the same event;
    by the minion's engine with the master dead, which hears of all of it once it is back.
    """
    count = CUTS[not full()]
    found = ran(stage, "wan_cuts", stage.setup, str(count))
    cuts = found["cuts"]
    by = {cut["acted"] for cut in cuts}
    demand(by == {"reaction"}, f"it was not a reaction that switched: {by}")
    demand(not found["unheard"], f"the master never received {found['unheard']}")
    demand(not found["twice"], f"another minion acted twice on {found['twice']}")
    switched = [cut["switched"] for cut in cuts]
    told = f"switched after {span(switched)} (median / worst of {count}), of which the verdict "
    told += span([cut["verdict"] for cut in cuts])
    if stage.setup == REACTOR:
        told += f"; another minion told after {span([cut['told'] for cut in cuts])}"
    else:
        demand(found["owed"], "the master was not away")
        told += f"; {found['owed']} ids received {found['heard']:.0f} s after its return began"
    told += f"; load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
    if max(switched) > AIM:
        raise Missed(told)
    return told
