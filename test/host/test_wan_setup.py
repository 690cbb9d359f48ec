"""A multi-WAN configuration brought to booted Debian 12 and 13, and taken away again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rig.host import BootedHost
from rig.netns import Segment
from rig.process import wait_until

Boot = Callable[[str, str], BootedHost]

FOLDERS = (
    "/etc/systemd",
    "/etc/network",
    "/etc/NetworkManager",
    "/etc/sysctl.d",
    "/var/lib/ipalias/wan",
)
UNIT = "ipalias-wan.service"
#: Passes before the change and fails after it.
FAILS_AFTER = ["/usr/bin/test", "!", "-e", f"/etc/systemd/system/{UNIT}"]
SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv4/fib_multipath_hash_policy",
    "net/ipv4/conf/eth1/rp_filter",
    "net/ipv4/conf/eth0/ignore_routes_with_linkdown",
)


def pillar(**keys: Any) -> dict[str, Any]:
    wan = {
        "uplinks": {
            "wan1": {
                "interface": "eth0",
                "gateway": "192.0.2.1",
                "gateway6": "2001:db8::1",
                "targets": ["203.0.113.1", "2001:db8:f::1"],
            },
            "wan2": {"interface": "eth1", "gateway": "198.51.100.1", "targets": ["203.0.113.1"]},
        },
        "nat": {"networks": ["192.0.2.192/26"]},
    }
    return {"ipalias": {"wan": wan, "guard": {"timeout": 60, "checks": []}, **keys}}


def second_line(host: BootedHost, segment: Segment) -> None:
    """Give the host its other line: nobody on the host owns it but the administrator."""
    if not any(a.address == "203.0.113.1" for a in _addresses(segment)):
        segment.ip_batch(
            "route del 198.51.100.0/24 dev br0",
            "address add 198.51.100.1/24 dev br0",
            "address add 203.0.113.1/32 dev br0",
            "address add 2001:db8:f::1/128 dev br0",
        )
    segment.plug(host._holder.pid, 1000 + host.number, "eth1")  # type: ignore[union-attr]
    wait_until(lambda: "eth1" in host.ip("-br", "link").out, "eth1 on the host")
    if host.run(["systemctl", "is-active", "NetworkManager"], check=False).code == 0:
        # It would ask for a lease there, and take the address away meanwhile.
        host.run(["nmcli", "device", "set", "eth1", "managed", "no"])
    host.ip_batch("link set eth1 up", "address add 198.51.100.2/24 dev eth1")


def _addresses(segment: Segment) -> list[Any]:
    return segment.addresses("br0")


def ours(host: BootedHost) -> dict[str, Any]:
    """Return what of ours the kernel has, without what changes by itself."""
    rules = [json.loads(host.ip("-j", f"-{f}", "rule").out) for f in (4, 6)]
    found = {
        "rules": [[r for r in listed if r["priority"] in range(18600, 18605)] for listed in rules],
        "groups": [n for n in json.loads(host.ip("-j", "nexthop").out or "[]") if "group" in n],
        "table": host.run(["nft", "list", "table", "inet", "ipalias_wan"], check=False).out,
    }
    for group in found["groups"]:
        group.pop("resilient_args", None)
    shown = ["-j", "route", "show", "table", "18855", "metric", "100"]
    told = [host.ip(f"-{family}", *shown, check=False).out for family in (4, 6)]
    # A table without routes is none, and the answer then is no JSON.
    found["defaults"] = [json.loads(text) for text in told if "nhid" in text]
    return found


def files_of(host: BootedHost) -> dict[str, tuple[str, str]]:
    """Return the files, but for the boot restore and what the monitor has seen: both stay."""
    seen = {f"/var/lib/ipalias/wan/{name}" for name in ("journal", "probes")}
    found = host.tree(*FOLDERS).items()
    return {path: h for path, h in found if "ipalias-restore" not in path and path not in seen}


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [path for path in {*one, *other} if one.get(path) != other.get(path)]


def values(host: BootedHost) -> list[str | None]:
    return [host.read(f"/proc/sys/{path}") for path in SETTINGS]


def call(host: BootedHost, sls: str, block: dict[str, Any], **options: Any) -> dict[str, Any]:
    words = [f"{key}={value}" for key, value in options.items()]
    told = host.salt_call("state.apply", sls, *words, pillar=block)
    assert isinstance(told, dict), told
    # Not what the minion reports: there is none here.
    [state] = [ret for key, ret in told.items() if "managed" in key or "absent" in key]
    return dict(state)


@pytest.mark.parametrize(
    ("suite", "setup"),
    [("bookworm", "networkd"), ("trixie", "networkd"), ("trixie", "networkmanager"),
     ("bookworm", "ifupdown")],
)  # fmt: skip
def test_a_configuration_comes_stays_and_goes(
    booted: Boot, segment: Segment, suite: str, setup: str
) -> None:
    host = booted(suite, setup)
    second_line(host, segment)
    defaults = [host.routes(family) for family in (4, 6)]
    files, found, settings = files_of(host), ours(host), values(host)

    told = call(host, "ipalias.wan", pillar(), test=True)
    assert told["result"] is None, told["comment"]
    assert told["changes"]["kernel"] and told["changes"]["files"] and told["changes"]["settings"]
    assert differences(files_of(host), files) == []
    assert (ours(host), values(host)) == (found, settings)

    undone = call(host, "ipalias.wan", pillar(guard={"timeout": 20, "checks": [FAILS_AFTER]}))
    assert undone["result"] is False
    assert "works before the change" in undone["comment"] or "fails after it" in undone["comment"]
    assert differences(files_of(host), files) == []
    assert (ours(host), values(host)) == (found, settings)

    told = call(host, "ipalias.wan", pillar())
    assert told["result"] is True, told["comment"]
    whole = ours(host)
    assert [len(listed) for listed in whole["rules"]] == [8, 5]
    assert len(whole["defaults"]) == 2
    assert host.run(["systemctl", "is-active", UNIT]).out.strip() == "active"
    assert values(host) == ["1\n", "1\n", "2\n", "1\n"]
    # Nobody's own default route was touched, and whose it is was told.
    assert [host.routes(family) for family in (4, 6)] == defaults
    assert f", by {setup}" in told["comment"]
    again = call(host, "ipalias.wan", pillar())
    assert (again["result"], again["changes"]) == (True, {}), again

    for taken in (["nft", "flush", "ruleset"], ["ip", "rule", "del", "priority", "18604"],
                  ["ip", "nexthop", "flush"], ["systemctl", "kill", "-s", "KILL", UNIT],
                  *OWNER_AGAIN.get(setup, [])):  # fmt: skip
        host.run(taken)
        wait_until(lambda: ours(host) == whole, f"all of it after {' '.join(taken)}")
    assert [host.routes(family) for family in (4, 6)] == defaults

    told = call(host, "ipalias.wan.clean", pillar())
    assert told["result"] is True, told["comment"]
    assert differences(files_of(host), files) == []
    assert (ours(host), values(host)) == (found, settings)
    assert [host.routes(family) for family in (4, 6)] == defaults
    assert call(host, "ipalias.wan.clean", pillar())["changes"] == {}


#: What makes an owner configure its link anew.
OWNER_AGAIN: dict[str, list[list[str]]] = {
    "networkd": [
        ["networkctl", "reconfigure", "eth0"],
        ["systemctl", "restart", "systemd-networkd"],
    ],
    "networkmanager": [["nmcli", "device", "reapply", "eth0"]],
}
