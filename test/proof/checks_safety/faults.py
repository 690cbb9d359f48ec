"""What fails in the middle of a change on a real host: disk, folder, command."""

from __future__ import annotations

import time

from proof.checks_safety.driver import NEW, OLD, block, hear, talking
from proof.extent import full
from proof.registry import SAFETY, check, demand
from proof.stage import Stage, shorten


@check(301, "disk full, read-only, a command failing, absent, hanging: old state back", book=SAFETY)
def fault_matrix(stage: Stage) -> str:
    """Each command of the change fails, is not installed, or hangs past its limit; the folders it
    writes to are read-only, or have no page left, or a few.

    Files, ledger and kernel are as before, nothing half written lies about, and the error names
    the cause and the path or program.
    """
    host = stage.host
    host.run(["sysctl", "-qw", "net.ipv4.conf.eth0.promote_secondaries=0"])
    guard = {"timeout": 60, "checks": []}
    words = {"old": block(OLD, guard=guard), "new": block(NEW, guard=guard)}
    pages = [0, 1, 2, 3, 5, 8] if full() else [0, 2]
    count, room, problems = 0, 0, []
    began = time.monotonic()
    with talking(host, "faults", pages=pages, **words) as program:
        while not (told := hear(program)).get("end"):
            count += 1
            room += told["said"] == "there was room"
            if told["is"]:
                problems.append(f"{told['fault']}: {shorten(told['is'], 300)}")
    demand(not problems, f"{len(problems)} of {count} faults: {'; '.join(problems[:3])}")
    demand(not told["is"], f"after all faults the change does not stand: {told['is']}")
    demand(count > room + 5, f"only {count} faults")
    return f"{count - room} faults, {time.monotonic() - began:.0f} s"
