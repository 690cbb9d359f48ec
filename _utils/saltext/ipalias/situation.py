"""What is known of one interface before anything is decided: kernel, files and ledger."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import ip_address, ip_network

from .backends import Backend
from .errors import InputError, RefusedError
from .ledger import ORIGIN_PILLAR, ORIGIN_UNKNOWN, Entry, Ledger
from .live import LiveAddress, Snapshot, is_loopback
from .model import MAX_PREFIX, Alias, Evidence, Found


@dataclass(frozen=True)
class Situation:
    """Hold everything a plan for one interface is computed from.

    :param found: every address that the owner's files set on the interface.
    """

    interface: str
    backend: Backend
    evidence: Evidence
    snapshot: Snapshot
    ledger: Ledger
    found: tuple[Found, ...] = ()
    root: str = "ipalias"

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Return what is ours by the ledger and by files that only we write.

        An alias in a file of ours that the ledger does not know has the origin
        ``unknown``: the ledger was lost, or a run was cut short before it was written.
        """
        entries = dict(self.ledger.on(self.interface))
        live = self.live
        for found in self.found:
            cidr = found.alias.cidr
            if found.ours and cidr not in entries:
                entries[cidr] = Entry(found.alias, ORIGIN_UNKNOWN, file=True, live=cidr in live)
        return entries

    @cached_property
    def live(self) -> dict[str, LiveAddress]:
        """Return the interface's live addresses by ``address/prefix``."""
        return {address.cidr: address for address in self.snapshot.on(self.interface)}

    @cached_property
    def in_our_files(self) -> frozenset[str]:
        """Return what our part of the files holds now."""
        ours = set()
        for found in self.found:
            cidr = found.alias.cidr
            if found.ours or (found.ours is None and self._ledger_file(cidr)):
                ours.add(cidr)
        return frozenset(ours)

    @cached_property
    def foreign_found(self) -> dict[str, Found]:
        """Return what others wrote into the files, by ``address/prefix``."""
        foreign: dict[str, Found] = {}
        for found in self.found:
            cidr = found.alias.cidr
            if found.ours is False or (found.ours is None and not self._ledger_file(cidr)):
                foreign.setdefault(cidr, found)
        return foreign

    @cached_property
    def other_found(self) -> dict[str, Found]:
        """Return what the files hold beside `foreign_found`, by ``address/prefix``."""
        foreign, others = self.foreign_found, dict[str, Found]()
        for found in self.found:
            if foreign.get(found.alias.cidr) is not found:
                others.setdefault(found.alias.cidr, found)
        return others

    def _ledger_file(self, cidr: str) -> bool:
        entry = self.ledger.on(self.interface).get(cidr)
        return entry is not None and entry.file

    @cached_property
    def primaries(self) -> dict[int, str]:
        """Return each family's primary address: never removed, never an alias."""
        return {
            family: primary for family in (4, 6) if (primary := self._primary(family)) is not None
        }

    def _primary(self, family: int) -> str | None:
        """Return the address that the interface speaks with in a family.

        The source of its default route, else the address whose network holds the gateway,
        else the first that is not ours; with nothing live, the first in foreign files. The
        loopback has none but the host's own: whatever else it carries is an alias.
        """
        if is_loopback(self.interface):
            return "127.0.0.1" if family == 4 else "::1"
        candidates = [
            address
            for address in self.snapshot.on(self.interface)
            if address.family == family
            and address.cidr not in self.entries
            and address.scope in ("global", "site")
            and not address.flags & {"secondary", "temporary", "deprecated"}
        ]
        listed = {address.address for address in candidates}
        for route in self.snapshot.defaults(family):
            if route.interface != self.interface:
                continue
            if route.source in listed:
                return route.source
            for address in candidates:
                if route.gateway and _holds(address.cidr, route.gateway):
                    return address.address
        if candidates:
            return candidates[0].address
        for found in self.foreign_found.values():
            if found.alias.family == family:
                return found.alias.address
        return None

    @cached_property
    def foreign_live(self) -> tuple[str, ...]:
        """Return live addresses that the owner did not set: a reload would drop them.

        Left out are ours, those of the files, link-local ones, and what a lease or a
        router advertisement brought.
        """
        return tuple(
            address.cidr
            for cidr, address in self.live.items()
            if cidr not in self.entries
            and cidr not in self.foreign_found
            and address.scope != "link"
            and not address.flags & {"dynamic", "mngtmpaddr", "temporary"}
            and not address.protocol.startswith("kernel_")
            and not (address.scope == "host" and is_loopback(self.interface))
        )

    def with_found(self, found: tuple[Found, ...]) -> Situation:
        """Return the same situation with other files."""
        return replace(self, found=found)


