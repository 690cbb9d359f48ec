"""The crash matrix: killed before and after every effect, on booted hosts."""

from __future__ import annotations

import json
import time
from typing import Any

from proof.checks_safety.driver import NEW, OLD, applied, ask, block, hear, talking, tell
from proof.extent import draw
from proof.registry import SAFETY, check, demand
from proof.stage import Stage

#: Points of a sample, a host.
POINTS = 6
REBOOTS = 3

Point = tuple[int, str]


def points(effects: list[str], count: int, name: str) -> list[Point]:
    """Return the points to kill at: before and after each effect, or a sample of them."""
    every = [(at, when) for at in range(len(effects)) for when in ("before", "after")]
    return draw(every, count, name)


def kill_in_turn(stage: Stage, then: str, guard: Any) -> str:
    """Kill at one point after another on one host, which goes on by itself each time."""
    host = stage.host
    host.run(["sysctl", "-qw", "net.ipv4.conf.eth0.promote_secondaries=0"])
    began = time.monotonic()
    words = {"old": block(OLD, guard=guard), "new": block(NEW, guard=guard), "then": then}
    with talking(host, "matrix", **words) as program:
        effects = hear(program)["effects"]
        chosen = points(effects, POINTS, f"{then}-{stage.case}")
        tell(program, json.dumps(chosen) + "\n")
        reached = 0
        for at, when in chosen:
            told = hear(program)
            demand(not told["is"], f"killed {when} effect {at} ({told['name']}): {told['is']}")
            reached += told["reached"]
        demand(hear(program).get("end"), "the program inside did not end")
    # On a busy machine the dead man's second may be over before the point is reached.
    demand(reached * 2 >= len(chosen), f"only {reached} of {len(chosen)} kills came")
    seconds = time.monotonic() - began
    return f"{reached} kills, {2 * len(effects)} points, 0 torn states, {seconds:.0f} s"


@check(101, "killed before or after any effect: the next run leads to old or new", book=SAFETY)
def next_run(stage: Stage) -> str:
    """SIGKILL at each effect; the next run, towards old and new in turn, gets there exactly.

    Files with mode and owner, ledger, originals, addresses with label and scope, routes, and
    the kernel's setting that the change borrows. No dead man helps.
    """
    return kill_in_turn(stage, "run", False)


@check(102, "killed or hung at any effect: the dead man leads to old or new", book=SAFETY)
def dead_man(stage: Stage) -> str:
    """SIGKILL, and every third time SIGSTOP, at each effect; a dead man of one second.

    Longer only where the change itself takes longer to come to that effect. It ends a process
    that hangs, and leaves exactly old or exactly new, without any other run.
    """
    return kill_in_turn(stage, "guard", {"timeout": 60, "checks": []})


@check(103, "stopped at any effect, power gone: after the boot exactly old or new", book=SAFETY)
def reboot(stage: Stage) -> str:
    """The process hangs at each effect and the host loses its power; the boot puts back.

    Compared with the same host booted in the old and in the new state.
    """
    guard = {"timeout": 60, "checks": []}
    old, new = block(OLD, guard=guard), block(NEW, guard=guard)
    host = stage.host
    began = time.monotonic()
    effects = ask(host, "effects", old=old, new=new)["effects"]
    wanted = {}
    for pillar, name in ((new, "new"), (old, "old")):
        applied(host, pillar)
        ask(host, "await")
        power_cycle(stage)
        wanted[name] = ask(host, "picture")["picture"]
    demand(wanted["old"] != wanted["new"], "old and new are the same after a boot")
    chosen = points(effects, REBOOTS, f"reboot-{stage.case}")
    for at, when in chosen:
        what = f"stopped {when} effect {at} ({effects[at]}), power gone"
        with talking(host, "hang", pillar=new, at=at, when=when) as program:
            demand(hear(program)["stopped"], f"{what}: it was not stopped")
            power_cycle(stage)
        told = ask(host, "picture")
        now = told["picture"]
        demand(now in wanted.values(), f"{what}: {difference(now, wanted['old'])}")
        demand(not told["unfinished"], f"{what}: left behind: {told['unfinished']}")
        if now == wanted["new"]:
            applied(host, old)
            power_cycle(stage)
            demand(ask(host, "picture")["picture"] == wanted["old"], f"{what}: no way back")
    seconds = time.monotonic() - began
    return f"{len(chosen)} cuts, {2 * len(effects)} points, 0 torn states, {seconds:.0f} s"


def power_cycle(stage: Stage) -> None:
    """Take the host's power, and boot it again from its files."""
    stage.host.power_off()
    stage.host.boot()


def difference(now: dict[str, Any], old: dict[str, Any]) -> str:
    """Return in words what is not as it was."""
    names = {*now["files"], *old["files"]}
    told = [name for name in sorted(names) if now["files"].get(name) != old["files"].get(name)]
    for key in ("addresses", "routes"):
        told += [f"missing {row}" for row in old[key] if row not in now[key]]
        told += [f"too much {row}" for row in now[key] if row not in old[key]]
    return f"neither old nor new; not as before: {', '.join(map(str, told))}"
