"""Complaints of other tools' users, by their number in our list of 25, that are about safety."""

from __future__ import annotations

import time
from typing import Any

from proof.checks_safety.driver import ask, block, hear, refusal, talking
from proof.registry import SAFETY, check, demand
from proof.stage import Stage, changed
from rig.process import wait_until

TAKEN = {4: "203.0.113.50", 6: "2001:db8:3::50"}


def set_up(stage: Stage) -> dict[str, Any]:
    """Have another host on the segment hold both addresses; return its hardware address."""
    peer = stage.peer
    for address in TAKEN.values():
        peer.ip("address", "add", f"{address}/{128 if ':' in address else 32}", "dev", "eth0")
        peer.await_addresses(address)
    mac: str = (peer.read("/sys/class/net/eth0/address") or "").strip()
    return {"mac": mac}


@check(4, "an address already used on the LAN: False, nothing written, its MAC named", book=SAFETY)
def taken(stage: Stage) -> str:
    """ARP and ND ask before anything is written, among many addresses asked for at once.

    ``check_duplicates: false`` lets it pass; so does the check once the other host has given
    the address up, as in a planned move.
    """
    host = stage.host
    mac = set_up(stage)["mac"]
    before, live = stage.config(), stage.live()
    free = ("203.0.113.100-203.0.113.140", "2001:db8:3::100-2001:db8:3::120")
    for address in TAKEN.values():
        run = stage.apply(*free, address, must=False)
        demand(run.failed, f"{address}: it was taken")
        demand(mac in run.failed[0] and address in run.failed[0], f"said: {run.failed[0][:300]}")
        demand(not run.changes, f"refused, and yet changed: {run.changes}")
        demand(not changed(before, stage.config()), f"written: {changed(before, stage.config())}")
        demand(stage.live() == live, f"live: {stage.live()}")
        left = [path for path in host.tree("/var/lib/ipalias") if not path.endswith("/lock")]
        noted = [path for path in left if "ledger" in path or "/open-" in path]
        demand(not noted, f"left behind: {noted}")
    stage.peer.ip("address", "del", f"{TAKEN[6]}/128", "dev", "eth0")
    stage.apply(TAKEN[6])
    stage.demand_live(f"{TAKEN[6]}/128", when=" after the move")
    stage.apply(TAKEN[6], TAKEN[4], check_duplicates=False)
    stage.demand_live(f"{TAKEN[4]}/32", f"{TAKEN[6]}/128", when=" with check_duplicates: false")
    return f"answered by {mac}"


@check(14, "after an aborted run the next one works at once", book=SAFETY)
def aborted(stage: Stage) -> str:
    """salt-call is killed in the middle of a state run; the same state right after it works."""
    host = stage.host
    host.salt_prepare({"ipalias": block(["203.0.113.10"])})
    argv = [*host.salt_argv(), "--local", "--log-level=quiet", "state.apply", "ipalias"]
    program = host.popen(argv, host.salt_environment())
    try:
        wait_until(
            lambda: any("/open-" in path for path in host.tree("/var/lib/ipalias")),
            "the change to begin",
            timeout=90,
            step=0.01,
        )
        program.send_signal(9)
        program.wait(30)
    finally:
        program.end()
    began = time.monotonic()
    stage.state()
    seconds = time.monotonic() - began
    stage.demand_live("203.0.113.10/32")
    told = ask(host, "await")
    demand(not told["wrong"] and not told["unfinished"], f"left behind: {told['unfinished']}")
    again = stage.state()
    demand(not again.changes, f"the second run changed {again.changes}")
    return f"the next run took {seconds:.1f} s"


