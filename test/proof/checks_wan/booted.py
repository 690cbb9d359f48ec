"""Booted hosts with each owner of the network, one uplink of theirs by DHCP."""

from __future__ import annotations

import json
import select
from collections.abc import Callable
from typing import Any

from proof.registry import WAN, Missed, cases, check, demand
from proof.stage import SERVICE, Stage, shorten
from rig.host import BootedHost
from rig.netns import CHECKOUT
from rig.process import Running, wait_until
from rig.wan_lab import clock
from saltext.ipalias.errors import EffectError
from saltext.ipalias.wan import control

#: Each line is found dead quickly, so that the hold-down is what takes time.
PILLAR: dict[str, Any] = {
    "uplinks": {
        "wan1": {"interface": "eth0", "gateway": "192.0.2.1", "targets": ["203.0.113.1"]},
        "wan2": {"interface": "eth1", "gateway": "198.51.100.1", "targets": ["203.0.113.2"]},
    },
    "probe": {"profile": "fast"},
    "nat": {"networks": ["192.0.2.192/26"]},
}
#: What is back within this (seconds) is as promised.
BACK = 1.0
#: The owners' files with DHCP in them.
FILES = {
    "networkd": (
        "/etc/systemd/network/50-default.network",
        "[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n\n"
        "[DHCPv4]\nClientIdentifier=mac\n",
    ),
    "netplan_networkd": ("/etc/netplan/10-host.yaml", ""),
    "netplan_nm": ("/etc/netplan/10-host.yaml", ""),
    "networkmanager": (
        "/etc/NetworkManager/system-connections/eth0.nmconnection",
        "[connection]\nid=eth0\nuuid=6f1d1ab4-6a4e-4a4f-9c0e-2f3f7a1b9c10\ntype=ethernet\n"
        "interface-name=eth0\nautoconnect=true\n\n[ipv4]\nmethod=auto\n\n[ipv6]\n"
        "method=disabled\n",
    ),
    "ifupdown": (
        "/etc/network/interfaces",
        "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n",
    ),
}
_NETPLAN = (
    "network:\n  version: 2\n  renderer: {renderer}\n  ethernets:\n    eth0:\n      dhcp4: true\n"
    "      dhcp-identifier: mac\n      accept-ra: false\n"
)
#: Packets from the second line, counted and lost; the count is of what is no probe.
_DEAD = """
table bridge dead {{
    counter strays {{ }}
    chain come {{
        type filter hook prerouting priority 0;
        iifname "{port}" udp dport 9999 counter name "strays"
        iifname "{port}" drop
    }}
}}
"""
_STRAYS = """
import socket
for port in range(64):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("", 20000 + port))
    made.sendto(b"?", ("203.0.113.1", 9999))
"""


class Leased:
    """A booted host of a case: eth0 by DHCP, eth1 the administrator's; both lead out."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.segment = stage, stage.segment
        self.segment.ip_batch(
            "route del 198.51.100.0/24 dev br0",
            "address add 198.51.100.1/24 dev br0",
            "address add 203.0.113.1/32 dev br0",
            "address add 203.0.113.2/32 dev br0",
        )
        words = [self.segment.python, "-I", f"{CHECKOUT}/test/rig/dhcp_lease.py"]
        self.server: Running = self.segment.popen([*words, "br0", "192.0.2.1"], stdout=-1)
        assert self.server.stdout and self.server.stdout.readline() == "ready\n"
        self.host: BootedHost = stage.boot(self._by_dhcp)
        self.port = self.segment.plug(self.host._holder.pid, 1000 + self.host.number, "eth1")  # type: ignore[union-attr]
        wait_until(lambda: "eth1" in self.host.ip("-br", "link").out, "eth1 on the host")
        if stage.setup in ("networkmanager", "netplan_nm"):
            # It would ask for a lease there, and take the address away meanwhile.
            self.host.run(["nmcli", "device", "set", "eth1", "managed", "no"])
        self.host.ip_batch("link set eth1 up", "address add 198.51.100.2/24 dev eth1")

    def _by_dhcp(self, host: BootedHost) -> None:
        path, text = FILES[self.stage.setup]
        renderer = "NetworkManager" if self.stage.setup == "netplan_nm" else "networkd"
        host.write(path, text or _NETPLAN.format(renderer=renderer), 0o600)
        if self.stage.setup.endswith("networkd"):
            host.run(["chmod", "644", path])
        host.awaited = [f"{host.primary}/24"]

    def states(self) -> dict[str, str]:
        """Return the verdicts, {} while there is no monitor."""
        path = f"/proc/{self.host.pid}/root/run/ipalias/wan.sock"
        try:
            return {r["line"]: r["state"] for r in control.ask(path, {"verb": "status"})["lines"]}
        except EffectError:
            return {}

    def ours(self) -> list[Any]:
        """Return what of ours the kernel has: rules, groups, default route, NAT."""
        show = "route show table 18855 metric 100"
        asked = f"ip -j rule; echo; ip -j nexthop; echo; ip -j {show} || echo; echo"
        done = self.host.run(["sh", "-c", f"{asked}; nft list table inet ipalias_wan"], check=False)
        rules, _, rest = done.out.partition("\n\n")
        groups, _, rest = rest.partition("\n\n")
        held = [
            # Those of one priority have no order.
            sorted(
                json.dumps(rule, sort_keys=True)
                for rule in json.loads(rules)
                if rule["priority"] in range(18600, 18605)
            ),
            [nexthop for nexthop in json.loads(groups or "[]") if "group" in nexthop],
            rest,
        ]
        for group in held[1]:
            group.pop("resilient_args", None)
        return held

    def await_renewal(self) -> None:
        """Wait for the next renewal of the lease."""
        said = self.server.stdout
        assert said
        while select.select([said], [], [], 0)[0]:
            said.readline()
        wait_until(lambda: select.select([said], [], [], 0)[0] and "renewed" in said.readline(),
                   "a renewal")  # fmt: skip

    def strays(self) -> int:
        """Return how many of 64 flows of the host's own take the dead line."""
        self.segment.run(["nft", "reset", "counters", "table", "bridge", "dead"])
        self.host.run([self.host.python, "-I", "-c", _STRAYS])
        told = self.segment.run(["nft", "-j", "list", "counters", "table", "bridge", "dead"]).out
        [found] = [row["counter"] for row in json.loads(told)["nftables"] if "counter" in row]
        return int(found["packets"])

    def close(self) -> None:
        """End the DHCP server; the stage ends the host."""
        self.server.end()


