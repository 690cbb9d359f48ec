"""What the kernel holds of routing, as data: links, addresses, routes, rules, nexthops.

The words in which `routes` plans and `rtnl` reads and writes. Everything is comparable: two
equal values are the same thing to the kernel.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple

UNICAST, UNREACHABLE = "unicast", "unreachable"
#: Routing tables with a meaning of their own; see rt_tables of iproute2.
TABLE_DEFAULT, TABLE_MAIN, TABLE_LOCAL = 253, 254, 255
KERNEL_TABLES = frozenset({TABLE_DEFAULT, TABLE_MAIN, TABLE_LOCAL})
ANYWHERE: Mapping[int, str] = {4: "0.0.0.0/0", 6: "::/0"}
DEPRECATED, TENTATIVE, DADFAILED, SECONDARY = 0x20, 0x40, 0x08, 0x01


class Link(NamedTuple):
    """Hold an interface.

    :param number: its index.
    :param up: as set by its owner; a route over one that is down is refused.
    :param carrier: as the wire has it; a nexthop object over one without is refused.
    """

    number: int
    name: str
    up: bool
    carrier: bool


class Address(NamedTuple):
    """Hold an address of an interface.

    :param scope: 0 for global.
    :param flags: ``IFA_F_*``.
    """

    interface: str
    family: int
    address: str
    prefix: int
    scope: int = 0
    flags: int = 0

    @property
    def usable(self) -> bool:
        """Tell whether new traffic may have it as its source."""
        return self.scope == 0 and not self.flags & (DEPRECATED | TENTATIVE | DADFAILED)

    def holds(self, address: str) -> bool:
        """Tell whether another address lies in its subnet."""
        network = ipaddress.ip_interface(f"{self.address}/{self.prefix}").network
        return ipaddress.ip_address(address) in network


class Hop(NamedTuple):
    """Hold one way of a route.

    :param gateway: empty for what is on the link itself.
    :param onlink: the gateway is taken to be on the link, in whatever subnet.
    """

    interface: str
    gateway: str = ""
    weight: int = 1
    onlink: bool = False


class Route(NamedTuple):
    """Hold a route.

    :param destination: network in CIDR form.
    :param source: address that local traffic has by it; empty: the kernel's choice.
    :param hops: ways; empty where a nexthop object or nothing is behind it.
    :param group: id of the nexthop object or group, or 0.
    :param link: IPv4 scope: True for what is on the link.
    """

    family: int
    table: int
    destination: str
    metric: int
    protocol: int
    kind: str = UNICAST
    source: str = ""
    hops: tuple[Hop, ...] = ()
    group: int = 0
    link: bool = False

    def text(self) -> str:
        """Return it as ``ip route`` would show it."""
        default = self.destination == ANYWHERE[self.family]
        words = [] if self.kind == UNICAST else [self.kind]
        words += ["default" if default else self.destination]
        if self.group:
            words += ["nhid", str(self.group)]
        for hop in self.hops:
            words += ["nexthop"] if len(self.hops) > 1 else []
            words += ["via", hop.gateway] if hop.gateway else []
            words += ["dev", hop.interface]
            words += ["weight", str(hop.weight)] if len(self.hops) > 1 else []
            words += ["onlink"] if hop.onlink else []
        words += ["src", self.source] if self.source else []
        words += ["table", str(self.table), "metric", str(self.metric)]
        return " ".join(words) + (" (IPv6)" if self.family == 6 else "")

    @property
    def place(self) -> tuple[int, int, str, int]:
        """Return what two routes cannot share: one replaces the other."""
        return self.family, self.table, self.destination, self.metric


class Rule(NamedTuple):
    """Hold a policy rule.

    :param source: network in CIDR form; empty: from everywhere.
    :param mask: bits of the packet's mark that are compared; 0: no mark.
    :param out: interface that a socket is bound to; empty: whatever.
    :param suppress: longest prefix of the table's answers that is ignored; -1: none.
    :param protocol: who set it; 0 also from kernels before 4.17, which do not tell.
    :param others: kinds of further selectors (``FRA_*``), which ours never have.
    """

    family: int
    priority: int
    table: int
    protocol: int
    source: str = ""
    mark: int = 0
    mask: int = 0
    out: str = ""
    suppress: int = -1
    others: tuple[int, ...] = ()

    def text(self) -> str:
        """Return it as ``ip rule`` would show it."""
        words = [f"{self.priority}:", "from", self.source or "all"]
        words += ["fwmark", f"{self.mark:#x}/{self.mask:#x}"] if self.mask else []
        words += ["oif", self.out] if self.out else []
        words += ["lookup", "main" if self.table == TABLE_MAIN else str(self.table)]
        words += ["suppress_prefixlength", str(self.suppress)] if self.suppress >= 0 else []
        return " ".join(words) + (" (IPv6)" if self.family == 6 else "")


class Nexthop(NamedTuple):
    """Hold a nexthop object: a way that groups refer to."""

    ident: int
    family: int
    protocol: int
    hop: Hop

    def text(self) -> str:
        """Return it as ``ip nexthop`` would show it."""
        onlink = " onlink" if self.hop.onlink else ""
        return f"nexthop {self.ident} via {self.hop.gateway} dev {self.hop.interface}{onlink}"


class Group(NamedTuple):
    """Hold a nexthop group.

    :param members: nexthop → weight.
    :param resilient: a change moves only the flows of members that went.
    """

    ident: int
    protocol: int
    members: tuple[tuple[int, int], ...]
    resilient: bool = False

    def text(self) -> str:
        """Return it as ``ip nexthop`` would show it."""
        return f"group {self.ident} of " + " and ".join(
            f"{ident} (weight {weight})" for ident, weight in self.members
        )


Item = Route | Rule | Nexthop | Group


class Kernel(NamedTuple):
    """Hold what a plan is made on.

    :param routes: those of our tables, whoever set them.
    :param nexthops: those with ids of ours, and `groups` likewise.
    :param objects: False where this kernel knows no nexthop objects (before 5.3).
    :param resilient: False where it knows no resilient groups (before 5.13).
    :param nat: chain and comment of each rule in our nftables table, in order; None: no table.
    """

    links: Mapping[str, Link] = {}
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    nexthops: tuple[Nexthop, ...] = ()
    groups: tuple[Group, ...] = ()
    objects: bool = True
    resilient: bool = True
    nat: tuple[tuple[str, str], ...] | None = None