def _holds(cidr: str, address: str) -> bool:
    """Tell whether a network holds an address."""
    try:
        return ip_address(address) in ip_network(cidr, strict=False)
    except ValueError:
        return False


@dataclass(frozen=True)
class Target:
    """Hold what shall be: the entries of one interface after the change.

    :param adopt: foreign lines to take out, their aliases being among the entries.
    :param drop_live: foreign live addresses to remove (``purge: all``).
    :param present: aliases that a foreign line already configures; they count as there.
    :param asked: aliases named by the caller; checked against the host, unlike entries
        that merely stay.
    :param whole: True when the pillar speaks, which gives each address to one interface.
    """

    entries: tuple[Entry, ...]
    adopt: tuple[Found, ...] = ()
    drop_live: tuple[str, ...] = ()
    present: tuple[Alias, ...] = ()
    asked: tuple[Alias, ...] = ()
    notes: tuple[str, ...] = field(default=())
    whole: bool = False


def check_target(situation: Situation, target: Target) -> None:
    """Refuse aliases that cannot live on this host.

    :raises InputError: the primary, a network or broadcast address of a connected subnet,
        an address live on another interface, a label or option that the dialect cannot
        express, more addresses than it holds.
    """
    edges = _edges(situation)
    elsewhere = {
        address.address: address.interface
        for address in situation.snapshot.addresses
        if address.interface != situation.interface
        and not (target.whole and _is_leaving(situation.ledger, address))
    }
    primaries = set(situation.primaries.values())
    for alias in target.asked:
        _check_loopback(situation, alias)
        if alias.address in primaries:
            raise InputError(
                f"{situation.interface}: {alias.address} is the interface's own primary address",
                where=alias.where,
                way_out="list extra addresses only; the primary stays with its own configuration",
            )
        if alias.address in edges:
            raise InputError(
                f"{situation.interface}: {alias.address} is {edges[alias.address]}",
                where=alias.where,
                way_out="give an address that one host can have",
            )
        if alias.address in elsewhere:
            raise InputError(
                f"{situation.interface}: {alias.address} is already live on "
                f"{elsewhere[alias.address]}",
                where=alias.where,
                way_out="remove it there first",
            )
        _check_scope(situation, alias)
        check_dialect(situation, alias)
    _check_alone(situation, target)
    _check_count(situation, target)


def _is_leaving(ledger: Ledger, live: LiveAddress) -> bool:
    """Tell whether another interface holds an address only because the pillar gave it to it.

    The pillar lists an address once, so it has moved: the other interface's own change
    takes it away there.
    """
    entry = ledger.on(live.interface).get(live.cidr)
    return entry is not None and entry.origin == ORIGIN_PILLAR


def _edges(situation: Situation) -> dict[str, str]:
    """Return the network and broadcast addresses of connected IPv4 subnets."""
    edges: dict[str, str] = {}
    for address in situation.snapshot.addresses:
        if address.family != 4 or address.prefix > 30 or is_loopback(address.interface):
            continue
        if address.interface == situation.interface and address.cidr in situation.entries:
            continue
        network = ip_network(address.cidr, strict=False)
        edges[str(network.network_address)] = f"the network address of {network}"
        edges[str(network.broadcast_address)] = f"the broadcast address of {network}"
    return edges


def _check_loopback(situation: Situation, alias: Alias) -> None:
    """Refuse a loopback address on a network card."""
    own = alias.address.startswith("127.") or alias.address == "::1"
    if own and not is_loopback(situation.interface):
        raise InputError(
            f"{situation.interface}: {alias.address} is a loopback address",
            where=alias.where,
            way_out="loopback addresses belong on the loopback interface",
        )


