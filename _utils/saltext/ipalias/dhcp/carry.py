"""Bring dhcpd's leases along where Kea takes its place.

A server that knows nothing of what clients hold gives some of it out again. So what dhcpd has
written until its end becomes Kea's lease file, before Kea is started for the first time: active
leases in the block's subnets. Columns as Kea 2.2 has them (Kea ARM, "Memfile - Basic Storage for
Leases"); later releases add theirs when they read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from ..effects import Effects, FileState
from ..files import put_files
from ..host import Host
from ..model import File
from . import iscleases, kealeases
from .isc import LEASES as ISC_LEASES
from .kea import LEASES as KEA_LEASES
from .kea import subnet_id
from .model import ACTIVE, MEMFILE, DhcpConfig, Lease

COLUMNS = (
    "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,"
    "user_context"
)
#: Lifetime of a lease without an end.
_FOREVER = 0xFFFFFFFF


def has_leases(host: Host, now: float) -> bool:
    """Tell whether Kea has leases of its own that clients hold: those count, and not dhcpd's."""
    file = kealeases.parse_files(kealeases.read_texts(KEA_LEASES, host.read), KEA_LEASES)
    return any(_holds(lease, now) for lease in file.last().values())


def held(host: Host, config: DhcpConfig, now: float) -> list[Lease]:
    """Return dhcpd's leases that clients hold, in subnets of the block.

    :param now: seconds since 1970.
    """
    file = iscleases.parse_file(host.read(ISC_LEASES) or "", ISC_LEASES)
    return [
        lease
        for lease in file.last().values()
        if _holds(lease, now) and (lease.mac or lease.client) and _network(config, lease.address)
    ]


def _holds(lease: Lease, now: float) -> bool:
    return lease.state == ACTIVE and (lease.ends is None or lease.ends > now)


def _network(config: DhcpConfig, address: str) -> str:
    """Return the network of the block that an address is in; empty: none."""
    found = (
        subnet.network
        for subnet in config.subnets
        if IPv4Address(address) in IPv4Network(subnet.network)
    )
    return next(found, "")


def render_leases(leases: Iterable[Lease], config: DhcpConfig) -> str:
    """Return leases as Kea's memfile has them.

    The name that a client gave is left out: Kea would take it for one that it has checked.
    """
    rows = [COLUMNS]
    for lease in leases:
        starts = int(lease.starts or 0)
        lasts = _FOREVER if lease.ends is None else max(1, int(lease.ends) - starts)
        client = ":".join(lease.client[at : at + 2] for at in range(0, len(lease.client), 2))
        number = subnet_id(_network(config, lease.address))
        cells = (lease.address, lease.mac, client, lasts, starts + lasts, number, 0, 0, "", 0, "")
        rows.append(",".join(map(str, cells)))
    return "\n".join(rows) + "\n"


class Carry(NamedTuple):
    """Hold that leases are to come along.

    :param now: seconds since 1970.
    :param owner: mode and owner of Kea's file.
    """

    config: DhcpConfig
    now: float
    owner: FileState


def carried(carry: Carry, host: Host) -> Effects[None]:
    """Write Kea's lease file; dhcpd has ended, Kea has not begun."""
    leases = held(host, carry.config, carry.now)
    if leases:
        text = render_leases(leases, carry.config)
        file = File(KEA_LEASES, text, carry.owner.mode, owned=False)
        yield from put_files((file,), {KEA_LEASES: carry.owner})


def plan_carry(
    host: Host, config: DhcpConfig, now: float, owner: FileState
) -> tuple[Carry | None, str]:
    """Return what is to come along when dhcpd goes and Kea comes, and a sentence about it."""
    if config.pair.kea.leases.kind != MEMFILE:
        return None, "dhcpd's leases are not brought into the database: clients renew theirs"
    if has_leases(host, now):
        return None, f"Kea has leases of its own in {KEA_LEASES}: dhcpd's are left where they are"
    count = len(held(host, config, now))
    return Carry(config, now, owner), f"{count} leases of dhcpd's come along"
