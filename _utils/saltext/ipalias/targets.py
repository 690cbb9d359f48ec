"""From what was asked to what shall be: one function a verb, all pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from .errors import InputError, RefusedError
from .ledger import (
    ORIGIN_ADOPTED,
    ORIGIN_DSR,
    ORIGIN_HAND,
    ORIGIN_PILLAR,
    ORIGIN_UNKNOWN,
    Entry,
)
from .model import SOURCE_AUTO, SOURCE_NEVER, Alias, Found
from .situation import Situation, Target, unsupported


def managed_target(
    situation: Situation, desired: Sequence[Alias], *, purge: str = "owned", adopt: bool = False
) -> Target:
    """Return the target of a highstate: the interface's whole list from the pillar.

    :param purge: ``owned`` removes what came from the pillar and left it, ``none``
        nothing, ``all`` every address but the primary.
    :param adopt: move aliases that a foreign line configures into our files.
    :raises InputError: a foreign line sets the same address with another prefix; a VIP of ours.
    """
    old = situation.entries
    _refuse_vips(situation, desired)
    entries: list[Entry] = []
    adopted: list[Found] = []
    present: list[Alias] = []
    primaries = set(situation.primaries.values())
    by_address = {found.alias.address: found for found in situation.foreign_found.values()}
    for alias in desired:
        foreign = by_address.get(alias.address)
        if foreign is None or alias.address in primaries:
            entries.append(_claimed(old.get(alias.cidr), alias))
            continue
        if foreign.alias.prefix != alias.prefix:
            raise InputError(
                f"{alias.cidr} is configured as {foreign.alias.cidr} by {foreign.where}",
                where=alias.where,
                way_out=f"write {foreign.alias.cidr} here, or take that line out",
            )
        if adopt:
            adopted.append(foreign)
            entries.append(_adopted(situation, alias, foreign))
        else:
            _refuse_visible(alias, foreign)
            present.append(alias)
    wanted = {entry.alias.cidr for entry in entries}
    # A foreign line took over an alias that was ours: what we wrote goes, the address stays.
    kept_live = {alias.cidr for alias in present}
    named = {alias.address for alias in desired}
    for cidr, entry in old.items():
        # The same address with another prefix, added by hand, gives way to the pillar's.
        if cidr in wanted or cidr in kept_live or entry.alias.address in named:
            continue
        leaves = entry.origin == ORIGIN_PILLAR and purge == "owned"
        if entry.origin == ORIGIN_DSR or (not leaves and purge != "all"):
            entries.append(entry)
            kept_live.add(cidr)
    drop: tuple[str, ...] = ()
    if purge == "all":
        keep = wanted | kept_live
        drop = tuple(
            cidr
            for cidr in situation.foreign_live
            if cidr not in keep and cidr.rsplit("/", 1)[0] not in primaries
        )
        for cidr, found in situation.foreign_found.items():
            if cidr not in keep and found.alias.address not in primaries:
                adopted.append(found)
                drop = (*drop, cidr)
    return Target(tuple(entries), tuple(adopted), drop, tuple(present), tuple(desired), whole=True)


def _refuse_vips(situation: Situation, desired: Sequence[Alias]) -> None:
    """Refuse an alias that is a VIP still: what takes the VIP away would take the alias.

    :raises InputError: naming it.
    """
    vips = {e.alias.address for e in situation.entries.values() if e.origin == ORIGIN_DSR}
    for alias in desired:
        if alias.address in vips:
            raise InputError(
                f"{alias.address} is a VIP of direct server return on {situation.interface}",
                where=alias.where,
                way_out=f"`ipalias_dsr.absent {alias.address}` first, then list it as an alias",
            )


def _refuse_visible(alias: Alias, foreign: Found) -> None:
    """Refuse to count an address as present that a foreign line lets be a source.

    :raises InputError: `source: never` is a promise about the result.
    """
    if alias.never_source and not foreign.alias.never_source:
        raise InputError(
            f"source: never on {alias.cidr}: {foreign.where} sets it without",
            where=alias.where,
            way_out="set `adopt: true` to move it into our file, or change that line",
        )


def _adopted(situation: Situation, alias: Alias, foreign: Found) -> Entry:
    """Return the entry of an alias that moves from a foreign line into our files.

    It keeps the line's label where the pillar gives none; ``eth0:3`` is a slot where the
    dialect numbers aliases.
    """
    before = situation.entries.get(alias.cidr)
    number = before.alias.number if before is not None else None
    label = alias.label
    if label is None and foreign.alias.label is not None:
        name, _, tail = foreign.alias.label.rpartition(":")
        slot = tail.isascii() and tail.isdigit() and str(int(tail)) == tail
        if situation.backend.NUMBERED and name == alias.interface and slot:
            number = int(tail)
        else:
            label = foreign.alias.label
    return Entry(replace(alias, label=label, number=number), ORIGIN_ADOPTED)


def _claimed(before: Entry | None, alias: Alias) -> Entry:
    """Return the entry of an alias that the pillar names.

    One added by hand, or found after a loss of the ledger, is the pillar's from now on.
    """
    if before is None:
        return Entry(alias, ORIGIN_PILLAR)
    origin = before.origin
    if origin == ORIGIN_ADOPTED and alias.label is None:
        alias = replace(alias, label=before.alias.label)
    if origin in (ORIGIN_HAND, ORIGIN_UNKNOWN):
        origin = ORIGIN_PILLAR
    return Entry(alias.numbered(before.alias.number), origin)


def vips_target(situation: Situation, vips: Sequence[Alias], *, adopt: bool = False) -> Target:
    """Return the target of DSR: these VIPs on the loopback, and whatever else is there.

    On Windows it is no source either (``SkipAsSource``): such an address is not registered in
    DNS, and a program that names no source never gets it.

    An IPv4 VIP gets the next free label ``lo:N`` where the dialect has labels, counted from 1
    as in the guides; it keeps the one it has.

    :param adopt: move VIPs that a foreign line configures into our files.
    :raises InputError: an alias of ours has the address, or a foreign line another prefix.
    """
    old = situation.entries
    entries = {cidr: entry for cidr, entry in old.items() if entry.origin != ORIGIN_DSR}
    foreign = {found.alias.address: found for found in situation.foreign_found.values()}
    adopted: list[Found] = []
    present: list[Alias] = []
    notes: list[str] = []
    labelled = _vip_labels(situation, vips)
    source = SOURCE_NEVER if situation.snapshot.system == "windows" else SOURCE_AUTO
    for vip in vips:
        before, line = old.get(vip.cidr), foreign.get(vip.address)
        origin = before.origin if before is not None else ORIGIN_DSR
        if origin not in (ORIGIN_DSR, ORIGIN_UNKNOWN, ORIGIN_HAND):
            raise InputError(
                f"{vip.address} is an alias of {situation.interface} already ({origin})",
                where=vip.where,
                way_out="leave it out of `interfaces`, then list it under `dsr`",
            )
        if line is not None and line.alias.prefix != vip.prefix:
            raise InputError(
                f"{vip.cidr} is configured as {line.alias.cidr} by {line.where}",
                where=vip.where,
                way_out="take that line out",
            )
        if line is not None and not adopt:
            notes.append(f"{vip.address} is set by {line.where}, which is not ours; it stays so")
            present.append(vip)
            continue
        if line is not None:
            adopted.append(line)
        number = before.alias.number if before is not None else None
        label = labelled.get(vip.address)
        alias = replace(vip, label=label, number=number, source=source)
        entries[vip.cidr] = Entry(alias, ORIGIN_DSR)
    asked = {vip.address for vip in vips}
    for entry in old.values():
        line = foreign.get(entry.alias.address)
        if entry.origin != ORIGIN_DSR or line is None or entry.alias.address in asked:
            continue
        # It would be back as soon as its owner reads that line: so it stays, and so does silence.
        notes.append(f"{line.alias.address} is set by {line.where}, which is not ours; it stays so")
        present += [line.alias] if line.alias.cidr in situation.live else []
    return Target(
        tuple(entries.values()),
        tuple(adopted),
        present=tuple(present),
        asked=tuple(vips),
        notes=tuple(notes),
    )


def _vip_labels(situation: Situation, vips: Sequence[Alias]) -> dict[str, str]:
    """Return the labels of the IPv4 VIPs by address; none where the dialect has none."""
    if situation.snapshot.system != "linux" or unsupported(situation, "label"):
        return {}
    labels = {
        entry.alias.address: entry.alias.label
        for entry in situation.entries.values()
        if entry.alias.label is not None
    }
    taken = set(labels.values())
    taken |= {live.label for live in situation.live.values() if live.label is not None}
    taken |= {f.alias.label for f in situation.foreign_found.values() if f.alias.label is not None}
    given: dict[str, str] = {}
    free = 1
    for vip in vips:
        if vip.family != 4:
            continue
        label = labels.get(vip.address)
        live = situation.live.get(vip.cidr)
        if label is None and live is not None and (live.label or "").startswith("lo:"):
            # Somebody set it by hand as the guides do: it need not be taken away and back.
            label = live.label
        while label is None:
            if f"{situation.interface}:{free}" not in taken:
                label = f"{situation.interface}:{free}"
                taken.add(label)
            free += 1
        given[vip.address] = label
    return given


def added_target(
    situation: Situation,
    aliases: Sequence[Alias],
    *,
    persist: bool = True,
    live: bool = True,
    origin: str = ORIGIN_HAND,
) -> Target:
    """Return the target of ``ipalias.add``: what is there, and these.

    :raises RefusedError: an alias stands in a foreign line already.
    """
    old = situation.entries
    entries = dict(old)
    by_address = {found.alias.address: found for found in situation.foreign_found.values()}
    taken = {entry.alias.address: cidr for cidr, entry in old.items()}
    for alias in aliases:
        if taken.get(alias.address, alias.cidr) != alias.cidr:
            raise InputError(
                f"{alias.cidr} is there as {taken[alias.address]}",
                where=alias.where,
                way_out=f"remove {taken[alias.address]} first",
            )
        foreign = by_address.get(alias.address)
        if foreign is not None and alias.address not in situation.primaries.values():
            raise RefusedError(
                f"{foreign.alias.cidr} is already configured by {foreign.where}",
                where=alias.where,
                way_out="nothing is to be done, or set `adopt: true` to move it into our file",
            )
        before = old.get(alias.cidr)
        if before is None:
            entries[alias.cidr] = Entry(alias, origin, file=persist, live=live)
        else:
            entries[alias.cidr] = Entry(
                replace(alias, number=before.alias.number),
                before.origin,
                file=persist or before.file,
                live=live or before.live,
            )
    return Target(tuple(entries.values()), asked=tuple(aliases))


def removed_target(
    situation: Situation,
    addresses: Iterable[tuple[str, int | None]],
    forced: Collection[str] = (),
) -> Target:
    """Return the target of ``ipalias.remove``: what is there, less these.

    :param addresses: address and prefix; without a prefix, whatever prefix it has.
    :param forced: addresses that the caller named once more.
    :raises RefusedError: an address that is not ours, named with its owner; a VIP.
    """
    entries = dict(situation.entries)
    # By address, once: thousands are removed in one go.
    ours: dict[str, list[str]] = {}
    for cidr, entry in entries.items():
        ours.setdefault(entry.alias.address, []).append(cidr)
    foreign = _Foreign(situation)
    notes: list[str] = []
    for address, prefix in addresses:
        held = ours.get(address, [])
        matching = [cidr for cidr in held if prefix in (None, entries[cidr].alias.prefix)]
        for cidr in matching:
            if entries[cidr].origin == ORIGIN_DSR and address not in forced:
                raise RefusedError(
                    f"{address} is a VIP of direct server return",
                    where=situation.interface,
                    way_out=f"`ipalias_dsr.absent {address}` takes it away, and with the last one "
                    f"the settings; `ipalias.remove {address} force={address}` the address alone",
                )
            del entries[cidr]
            held.remove(cidr)
        if not matching:
            if held:
                raise InputError(
                    f"{address}/{prefix} is not there, {held[0]} is",
                    where="address",
                    way_out=f"name {address} without a prefix, or {held[0]}",
                )
            foreign.refuse(address)
            notes.append(f"{address} is not on {situation.interface}")
    return Target(tuple(entries.values()), notes=tuple(notes))


class _Foreign:
    """Refuse to remove what is not ours."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.found = {f.alias.address: f for f in reversed(situation.foreign_found.values())}
        live = reversed(situation.snapshot.on(situation.interface))
        self.live = {address.address: address for address in live}

    def refuse(self, address: str) -> None:
        """Refuse an address that somebody else set.

        :raises RefusedError: naming who.
        """
        interface = self.situation.interface
        if address in self.situation.primaries.values():
            raise RefusedError(
                f"{address} is the primary address of {interface}",
                way_out="aliases can be removed, the primary cannot",
            )
        if address in self.found:
            raise RefusedError(
                f"{address} is not ours: {self.found[address].where} sets it",
                way_out="take that line out by hand, or set `adopt: true` first",
            )
        if address in self.live:
            raise RefusedError(
                f"{address} on {interface} is not ours: it was added by someone else",
                way_out=f"`ip address del {self.live[address].cidr} dev {interface}` by hand",
            )


def clean_target(situation: Situation) -> Target:
    """Return the target of ``ipalias.clean``: nothing of ours is left but VIPs.

    A VIP goes with the settings that keep the host silent, and `dsrsteps` knows their order.
    """
    vips = {cidr: e for cidr, e in situation.entries.items() if e.origin == ORIGIN_DSR}
    listed = ", ".join(entry.alias.address for entry in list(vips.values())[:5])
    note = f"VIPs stay on {situation.interface} ({listed}); `ipalias_dsr.absent` takes them away"
    return Target(tuple(vips.values()), notes=(note,) if vips else ())


def pruned_target(situation: Situation, *, purge: str = "owned") -> Target:
    """Return the target of an interface that left the pillar altogether."""
    return managed_target(situation, (), purge="none" if purge == "none" else "owned")