@check(501, "each owner with an uplink by DHCP: renewal, restart, link flap, `nft flush ruleset`",
       over=cases(), book=WAN)  # fmt: skip
def owners(stage: Stage) -> str:
    """Rules, routes and NAT are back within a second of the address, and with the other uplink dead
    not one of 64 new flows takes it, whatever has happened.
    """
    scene = Leased(stage)
    try:
        host = scene.host
        told = host.salt_call("state.apply", "ipalias.wan", pillar={"ipalias": {"wan": PILLAR}})
        demand(isinstance(told, dict), shorten(str(told)))
        failed = [str(row["comment"]) for row in told.values() if row["result"] is not True]
        demand(not failed, shorten("; ".join(failed)))
        wait_until(lambda: scene.states() == {"wan1": "up", "wan2": "up"}, "both lines up")
        scene.segment.run(["nft", "-f", "-"], _DEAD.format(port=scene.port))
        wait_until(lambda: scene.states().get("wan2") == "down", "the second line down")
        # The first turn after the verdict.
        wait_until(lambda: scene.strays() == 0, "new flows on the line that works")
        whole = scene.ours()
        demand(len(whole[0]) == 8 and whole[1] and "nhid" in whole[2], f"not all is there: {whole}")
        took = {what: _after(scene, event, whole, what) for what, event in events(scene).items()}
    finally:
        scene.close()
    told = ", ".join(f"{what} {seconds:.2f} s" for what, seconds in took.items())
    if max(took.values()) > BACK:
        raise Missed(f"back after {told}")
    return f"back after {told}"


def events(scene: Leased) -> dict[str, Callable[[], object]]:
    """Return what happens to the host, by name."""
    host, segment = scene.host, scene.segment

    def flap() -> None:
        segment.carrier(host.port, up=False)
        wait_until(lambda: scene.states().get("wan1") == "down", "the loss of the carrier")
        segment.carrier(host.port, up=True)

    return {
        "renewal": scene.await_renewal,
        "restart": lambda: host.run(["systemctl", "restart", SERVICE[scene.stage.setup]]),
        "flap": flap,
        "flush": lambda: host.run(["nft", "flush", "ruleset"]),
    }


def _after(scene: Leased, event: Callable[[], object], whole: list[Any], what: str) -> float:
    """Let something happen; return seconds from the address's being there to all of ours."""
    event()
    host = scene.host
    host.await_addresses(f"{host.primary}/24")
    begun = clock()
    wait_until(lambda: scene.ours() == whole, f"all of ours after {what}")
    seconds = clock() - begun
    wait_until(lambda: scene.states().get("wan1") == "up", f"the line up after {what}")
    count = scene.strays()
    demand(not count, f"after {what} {count} of 64 flows took the dead line")
    return seconds
