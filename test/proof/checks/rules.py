"""The ledger's rules: what came by hand, what was there before, what was adopted."""

from __future__ import annotations

from typing import Any

from proof.registry import check, demand
from proof.stage import MAIN, Stage, changed, shorten
from rig.gentle import Monitor
from rig.host import BootedHost

#: In somebody else's line.
LINE = "203.0.113.70"
#: Added live by hand.
HAND = "203.0.113.80"
OTHER = "203.0.113.10"


def with_line(host: BootedHost, setup: str) -> None:
    """Have the owner's own file configure `LINE` as well."""
    path = MAIN[setup]
    text = host.read(path) or ""
    if setup == "networkd":
        text += f"\n# the shop's address\n[Address]\nAddress={LINE}/32\n"
    elif setup == "networkmanager":
        first, _, rest = text.partition("\n\n[ipv6]")
        text = f"{first}\naddress2={LINE}/32\n\n[ipv6]{rest}"
    elif setup == "ifupdown":
        text += (
            f"\n# the shop's address\nauto eth0:7\niface eth0:7 inet static\n\taddress {LINE}/32\n"
        )
    else:
        text = text.replace('/64"]', f'/64", {LINE}/32]')
    host.write(path, text, 0o644 if setup in ("networkd", "ifupdown") else 0o600)
    host.awaited.append(f"{LINE}/32")


def boot_with_line(stage: Stage) -> None:
    """Boot the host with that line."""
    stage.boot(lambda host: with_line(host, stage.setup))


def imported(stage: Stage) -> dict[str, Any]:
    """Return what ``import_pillar`` prints, as the pillar it is."""
    pillar: dict[str, Any] = stage.call("ipalias.import_pillar")
    return pillar


@check(32, "ipalias.add, highstate, reboot: still there; goes by remove")
def added_by_hand(stage: Stage) -> None:
    """What was added by hand is the hand's: no highstate takes it, ``remove`` does."""
    stage.apply(OTHER)
    told = stage.call("ipalias.add", HAND)
    demand(isinstance(told, dict) and told["result"] is True, f"ipalias.add says {told}")
    run = stage.apply(OTHER, "203.0.113.11")
    demand(run.listed("removed") == [], f"the highstate removed {run.listed('removed')}")
    aliases = [f"{OTHER}/32", f"{HAND}/32", "203.0.113.11/32"]
    stage.demand_live(*aliases, when=" after the highstate")
    demand(stage.ledger()[f"{HAND}/32"] == "hand", f"its origin is {stage.ledger()}")
    stage.host.reboot()
    stage.host.await_addresses(*aliases)
    demand(stage.call("ipalias.remove", HAND)["result"] is True, "ipalias.remove failed")
    stage.demand_live(f"{OTHER}/32", "203.0.113.11/32", when=" after remove")
    demand(not stage.places(HAND), f"still in {stage.places(HAND)}")


@check(33, "import_pillar, apply, drop: a foreign line counts as present and stays")
def imported_and_dropped(stage: Stage) -> None:
    """The imported pillar writes nothing for a foreign line, and dropping it removes nothing.

    What was live only becomes ours with the run that names it, and goes with the one that
    does not.
    """
    boot_with_line(stage)
    stage.host.ip("address", "add", f"{HAND}/32", "dev", "eth0")
    both = (f"{LINE}/32", f"{HAND}/32")
    pillar = imported(stage)
    items = pillar["ipalias"]["interfaces"].get("eth0", {"addresses": []})["addresses"]
    names = {item if isinstance(item, str) else item["address"] for item in items}
    demand(names == {LINE, HAND}, f"imported: {items}")
    foreign, lines = stage.config()[MAIN[stage.setup]], stage.places(LINE)
    stage.state("ipalias", pillar)
    stage.demand_live(*both)
    demand(stage.places(LINE) == lines, f"written again: {stage.places(LINE)}")
    demand(stage.ledger() == {both[1]: "pillar"}, f"the ledger has {stage.ledger()}")
    demand(stage.places(HAND), f"{HAND} is in no file")
    stage.apply(OTHER)
    stage.demand_live(both[0], f"{OTHER}/32", when=" after it left the pillar")
    stage.apply()
    stage.demand_live(both[0], when=" after all left the pillar")
    demand(stage.config()[MAIN[stage.setup]] == foreign, "the foreign file changed")


@check(34, "with adopt it moves as one change, stays at a drop, goes by remove")
def adopted(stage: Stage) -> None:
    """An adopted line becomes ours without the address ever leaving the kernel."""
    boot_with_line(stage)
    cidr = f"{LINE}/32"
    path = MAIN[stage.setup]
    before = stage.config()
    monitor = Monitor(stage.host)
    try:
        stage.state("ipalias", {"ipalias": {"adopt": True, **imported(stage)["ipalias"]}})
    finally:
        events = monitor.stop()
    lost = [line for line in events if line.startswith("Deleted") and cidr in line.split()]
    demand(not lost, f"it left the kernel: {shorten('; '.join(lost))}")
    stage.demand_live(cidr)
    demand(stage.ledger() == {cidr: "adopted"}, f"the ledger has {stage.ledger()}")
    here = [place for place in stage.places(LINE) if place.startswith(f"{path}: ")]
    if stage.setup == "networkmanager":
        # One file holds both: only the ledger knows whose a line is.
        demand(not changed(before, stage.config()), "a line moved that has nowhere to go")
    elif stage.setup == "ifupdown":
        demand(len(here) == 1, f"in the main file: {here}")
        demand("the shop's address\nauto" not in stage.config()[path][1], "the stanza stayed")
    else:
        demand(not here and stage.places(LINE), f"it stands in {stage.places(LINE)}")
    stage.apply(OTHER)
    stage.demand_live(cidr, f"{OTHER}/32", when=" after it left the pillar")
    demand(stage.call("ipalias.remove", LINE)["result"] is True, "ipalias.remove failed")
    stage.demand_live(f"{OTHER}/32", when=" after remove")
    demand(not stage.places(LINE), f"still in {stage.places(LINE)}")
