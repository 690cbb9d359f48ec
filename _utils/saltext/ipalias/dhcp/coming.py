"""Addresses that this host gets by the aliases of the same pillar. Pure.

With ``test=True`` on a new host they are not there yet, and a run without it would find them:
the aliases come first.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InputError
from ..live import Snapshot
from ..model import Alias
from ..pillar import DEFAULT, parse_pillar
from .model import DhcpConfig, Member


def coming_aliases(data: object, root: str, snapshot: Snapshot) -> list[Alias]:
    """Return the IPv4 aliases of the pillar that are not live, on real interfaces.

    What the state of the aliases refuses, it says itself: no address comes of it.

    :param data: pillar block ``ipalias`` as Salt gives it.
    :param root: pillar path of that block.
    """
    faults: list[InputError] = []
    try:
        config = parse_pillar(data, root, snapshot.system, faults)
    except InputError:
        return []
    live = {address.address for address in snapshot.addresses}
    ways = [route.interface for route in snapshot.defaults(4)]
    found = []
    for block in config.interfaces.values():
        name = next(iter(ways), "") if block.name == DEFAULT else block.name
        if name in snapshot.by_link:
            listed = (a for a in block.aliases if a.family == 4 and a.address not in live)
            found += [Alias(a.address, a.prefix, name, where=a.where) for a in listed]
    return found


def note(coming: Iterable[Alias], config: DhcpConfig, me: Member) -> str:
    """Return what is to be said of aliases that are still to come, those that matter here."""
    wanted = [a for a in coming if a.address == me.address or a.interface in config.interfaces]
    listed = ", ".join(f"{alias.cidr} of {alias.interface} ({alias.where})" for alias in wanted[:5])
    return f"Not on this host yet: {listed}; it will be there once the aliases are applied"


def addresses_of(live: Snapshot, coming: Iterable[Alias] = ()) -> dict[str, list[str]]:
    """Return each interface's IPv4 addresses with prefix lengths, as the kernel has them.

    :param coming: aliases that count as live.
    """
    found = {
        link.name: [a.cidr for a in live.on(link.name) if a.family == 4] for link in live.links
    }
    for alias in coming:
        found[alias.interface].append(alias.cidr)
    return found
