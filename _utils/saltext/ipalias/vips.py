"""Which VIPs of direct server return a host has, and what must not be done while it has one."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import RefusedError
from .ledger import ORIGIN_DSR, Ledger
from .live import Snapshot, is_loopback


def held(ledger: Ledger) -> dict[str, list[str]]:
    """Return the VIPs that the ledger knows, by the interface that carries them."""
    found = {
        name: [entry.alias.address for entry in entries.values() if entry.origin == ORIGIN_DSR]
        for name, entries in ledger.interfaces.items()
    }
    return {name: addresses for name, addresses in found.items() if addresses}


def refuse_loud(ledger: Ledger, keys: Iterable[str], doing: str) -> None:
    """Refuse to give up settings that may keep the host silent, while it has a VIP.

    :param keys: the settings.
    :param doing: what was asked for.
    :raises RefusedError: naming a setting and a VIP.
    """
    vips = [vip for listed in held(ledger).values() for vip in listed]
    first = next(iter(keys), None)
    if vips and first is not None:
        raise RefusedError(
            f"{first} keeps this host from answering for {', '.join(vips[:5])}",
            where=doing,
            way_out="`ipalias_dsr.absent` takes the VIPs away first, then the settings",
        )


def forgotten(snapshot: Snapshot) -> list[str]:
    """Return the addresses of the loopback that may be VIPs, where no ledger says so."""
    return [
        address.address
        for address in snapshot.addresses
        if is_loopback(address.interface) and address.family == 4 and address.scope != "host"
    ]


def refuse_forgotten(snapshot: Snapshot, keys: Iterable[str], doing: str) -> None:
    """Refuse to give up what silences, where the ledger is lost and lo has addresses.

    They may be VIPs, and nobody knows any more.

    :raises RefusedError: naming a setting and an address.
    """
    first = next((key for key in keys if "arp_" in key), None)
    live = forgotten(snapshot)
    if live and first is not None:
        raise RefusedError(
            f"{first} may keep this host from answering for {', '.join(live[:5])}, which is on the "
            "loopback: the ledger is lost",
            where=doing,
            way_out=f"`ipalias_dsr.absent {live[0]}` takes away what is in our file",
        )


def refuse_vips_back(now: Ledger, then: Ledger, doing: str) -> None:
    """Refuse to bring VIPs back by undoing a change: nobody looks whether the host is silent.

    :raises RefusedError: naming a VIP.
    """
    there = {vip for listed in held(now).values() for vip in listed}
    back = [vip for listed in held(then).values() for vip in listed if vip not in there]
    if back:
        raise RefusedError(
            f"{', '.join(back[:5])} would come back, and nobody looks whether this host is silent",
            where=doing,
            way_out="`ipalias_dsr.managed` adds VIPs, the settings first",
        )
