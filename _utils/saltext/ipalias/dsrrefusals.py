"""What the host has now that no real server can be made of: refused before anything is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .dsr import DsrConfig
from .errors import InputError
from .live import Snapshot


def refuse_interfaces(config: DsrConfig, snapshot: Snapshot, carrier: str) -> None:
    """Refuse receiving interfaces that the host does not have, or that carry the VIPs.

    :raises InputError: naming those it has.
    """
    known = [name for name in snapshot.by_link if name != carrier]
    for index, name in enumerate(config.interfaces):
        if name not in known:
            what = "carries the VIPs" if name == carrier else "is no interface of this host"
            raise InputError(
                f"{name} {what}",
                where=f"{config.where}:interfaces[{index}]",
                way_out=f"it has {', '.join(known[:20]) or 'none'}",
            )


def refuse_moving(
    config: DsrConfig, snapshot: Snapshot, listed: Mapping[str, Sequence[str]], carrier: str
) -> None:
    """Refuse another carrier than the one that has VIPs: there they would stay, forgotten.

    :param listed: VIPs by the interface that carries them; one that is gone, or has another
        name by now, carries none.
    :raises InputError: naming that interface.
    """
    for name, vips in listed.items():
        if name != carrier and name in snapshot.by_link:
            raise InputError(
                f"{', '.join(vips[:5])} is on {name}, not on {carrier}",
                where=f"{config.where}:loopback",
                way_out=f"`loopback: {name}`, or take the VIPs away first (`ipalias_dsr.absent`)",
            )


def refuse_gateways(config: DsrConfig, snapshot: Snapshot) -> None:
    """Refuse a VIP that routes lead to: on the loopback it would swallow all they carry.

    :raises InputError: naming the route's interface.
    """
    ways = {route.gateway: route for route in snapshot.routes if route.gateway}
    for vip in config.vips:
        way = ways.get(vip.address)
        if way is not None:
            raise InputError(
                f"{vip.address} is the gateway of {way.destination} by {way.interface}",
                where=vip.where,
                way_out="as an address of this host it would cut that route off",
            )


def refuse_primaries(config: DsrConfig, snapshot: Snapshot, carrier: str) -> None:
    """Refuse a VIP that is live on another interface, its primary address above all.

    :raises InputError: naming the interface.
    """
    elsewhere = {a.address: a.interface for a in snapshot.addresses if a.interface != carrier}
    for vip in config.vips:
        name = elsewhere.get(vip.address)
        if name is None:
            continue
        sources = {route.source for route in snapshot.defaults(vip.family)}
        first = next(
            (a.address for a in snapshot.on(name) if a.family == vip.family and a.scope != "link"),
            None,
        )
        own = vip.address in sources or vip.address == first
        what = f"the primary address of {name}" if own else f"already live on {name}"
        raise InputError(
            f"{vip.address} is {what}, where it is answered for",
            where=vip.where,
            way_out="a VIP is the balancer's address, and no real server has it on a network card",
        )
