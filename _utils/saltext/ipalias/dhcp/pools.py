"""How many leases of each pool are in which state, and how they are shared between two sides."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ..host import Host
from . import kea, keactl
from .leasestates import parse_states
from .model import ISC, DhcpConfig, Lease, Subnet

LEASES: Final = "/var/lib/dhcp/dhcpd.leases"
#: Seconds that this host's own server has for its answer.
SERVER: Final = 1.0


class Pool(NamedTuple):
    """Hold the leases of one subnet.

    :param total: addresses in its ranges.
    :param free: of them, those that the primary may give out (ISC), or that are free (Kea).
    :param backup: those that the secondary may give out; None: Kea has no such share.
    :param other: expired, released or abandoned: free, but not yet for everybody.
    """

    network: str
    total: int
    free: int
    backup: int | None
    active: int
    other: int

    @property
    def used(self) -> float:
        """Return the share that is in use."""
        return self.active / self.total if self.total else 0.0

    @property
    def balance(self) -> float | None:
        """Return by which share of what is free the two sides differ; None: there are no shares."""
        if self.backup is None or not self.free + self.backup:
            return None
        return abs(self.free - self.backup) / (self.free + self.backup)


def read_pools(host: Host, config: DhcpConfig, leases: str = LEASES) -> tuple[Pool, ...]:
    """Return the leases of each subnet: from dhcpd's file, or as Kea counts them.

    :raises IpaliasError: they cannot be read.
    """
    if config.implementation == ISC:
        return count_leases(parse_states(host.read(leases) or ""), config.subnets)
    path = config.pair.kea.control_socket
    rows = keactl.parse_statistics(keactl.ask(path, "statistic-get-all", SERVER), path)
    return count_statistics(rows, config.subnets)


def count_leases(leases: Iterable[Lease], subnets: Sequence[Subnet]) -> tuple[Pool, ...]:
    """Return how many addresses of each subnet's ranges are in which state.

    An address that dhcpd's file does not name was never given away and is the primary's.
    """
    counted: dict[int, dict[str, int]] = {index: {} for index in range(len(subnets))}
    spans = [
        (int(ipaddress.IPv4Address(one.first)), int(ipaddress.IPv4Address(one.last)), index)
        for index, subnet in enumerate(subnets)
        for one in subnet.ranges
    ]
    for lease in leases:
        number = int(ipaddress.IPv4Address(lease.address))
        for first, last, index in spans:
            if first <= number <= last:
                states = counted[index]
                states[lease.state] = states.get(lease.state, 0) + 1
                break
    return tuple(
        _pool(subnet, _size(subnet), counted[index]) for index, subnet in enumerate(subnets)
    )


def _pool(subnet: Subnet, total: int, states: Mapping[str, int]) -> Pool:
    active, backup = states.get("active", 0), states.get("backup", 0)
    other = sum(
        count for state, count in states.items() if state not in ("active", "backup", "free")
    )
    return Pool(subnet.network, total, total - active - backup - other, backup, active, other)


def count_statistics(
    rows: Iterable[keactl.SubnetLeases], subnets: Sequence[Subnet]
) -> tuple[Pool, ...]:
    """Return what Kea counts of each subnet."""
    by_number = {row.subnet: row for row in rows}
    found = []
    for subnet in subnets:
        row = by_number.get(kea.subnet_id(subnet.network))
        if row is not None:
            free = row.total - row.assigned
            # Kea counts a declined address among the assigned ones.
            active = row.assigned - row.declined
            found.append(Pool(subnet.network, row.total, free, None, active, row.declined))
    return tuple(found)


def _size(subnet: Subnet) -> int:
    return sum(
        int(ipaddress.IPv4Address(one.last)) - int(ipaddress.IPv4Address(one.first)) + 1
        for one in subnet.ranges
    )
