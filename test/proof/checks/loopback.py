"""Aliases on lo: two of the complaints, and what is said where nobody owns lo."""

from __future__ import annotations

from collections.abc import Sequence

from proof.registry import cases, check, demand
from proof.stage import Stage, changed
from rig.host import BootedHost

FOUR = ("198.51.100.40", "198.51.100.41", "203.0.113.40", "203.0.113.41")
FOUR32 = tuple(f"{address}/32" for address in FOUR)

#: What gives lo an owner, where the set-up does not.
LO = {
    "networkd": (
        "/etc/systemd/network/10-lo.network",
        "[Match]\nName=lo\n\n[Network]\nAddress=127.0.0.1/8\nAddress=::1/128\n",
    ),
    "netplan_networkd": (
        "/etc/netplan/20-lo.yaml",
        "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    lo:\n"
        '      addresses: ["127.0.0.1/8", "::1/128"]\n',
    ),
}
#: NetworkManager only watches lo.
OWNED = ("networkd", "netplan_networkd", "ifupdown")


def own_lo(stage: Stage) -> None:
    """Boot the host with an owner for lo."""

    def prepare(host: BootedHost) -> None:
        path, text = LO[stage.setup]
        host.write(path, text, 0o600 if "netplan" in path else 0o644)

    stage.boot(prepare if stage.setup in LO else None)


def refused(stage: Stage, addresses: Sequence[str]) -> str:
    """Demand that nothing is done on an lo that nobody owns, and that this is said."""
    before, live = stage.config(), stage.live("lo")
    run = stage.apply(*addresses, interface="lo", must=False)
    demand(run.failed, "aliases went to an lo that nobody owns")
    demand("owned by nobody" in run.failed[0], f"the refusal says only: {run.failed[0][:300]}")
    demand(not run.changes, f"refused, yet changed {run.changes}")
    demand(not changed(before, stage.config()), "refused, yet a file changed")
    demand(live == stage.live("lo"), "refused, yet the kernel changed")
    return "refused with the reason"


@check(5, "removing a loopback alias clears file and kernel")
def loopback_removed(stage: Stage) -> str | None:
    """An alias of lo leaves kernel and files; where nobody owns lo, adding it is refused."""
    if stage.setup not in OWNED:
        return refused(stage, FOUR[:1])
    own_lo(stage)
    before = stage.config()
    stage.apply(*FOUR[:2], interface="lo")
    stage.demand_live(*FOUR32[:2], interface="lo")
    stage.apply(FOUR[1], interface="lo")
    stage.demand_live(FOUR32[1], interface="lo")
    demand(not stage.places(FOUR[0]), f"still in {stage.places(FOUR[0])}")
    stage.apply(interface="lo")
    stage.demand_live(interface="lo")
    left = changed(before, stage.config())
    demand(not left, f"not as before: {', '.join(left)}")
    return None


@check(9, "four /32 on lo give four valid entries", over=cases(OWNED))
def loopback_four(stage: Stage) -> None:
    """Four aliases of lo are live, stand in the files once each, and come back at boot."""
    own_lo(stage)
    stage.apply(*FOUR, interface="lo")
    stage.demand_live(*FOUR32, interface="lo")
    for address in FOUR:
        demand(stage.places(address), f"{address} is in no file")
    stage.host.reboot()
    stage.host.await_addresses(*FOUR32)
    stage.demand_live(*FOUR32, interface="lo", when=" after the reboot")
