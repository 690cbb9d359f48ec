"""Aliases on lo: two of the complaints, with an owner of lo and where nobody owns it."""

from __future__ import annotations

from proof.registry import check, demand
from proof.stage import Stage, changed
from rig.host import BootedHost

FOUR = ("198.51.100.40", "198.51.100.41", "203.0.113.40", "203.0.113.41")
FOUR32 = tuple(f"{address}/32" for address in FOUR)

#: What gives lo an owner; NetworkManager only watches it, and there a file of ours carries it.
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


def own_lo(stage: Stage) -> None:
    """Boot the host, with an owner for lo where the set-up has one."""

    def prepare(host: BootedHost) -> None:
        path, text = LO[stage.setup]
        host.write(path, text, 0o600 if "netplan" in path else 0o644)

    stage.boot(prepare if stage.setup in LO else None)


@check(5, "removing a loopback alias clears file and kernel")
def loopback_removed(stage: Stage) -> None:
    """An alias of lo leaves kernel and files, the owner's or ours."""
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


@check(9, "four /32 on lo give four valid entries")
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