def check_dialect(situation: Situation, alias: Alias) -> None:
    """Refuse a label or source policy that a dialect cannot express.

    :raises InputError: naming the option and the dialect's reason.
    """
    if alias.label is not None:
        if alias.family == 6:
            raise InputError(
                f"label {alias.label!r} on {alias.address}: IPv6 addresses have no label",
                where=alias.where,
                way_out="leave the label out",
            )
        if reason := unsupported(situation, "label"):
            raise InputError(
                f"label {alias.label!r} on {alias.address}: {reason}",
                where=alias.where,
                way_out="leave the label out",
            )
        check_label(situation, alias)
    if alias.family == 6 and (reason := unsupported(situation, "ipv6")):
        raise InputError(
            f"{situation.interface}: {alias.cidr}: {reason}",
            where=alias.where,
            way_out="leave it out, or name a backend that can",
        )
    if alias.never_source:
        keys = ["source6"] if alias.family == 6 else ["source4"]
        if alias.family == 4 and alias.prefix != MAX_PREFIX[4]:
            keys.append("wide_source4")
        for key in keys:
            if reason := unsupported(situation, key):
                raise InputError(
                    f"source: never on {alias.cidr}: {reason}",
                    where=alias.where,
                    way_out="leave `source` out, or name a backend that can",
                )


def _check_alone(situation: Situation, target: Target) -> None:
    """Refuse an alias that shall last and not be live, where the store cannot hold one.

    :raises RefusedError: with the dialect's reason.
    """
    reason = unsupported(situation, "file_alone")
    for entry in target.entries:
        if reason and entry.file and not entry.live:
            raise RefusedError(
                f"{situation.interface}: {entry.alias.cidr} shall not be live: {reason}",
                where=entry.alias.where,
                way_out="let it be live too (`live=True`)",
            )


def unsupported(situation: Situation, key: str) -> str:
    """Return why the dialect, as it is run on this host, cannot express an option."""
    return situation.evidence.facts.get(f"unsupported_{key}", "") or str(
        situation.backend.UNSUPPORTED.get(key, "")
    )


def _check_scope(situation: Situation, alias: Alias) -> None:
    """Refuse a hidden alias that shares its subnet with an address that is not hidden.

    The Linux kernel takes one scope for all addresses of a subnet ("ipv4: Invalid scope
    value").
    """
    if situation.snapshot.system != "linux":
        return
    if alias.family != 4 or not alias.never_source or alias.single:
        return
    for live in situation.snapshot.on(situation.interface):
        same = live.prefix == alias.prefix and _holds(live.cidr, alias.address)
        if same and live.family == 4 and live.scope != "host" and live.cidr != alias.cidr:
            raise InputError(
                f"source: never on {alias.cidr}: {live.cidr} has the same subnet, and the "
                "kernel keeps one scope a subnet",
                where=alias.where,
                way_out=f"write {alias.address}/32",
            )


def check_label(situation: Situation, alias: Alias) -> None:
    """Refuse a label whose live form the kernel would cut.

    :raises InputError: with the live form and its length.
    """
    live = situation.backend.live_label(alias, situation.evidence)
    if live is not None and len(live) > 15:
        raise InputError(
            f"label {alias.label!r} becomes {live!r} in the kernel: {len(live)} characters",
            where=alias.where,
            way_out="a live label has at most 15",
        )
    if ":" in (alias.label or "") and not (alias.label or "").startswith(f"{alias.interface}:"):
        raise InputError(
            f"label {alias.label!r} has a colon but does not start with `{alias.interface}:`",
            where=alias.where,
            way_out=f"write `{alias.interface}:NAME`, or a name without a colon",
        )


def _check_count(situation: Situation, target: Target) -> None:
    """Refuse more addresses than the owner can hold on one link."""
    limit = situation.backend.MAX_ADDRESSES
    if "max_addresses" in situation.evidence.facts:
        text = situation.evidence.facts["max_addresses"]
        limit = int(text) if text else None
    if limit is None:
        return
    count = sum(entry.file for entry in target.entries)
    foreign = len(set(situation.foreign_found) - {found.alias.cidr for found in target.adopt})
    if count + foreign > limit:
        raise InputError(
            f"{situation.interface}: {count} aliases and {foreign} other addresses; "
            f"{situation.backend.NAME} holds {limit} on a link",
            where=f"{situation.root}:interfaces:{situation.interface}:addresses",
            way_out=f"list at most {limit - foreign} aliases for this interface",
        )
