"""Cut a line again and again, and measure until a reaction has switched: ``reactor|engine COUNT``.

Seconds from the fault, by the boot clock, which all hosts of a machine share. ``reactor``: the
master's, with no engine on the minion; another minion is told by the same event. ``engine``: the
minion's own, with the master dead; the other minion is told when it is back.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import sys
import threading
import time
from typing import Any

from wan_rig import PATIENCE, reporting_lines, say, settle, wait_until

from rig.process import Running
from saltext.ipalias.wan.clocks import boot_clock

REACTOR, ENGINE = "reactor", "engine"
#: Seconds after which it is the monitor that switches, and the measurement is none.
REACT_TIMEOUT = 30
#: Seconds that a fault lasts at the least: a shorter one is taken for a burst of loss, from which
#: the line learns to be waited for (`silence:most`).
LASTS = 2.8
_GROUP = re.compile(r"\bid \d+ group (\S+)")


class Groups:
    """Hear from the kernel of each change of a nexthop group; asking again and again would hold
    up the very processes that are measured.
    """

    def __init__(self, lines: Any) -> None:
        #: Boot clock and members of each group that was set.
        self.heard: list[tuple[float, set[str]]] = []
        argv = ["ip", "-o", "monitor", "nexthop"]
        self._program: Running = lines.host.popen(argv, stdout=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._program.stdout
        for line in self._program.stdout:
            found = _GROUP.search(line)
            if found and not line.startswith("Deleted"):
                members = {item.partition(",")[0] for item in found[1].split("/")}
                self.heard.append((boot_clock(), members))

    def without(self, ident: str, since: float) -> float | None:
        """Return when a group was set first that has a nexthop no more."""
        times = [at for at, members in self.heard if at > since and ident not in members]
        return min(times, default=None)

    def close(self) -> None:
        """End it."""
        self._program.end()


def one_cut(lines: Any, groups: Groups, name: str, *, tell: bool) -> dict[str, Any]:
    """Cut a line, mend it once it is switched away from, and return what took how long."""
    [ident] = [str(item["id"]) for item in lines.nexthops() if item.get("dev") == name]
    before = len(lines.journal())
    begun = boot_clock()
    lines.cut(name)
    down = lines.last(name, "down", before)
    switched = wait_until(lambda: groups.without(ident, begun), f"{name} to be left")
    assert name not in lines.carrying(), f"{name} still carries"
    found = {"verdict": down.boot_at - begun, "promised": down.bound}
    found |= {"switched": switched - begun, "acted": down.acted}
    if tell:
        wait_until(
            lambda: down.ident in lines.told_of(), "web2 to be told", timeout=PATIENCE, step=0.1
        )
        found["told"] = boot_clock() - begun
    time.sleep(max(0.0, begun + LASTS - boot_clock()))
    lines.mend(name)
    wait_until(lambda: name in lines.carrying(), f"{name} back", timeout=PATIENCE, step=0.1)
    return found


def main(way: str, count: int) -> dict[str, Any]:
    """Cut so many times and return every figure."""
    rows = []
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(
            reporting_lines(engine=way == ENGINE, react_timeout=REACT_TIMEOUT)
        )
        lines.know_lines()
        settle(lines)
        stack.callback((groups := Groups(lines)).close)
        with lines.fleet.master.stopped() if way == ENGINE else contextlib.nullcontext():
            for turn in range(count):
                # A beacon's round is a second, and a cut keeps no step with it.
                time.sleep(random.random())
                rows.append(one_cut(lines, groups, f"wan{turn % 2 + 1}", tell=way == REACTOR))
                told = (
                    f"{key} {value:.2f} s" if isinstance(value, float) else f"{key} by {value}"
                    for key, value in rows[-1].items()
                )
                say(f"cut {turn + 1} of {count}: {', '.join(told)}")
                if rows[-1]["acted"] != "reaction":
                    break
                if way == REACTOR:
                    settle(lines)
            idents = {entry.ident for entry in lines.journal()}
            owed = lines.owed()
        back = boot_clock()
        settle(lines)
        return {
            "cuts": rows,
            "owed": len(owed),
            "heard": boot_clock() - back,
            "unheard": sorted(idents - set(lines.received())),
            "twice": sorted({i for i in lines.told_of() if lines.told_of().count(i) > 1}),
        }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
