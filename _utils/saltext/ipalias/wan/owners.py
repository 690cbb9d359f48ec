"""Whose the default routes of a host are, and how ours live beside them. Linux.

Ours lie in a table of their own, which a policy rule asks before the main table's default
routes. So no owner has to be told, none loses a route, and none takes ours away by renewing
its own: what each does in the main table stays without effect until ours are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..backends import networkd
from ..host import Host
from ..live import Route, Snapshot
from ..model import Evidence, File
from ..owner import detect_all
from .model import Numbers

#: Drop-in of networkd.conf(5).
NETWORKD = "/etc/systemd/networkd.conf.d/60-ipalias.conf"
#: As of this version networkd lets alone nexthop objects as well, if told to. Before, and for
#: groups also later (systemd issue 29034, sonic-buildimage 26344), it deletes those of others
#: when it configures a link: then the reserve route is in force until the monitor has put the
#: group back.
_NEXTHOPS = 256
#: Who sets a route, by the kernel's word (rt_protos of iproute2).
_SETTERS: Mapping[str, str] = {
    "dhcp": "a DHCP client",
    "ra": "router advertisements",
    "static": "the interface's configuration",
    "boot": "a command or a script: ifupdown, dhclient, an administrator",
    "": "a command or a script: ifupdown, dhclient, an administrator",
    "kernel": "the kernel",
    "zebra": "a routing daemon (FRR)",
    "bird": "a routing daemon (BIRD)",
    "bgp": "a routing daemon (BGP)",
    "ospf": "a routing daemon (OSPF)",
    "keepalived": "keepalived",
}
_HABITS: Mapping[str, str] = {
    "networkd": "networkd sets it again whenever it configures the link or renews the lease",
    "netplan": "the renderer behind netplan sets it again whenever it configures the link",
    "networkmanager": (
        "NetworkManager sets it again with each activation; it touches its own table only "
        "(ipv4.route-table), so `never-default` is not needed"
    ),
    "ifupdown": "ifup sets it again; dhclient does with each lease",
}


class Owned(NamedTuple):
    """Hold a default route and its owner.

    :param dialect: backend that owns the interface, or empty.
    :param setter: who sets the route, in words.
    :param reasons: what tells that.
    """

    route: Route
    dialect: str
    setter: str
    reasons: tuple[str, ...]

    def text(self, numbers: Numbers) -> str:
        """Return whose it is and how ours lives beside it."""
        route = self.route
        via = f" via {route.gateway}" if route.gateway else ""
        metric = f" metric {route.metric}" if route.metric else ""
        owner = f", by {self.dialect}" if self.dialect else ""
        habit = _HABITS.get(self.dialect, "")
        told = f" ({habit})" if habit else ""
        return (
            f"IPv{route.family} default{via} dev {route.interface}{metric} is set by "
            f"{self.setter}{owner}{told}. It stays in the main table, behind ours in table "
            f"{numbers.default_table}, and is in force again once ours is gone"
        )

    def data(self, numbers: Numbers) -> dict[str, Any]:
        """Return it as plain data."""
        route = self.route
        return {
            "family": route.family,
            "gateway": route.gateway or "",
            "interface": route.interface,
            "metric": route.metric,
            "protocol": route.protocol,
            "owner": self.dialect,
            "setter": self.setter,
            "reasons": list(self.reasons),
            "coexists": self.text(numbers),
        }


def read_owners(host: Host, snapshot: Snapshot) -> list[Owned]:
    """Return every default route of the main table with its owner."""
    evidence: dict[str, list[Evidence]] = {}
    found = []
    for family in (4, 6):
        for route in snapshot.defaults(family):
            name = route.interface
            if name not in evidence:
                evidence[name] = detect_all(host, name)
            owner = next((item for item in evidence[name] if item.owns), None)
            setter = _SETTERS.get(route.protocol, f"protocol {route.protocol}")
            dialect = owner.backend if owner else ""
            found.append(Owned(route, dialect, setter, owner.reasons if owner else ()))
    return found


def render_networkd(version: int) -> str:
    """Return the drop-in by which networkd leaves alone what is not its own: networkd.conf(5).

    By default it deletes routes (as of 246 that can be turned off), policy rules (249) and
    nexthop objects (256) that no file of its own sets, whenever it configures a link.
    """
    lines = ["ManageForeignRoutes=no", "ManageForeignRoutingPolicyRules=no"]
    lines += ["ManageForeignNextHops=no"] if version >= _NEXTHOPS else []
    return "\n".join(["# Written by the ipalias formula.", "[Network]", *lines, ""])


def networkd_files(host: Host) -> tuple[list[File], list[str]]:
    """Return the drop-in where networkd runs, and what there is to know about it."""
    if not networkd.is_running(host):
        return [], []
    text = render_networkd(int(networkd.read_version(host) or 0))
    notes = []
    if host.read(NETWORKD) != text:
        notes.append(
            "systemd-networkd reads its new drop-in at its next start; until then it may take "
            "routes, rules and nexthops of ours away, which the monitor puts back"
        )
    return [File(NETWORKD, text)], notes
