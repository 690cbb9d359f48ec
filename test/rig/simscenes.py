"""Hosts as they are before a change, the change asked for, and what may be compared of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rig import plat, simbsdwan, simdhcp, simsysctl, simwan
from rig.simengine import block, engine, fit, ledger
from rig.simhost import STATE, SimHost
from rig.simnet import SimAddress
from rig.simnm import OWNERS
from saltext.ipalias.engine import Answer
from saltext.ipalias.files import TEMPORARY
from saltext.ipalias.journal import UNFINISHED, split_name

FIRST: list[object] = [
    "198.51.100.10",
    {"address": "198.51.100.11/32", "label": "fo1"},
    "2001:db8:1::10",
    "203.0.113.5/24",
    "203.0.113.6/24",
]
#: One stays, one gets another label and a source policy, a head of a subnet goes, two are new.
SECOND: list[object] = [
    "198.51.100.10",
    {"address": "198.51.100.11/32", "label": "fo2", "source": "never"},
    {"address": "2001:db8:1::11", "source": "never"},
    "203.0.113.6/24",
    {"address": "198.51.100.129/25", "source": "never"},
]
#: A keepalived VIP, say: nobody's file has it.
FOREIGN_LIVE = "198.51.100.99/32"
SCENES = ("first", "other", "clean", "adopt")
#: Every dialect in each scene of aliases, and the scenes of kernel settings.
CASES = [f"{dialect}-{scene}" for dialect in sorted(OWNERS) for scene in SCENES]
CASES += [f"sysctl-{scene}" for scene in simsysctl.SCENES]
CASES += [f"wan-{scene}" for scene in simwan.SCENES]
CASES += [f"dhcp-{scene}" for scene in simdhcp.SCENES]
CASES += [f"{name}-{scene}" for name in simbsdwan.SYSTEMS for scene in simbsdwan.SCENES]
#: Where a foreign line goes on the other dialects' hosts.
FOREIGN_ELSEWHERE = {name: plat.load(name).FOREIGN for name in plat.NAMES}
Request = Callable[[SimHost], Answer]
#: Where a foreign line goes: file, text, text with the line.
FOREIGN = {
    "ifupdown": (
        "/etc/network/interfaces",
        "    # kept\n",
        "    # kept\n    up ip address add 192.0.2.20/24 dev eth0\n",
    ),
    "networkd": (
        "/etc/systemd/network/50-eth0.network",
        "Gateway=192.0.2.1\n",
        "Gateway=192.0.2.1\nAddress=192.0.2.20/24\n",
    ),
    "netplan": (
        "/etc/netplan/01-netcfg.yaml",
        "[192.0.2.2/24, ",
        "[192.0.2.2/24, 192.0.2.20/24, ",
    ),
    "networkmanager": (
        "/etc/NetworkManager/system-connections/eth0.nmconnection",
        "[ipv6]\n",
        "address2=192.0.2.20/24\n\n[ipv6]\n",
    ),
}


def managed(dialect: str, items: list[object]) -> Request:
    """Return the request that brings a host to a list."""
    pillar = block(*fit(dialect, items))
    return lambda host: engine(host, pillar).managed()


def scene_of(dialect: str, name: str) -> tuple[SimHost, Request]:
    """Return a host as it is before a change, and the request for it."""
    if dialect == "sysctl":
        return simsysctl.scene_of(name)
    if dialect == "wan":
        return simwan.scene_of(name)
    if dialect == "dhcp":
        return simdhcp.scene_of(name)
    if dialect in simbsdwan.SYSTEMS:
        return simbsdwan.scene_of(dialect, name)
    host = OWNERS[dialect]()
    host.files.put("/etc/unrelated", "kept\n")
    add_by_hand(host, FOREIGN_LIVE)
    request = managed(dialect, FIRST if name == "first" else SECOND)
    if name == "adopt":
        adopt_line(host, dialect)
        pillar = block("192.0.2.20/24", "198.51.100.10", adopt=True)
        request = lambda host: engine(host, pillar).managed()  # noqa: E731
    elif name != "first":
        managed(dialect, FIRST)(host)
    if name == "clean":
        request = lambda host: engine(host, block()).clean()  # noqa: E731
    host.log.clear()
    return host, request


def adopt_line(host: SimHost, dialect: str) -> None:
    """Let a foreign line set 192.0.2.20/24."""
    add_by_hand(host, "192.0.2.20/24")
    if dialect in FOREIGN_ELSEWHERE:
        FOREIGN_ELSEWHERE[dialect](host)
        return
    path, old, new = FOREIGN[dialect]
    text = host.files.read(path)
    assert text is not None
    assert old in text
    mode = host.files.nodes[path].mode
    host.files.put(path, text.replace(old, new, 1), mode)
    if dialect == "netplan":
        host.run(["netplan", "generate"])


def add_by_hand(host: SimHost, cidr: str) -> None:
    """Bring an address live as a stranger does, on whatever system."""
    address, _, prefix = cidr.partition("/")
    if host.system == "linux":
        host.ip(["ip", "address", "add", cidr, "dev", "eth0"], None)
    elif ":" in address:
        host.net.links["eth0"].addresses6.append(SimAddress(address, int(prefix)))
    else:
        host.net.links["eth0"].addresses4.append(SimAddress(address, int(prefix)))


def refuse(host: SimHost, address: str, interface: str = "eth0") -> None:
    """Let the kernel refuse an address from now on, on whatever system; none: no more."""
    if host.system == "linux":
        host.ip.broken = [f"{address} dev {interface}"] if address else []
    else:
        host.refused = {address.partition("/")[0]} - {""}


def comparable(host: SimHost) -> dict[str, Any]:
    """Return what has to be equal.

    Left aside is the kernel's order: an alias that headed its subnet and was taken away does
    not head it again when it is put back, and the subnet's route has its successor as source.
    """
    state = host.state()
    state["addresses"] = {
        name: sorted(
            str(replace(address, secondary=False))
            for address in (*link.addresses4, *link.addresses6)
        )
        for name, link in host.net.links.items()
    }
    state["routes"] = sorted(
        str(replace(route, source=None) if route.destination == "203.0.113.0/24" else route)
        for route in host.net.routes
    )
    state["ledger"] = ledger(host)
    return state


def leftovers(host: SimHost) -> list[str]:
    """Return what a change that has ended must not leave: records, half-written files."""
    found = []
    for path in host.files.nodes:
        named = split_name(path.rsplit("/", 1)[1])
        record = path.startswith(f"{STATE}/") and named is not None and named[0] in UNFINISHED
        if record or path.endswith(TEMPORARY):
            found.append(path)
    return found


def differences(one: dict[str, Any], other: dict[str, Any], name: str = "") -> list[str]:
    """Return in what two states differ, for a message."""
    said = []
    for key in {**one, **other}:
        old, new = one.get(key), other.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            said += differences(old, new, f"{name} {key}")
        elif isinstance(old, list) and isinstance(new, list):
            said += [f"{name} {key} -{item}" for item in old if item not in new]
            said += [f"{name} {key} +{item}" for item in new if item not in old]
        else:
            said.append(f"{name} {key}: {old!r} / {new!r}")
    return said