@check(15, "a cut-off host reverts by itself; a bad prefix is refused", book=SAFETY)
def reverts(stage: Stage) -> None:
    """The host loses its primary and its default route in the middle of a run that then dies.

    A prefix that no address has is refused, naming its place in the pillar.
    """
    host = stage.host
    pillar = block(["203.0.113.10"], guard={"timeout": 10})
    effects = ask(host, "effects", old=block([], guard={"timeout": 60}), new=pillar)["effects"]
    at = max(index for index, name in enumerate(effects) if name.startswith("Run "))
    before = stage.config()
    words = {"pillar": pillar, "at": at, "when": "after", "how": "kill", "cut": True}
    with talking(host, "hang", **words) as program:
        demand(hear(program)["killed"], "the run was not killed")
        told = ask(host, "await")
    demand(not told["wrong"] and not told["unfinished"], f"it did not revert: {told['wrong']}")
    stage.demand_live(when=" after the revert")
    demand(not changed(before, stage.config()), f"not as before: {changed(before, stage.config())}")
    demand(stage.peer.ping(host.primary), "the primary does not answer")
    for family in (4, 6):
        default = [row for row in host.routes(family) if row["dst"] == "default"]
        demand(default, f"no default route of IPv{family}")
    for bad in ("203.0.113.10/33", "2001:db8:3::10/129", "203.0.113.10/0", "203.0.113.10/24x"):
        run = stage.apply("203.0.113.11", bad, must=False)
        demand(run.failed and "addresses[1]" in run.failed[0], f"{bad}: {run.failed}")
        demand(not run.changes and not changed(before, stage.config()), f"{bad}: changed")
    stage.demand_live(when=" after what was refused")


@check(
    801, "confirm=manual waits; confirm keeps, time undoes; rollback undoes the last", book=SAFETY
)
def by_hand(stage: Stage) -> None:
    """``apply confirm=manual`` waits; a second change is refused and says the way out.

    ``ipalias.confirm`` keeps it, the guard's time undoes it, ``ipalias.rollback`` undoes what
    waits, or the last committed change: files, kernel and ledger.
    """
    host = stage.host
    first = f"{OLD_ONE}/32"
    stage.apply(OLD_ONE)
    before, ledger = stage.config(), stage.ledger()

    def manual(seconds: int) -> None:
        host.salt_prepare({"ipalias": block([NEW_ONE], guard={"timeout": seconds})})
        told = stage.call("ipalias.apply", "confirm=manual")
        demand(isinstance(told, dict) and told["result"] is True, f"apply says {told}")
        demand("ipalias.confirm" in told["comment"], f"apply says {told['comment']}")
        stage.demand_live(f"{NEW_ONE}/32", when=" while it waits")

    def as_before(when: str) -> None:
        stage.demand_live(first, when=when)
        demand(not changed(before, stage.config()), f"files{when} differ")
        demand(stage.ledger() == ledger, f"the ledger{when} has {stage.ledger()}")

    manual(300)
    said = refusal(stage, "ipalias.add", "203.0.113.77")
    demand("ipalias.confirm" in said and "ipalias.rollback" in said, f"a second change: {said}")
    demand(stage.call("ipalias.confirm")["result"] is True, "confirm failed")
    told = ask(host, "await")
    demand(not told["wrong"] and not told["unfinished"], f"left behind: {told['unfinished']}")
    stage.demand_live(f"{NEW_ONE}/32", when=" after confirm")
    demand(stage.call("ipalias.rollback")["result"] is True, "rollback failed")
    as_before(" after rollback of the committed change")
    manual(300)
    demand(stage.call("ipalias.rollback")["result"] is True, "rollback failed")
    as_before(" after rollback of the waiting change")
    manual(15)
    wait_until(lambda: not host.has(NEW_ONE), "the time to undo it", timeout=60, step=0.1)
    told = ask(host, "await")
    demand(not told["wrong"] and not told["unfinished"], f"left behind: {told['unfinished']}")
    as_before(" after its time")
    said = refusal(stage, "ipalias.confirm")
    demand("no change waits" in said, f"confirm after that says {said}")


OLD_ONE, NEW_ONE = "203.0.113.10", "203.0.113.11"
