"""Let a line fail and recover under faults of everything around it: ``COUNT SEED``.

What holds at the end: each id on record has been received by the master, and acted on once; the
kernel is as the last verdicts are; whoever was told acted once.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from wan_rig import (
    MINION,
    PATIENCE,
    STATE,
    TwoWays,
    reporting_lines,
    restart,
    run_on_master,
    say,
    settle,
    sync,
    wait_until,
)

BOTH = {"wan1", "wan2"}


class Cycles:
    """Hold the lines, and carry out a cycle under one fault or another."""

    def __init__(self, lines: TwoWays, chance: random.Random) -> None:
        self.lines, self.chance = lines, chance
        self.fleet = lines.fleet
        self.killed_between = 0
        self.faults: dict[str, Callable[[str], None]] = {
            "master up": self.plainly,
            "master killed between receipt and acknowledgement": self.master_killed,
            "monitor killed": self.monitor_killed,
            "master down": self.master_down,
            "minion restarted": self.minion_restarted,
            "cache cleared": self.cache_cleared,
            "synced from an empty master": self.synced_from_nothing,
            "master flapping": self.master_flapping,
        }

    # --- a failure and a recovery -------------------------------------------------------------

    def fails(self, name: str) -> None:
        """Cut a line, and wait until the kernel leaves it."""
        self.lines.cut(name)
        self.shows(BOTH - {name})

    def recovers(self, name: str) -> None:
        """Mend a line, and wait until the kernel has it again."""
        self.lines.mend(name)
        self.shows(BOTH)

    def shows(self, wanted: set[str]) -> None:
        """Wait until the kernel has just these lines."""
        wait_until(
            lambda: self.lines.carrying() == wanted,
            f"the kernel to have {sorted(wanted)}",
            timeout=PATIENCE,
            step=0.1,
        )

    # --- what is at fault meanwhile -----------------------------------------------------------

    def plainly(self, name: str) -> None:
        self.fails(name)
        self.recovers(name)

    def master_down(self, name: str) -> None:
        with self.fleet.master.stopped():
            self.plainly(name)

    def master_flapping(self, name: str) -> None:
        with self.fleet.master.stopped():
            self.lines.cut(name)
        with self.fleet.master.stopped():
            self.shows(BOTH - {name})
            self.lines.mend(name)
        self.shows(BOTH)

    def master_killed(self, name: str) -> None:
        """Kill it while its reactor has an event and has answered none of it."""
        settle(self.lines)
        before = len(self.lines.received())
        self.lines.hold.touch()
        try:
            self.lines.cut(name)
            wait_until(
                lambda: len(self.lines.received()) > before, "a receipt", timeout=PATIENCE, step=0.1
            )
            with self.fleet.master.stopped():
                received = set(self.lines.received()[before:])
                self.killed_between += received <= self.lines.owed()
                self.shows(BOTH - {name})
                self.lines.hold.unlink()
        finally:
            self.lines.hold.unlink(missing_ok=True)
        self.recovers(name)

    def minion_restarted(self, name: str) -> None:
        self.lines.cut(name)
        restart(self.lines)
        self.shows(BOTH - {name})
        self.recovers(name)

    def cache_cleared(self, name: str) -> None:
        self.fleet.await_answer(MINION)
        self.fleet.salt(MINION, "saltutil.clear_cache")
        self.plainly(name)
        sync(self.fleet, MINION)

    def synced_from_nothing(self, name: str) -> None:
        """The monitor goes on from its frozen copy; what is owed waits for the formula."""
        formula = self.fleet.formula
        away = formula.with_name("formula-away")
        formula.rename(away)
        try:
            run_on_master(self.fleet, "fileserver.clear_file_list_cache")
            sync(self.fleet, MINION)
            assert not self.fleet.has_synced(MINION), "the minion has kept the formula"
            self.plainly(name)
        finally:
            away.rename(formula)
            run_on_master(self.fleet, "fileserver.clear_file_list_cache")
        sync(self.fleet, MINION)
        assert self.fleet.has_synced(MINION)

    def monitor_killed(self, name: str) -> None:
        """Kill it at any moment of a failure and of a recovery."""
        for act, wanted in ((self.lines.cut, BOTH - {name}), (self.lines.mend, BOTH)):
            act(name)
            time.sleep(self.chance.random())
            self.lines.kill_monitor()
            self.shows(wanted)

    # --- what holds in the end ----------------------------------------------------------------

    def judged(self) -> dict[str, Any]:
        """Return what is on record, here, on the master and in the kernel."""
        lines = self.lines
        text = lines.host.read(f"{STATE}/journal") or ""
        rows = [json.loads(row) for row in text.splitlines() if row.strip()]
        who: Counter[str] = Counter()
        for row in rows:
            who[row.get("of") or row["id"]] += bool(row["acted"])
        entries = lines.journal()
        received, told = Counter(lines.received()), Counter(lines.told_of())
        acted = Counter(lines.acted())
        last = {entry.line.uplink: entry.state for entry in entries}
        return {
            "ids": len(entries),
            "one id twice": sum("id" in row for row in rows) - len(entries),
            "never received": [e.ident for e in entries if e.ident not in received],
            "received though never written": sorted(set(received) - {e.ident for e in entries}),
            "received again": sum(received.values()) - len(received),
            "not acted on once": {e.ident: who[e.ident] for e in entries if who[e.ident] != 1},
            "acted on twice": [i for i, n in (acted + told).items() if acted[i] > 1 or told[i] > 1],
            "told": len(told),
            "by": dict(Counter(entry.acted for entry in entries)),
            "last": last,
            "kernel": sorted(lines.carrying()),
            "killed between": self.killed_between,
        }


def main(count: int, seed: int) -> dict[str, Any]:
    """Go through so many cycles, each fault in turn, and return what holds then."""
    with reporting_lines(engine=True, react_timeout=5) as lines:
        cycles = Cycles(lines, random.Random(seed))
        names = list(cycles.faults)
        for turn in range(count):
            name, begun = names[turn % len(names)], time.monotonic()
            cycles.faults[name](cycles.chance.choice(sorted(BOTH)))
            took = time.monotonic() - begun
            owed = len(lines.owed())
            say(f"cycle {turn + 1} of {count}: {name}, {took:.0f} s; the master is owed {owed}")
        lines.fleet.await_answer(MINION)
        settle(lines)
        return cycles.judged()


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
