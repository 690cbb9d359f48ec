"""The difference between what is and what shall be: files, live addresses, ledger.

Pure: a plan is data that the transaction carries out and that ``test=True`` shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from .backends import load
from .difference import render_diff
from .errors import IpaliasError
from .host import Host
from .ledger import Entry
from .live import LiveAddress, is_loopback
from .model import Activation, Alias, Change, File, Wanted
from .situation import Situation, Target, check_dialect, check_target

#: What makes networkd read the files of all links at once.
RELOAD = ("networkctl", "reload")
#: Dialects whose interfaces a reload of networkd can reach.
RELOADED = ("networkd", "netplan")


@dataclass(frozen=True)
class Plan:
    """Hold everything one change of one interface does.

    :param files: files whose text differs from the disk.
    :param before: their text as it is now (None: absent).
    :param live_wanted: aliases that shall be live, with the label the kernel shall show.
    :param recreate: of these, the ones live with another label or scope.
    :param live_remove: live addresses to take away.
    :param entries: the interface's ledger entries afterwards.
    :param restart: what its owner is told: ``never``, ``alias``, ``interface``, ``network``.
    :param check_duplicates: ask the segment whether somebody has a new address.
    """

    situation: Situation
    change: Change
    files: tuple[File, ...]
    before: dict[str, str | None]
    live_wanted: tuple[tuple[Alias, str | None], ...]
    live_add: tuple[Alias, ...]
    recreate: tuple[str, ...]
    live_remove: tuple[LiveAddress, ...]
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    restart: str = "alias"
    check_duplicates: bool = True

    @property
    def interface(self) -> str:
        """Return the real interface name."""
        return self.situation.interface

    @property
    def touches_host(self) -> bool:
        """Tell whether a file or the kernel changes."""
        change = self.change
        stored = self.situation.backend.STORED and (change.added or change.removed)
        live = self.live_add or self.recreate or self.live_remove
        return bool(self.files or live or stored or change.to_dhcp)

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing changes, the ledger included."""
        old = self.situation.ledger.on(self.interface)
        return not self.touches_host and old == {e.alias.cidr: e for e in self.entries}


def activation_of(plan: Plan, change: Change, host: Host) -> Activation:
    """Return what makes the owner take a change, as far as the plan allows.

    An owner told to read its files would bring an alias live that shall not be
    (``live=False``); one that reads the files of every interface at once also acts on those
    of another interface of which it was not told, and why.
    """
    activation = plan.situation.backend.activate(change, host)
    if not plan.files:
        activation = replace(activation, derive=())
    if plan.restart != "alias":
        # Not told, or by a restart that reads everything anew: nothing is left to be noted.
        return replace(activation, tell=(), note="")
    if not (plan.files or plan.situation.backend.STORED):
        # Nothing was written: there is nothing for its owner to read, now or later.
        return replace(activation, tell=(), note="")
    if not activation.tell:
        return activation
    held = [entry.alias.cidr for entry in plan.entries if entry.file and not entry.live]
    lost: list[str] = []
    if any(command.argv == RELOAD for command in activation.tell):
        held, lost = _risks(plan, host, held)
    if not (held or lost):
        return activation
    said = [f"bring {', '.join(held[:5])} live"] if held else []
    said += [f"take {', '.join(lost[:5])} away"] if lost else []
    note = f"its owner was not told: that would {' and '.join(said)}; it reads the file at its"
    return replace(activation, tell=(), note=f"{note} next start")


def _risks(plan: Plan, host: Host, held: list[str]) -> tuple[list[str], list[str]]:
    """Return what a reload of all files would bring live, and take away, elsewhere too."""
    held, lost = list(held), []
    ledger = plan.situation.ledger
    for name, entries in ledger.interfaces.items():
        if name == plan.interface or name not in plan.situation.snapshot.by_link:
            continue
        if ledger.backends.get(name) not in RELOADED:
            continue
        backend = load(ledger.backends[name])
        try:
            evidence = backend.assume(host, name)
            found = tuple(backend.parse(host, evidence))
        except IpaliasError:
            continue
        other = Situation(name, backend, evidence, plan.situation.snapshot, ledger, found)
        lost += [f"{cidr} of {name}" for cidr in other.foreign_live]
        for cidr, entry in entries.items():
            if entry.file and not entry.live:
                held.append(f"{cidr} of {name}")
            elif entry.live and not entry.file:
                lost.append(f"{cidr} of {name}")
    return held, lost


def make_plan(
    situation: Situation,
    target: Target,
    host: Host,
    options: Mapping[str, object] | None = None,
    leave: Iterable[File] = (),
    restart: str = "alias",
) -> Plan:
    """Compute a plan.

    :param options: dialect options of the pillar, already checked.
    :param leave: files of a dialect that owned the interface before, as they shall be now.
    :raises IpaliasError: see `check_target` and the backend's `render`.
    """
    check_target(situation, target)
    entries = _numbered(situation, target.entries)
    wanted = _wanted(situation, target, entries, options or {})
    files, before = _changed([*situation.backend.render(wanted, host), *leave], host)
    label_of = situation.backend.live_label
    live_wanted = tuple(
        (entry.alias, label_of(entry.alias, situation.evidence)) for entry in entries if entry.live
    )
    live_wanted += _fallen(situation, target)
    missing = tuple(alias for alias, _ in live_wanted if alias.cidr not in situation.live)
    return Plan(
        situation,
        _change(situation, target, wanted, entries, files, live_wanted),
        files,
        before,
        live_wanted,
        missing,
        differing(situation, live_wanted, situation.live),
        _live_remove(situation, entries, target),
        entries,
        target.notes,
        restart,
    )


def _wanted(
    situation: Situation,
    target: Target,
    entries: tuple[Entry, ...],
    options: Mapping[str, object],
) -> Wanted:
    """Return what the owner's files shall hold of ours.

    :raises InputError: an alias that the dialect cannot number.
    """
    aliases = tuple(entry.alias for entry in entries if entry.file)
    for alias in aliases:
        if alias.number is not None:
            check_dialect(situation, alias)
    former = tuple(
        entry.alias
        for cidr, entry in situation.entries.items()
        if entry.file and cidr in situation.in_our_files
    )
    return Wanted(
        situation.interface,
        aliases,
        situation.evidence,
        former,
        target.adopt,
        _known(options, situation.backend.OPTIONS),
        tuple(entry.alias for entry in entries if not entry.file),
    )


def _change(
    situation: Situation,
    target: Target,
    wanted: Wanted,
    entries: tuple[Entry, ...],
    files: tuple[File, ...],
    live_wanted: tuple[tuple[Alias, str | None], ...],
) -> Change:
    """Return what changes, as the owner has to be told."""
    now_cidrs = {alias.cidr for alias in wanted.aliases}
    # As one set before the loops: a union in each turn made ten thousand aliases quadratic.
    not_new = {alias.cidr for alias in wanted.former}
    not_new |= {entry.alias.cidr for entry in entries if not entry.live}
    not_foreign = now_cidrs | set(target.drop_live)
    added = tuple(alias for alias in wanted.aliases if alias.cidr not in not_new)
    gone = tuple(alias for alias in wanted.former if alias.cidr not in now_cidrs)
    if situation.backend.STORED:
        added, gone = _stored(situation, wanted)
    return Change(
        situation.interface,
        situation.evidence,
        added,
        gone,
        files,
        (
            *(cidr for cidr in situation.foreign_live if cidr not in not_foreign),
            # Ours, but in no file: to the owner it is as foreign as any.
            *(entry.alias.cidr for entry in entries if not entry.file),
        ),
        frozenset(situation.live),
        wanted.options,
        frozenset(alias.cidr for alias, _ in live_wanted),
    )


def _known(
    options: Mapping[str, object], choices: Mapping[str, tuple[str, ...]]
) -> dict[str, object]:
    """Return options without a form of another dialect: a pillar may be that of many hosts."""
    known = {key: value for key, value in options.items() if key != "form"}
    if "form" in options and options["form"] in choices.get("form", ()):
        known["form"] = options["form"]
    return known


def _stored(situation: Situation, wanted: Wanted) -> tuple[tuple[Alias, ...], tuple[Alias, ...]]:
    """Return what a store shall hold and does not, and what it holds and shall not.

    What it holds already is neither, whoever put it there: on the way back it has to stay.
    """
    held = {found.alias.cidr: found.alias for found in situation.found}
    now = {alias.cidr: alias for alias in wanted.aliases}
    ours = [*wanted.former, *(found.alias for found in wanted.adopt)]
    added = tuple(alias for alias in wanted.aliases if not _is_held(alias, held))
    removed = tuple(
        held[cidr]
        for cidr in dict.fromkeys(alias.cidr for alias in ours)
        if cidr in held and not (cidr in now and _is_held(now[cidr], held))
    )
    return added, removed


def _is_held(alias: Alias, held: Mapping[str, Alias]) -> bool:
    there = held.get(alias.cidr)
    return there is not None and there.source == alias.source


def _fallen(situation: Situation, target: Target) -> tuple[tuple[Alias, str | None], ...]:
    """Return aliases of the pillar that a foreign line sets and that are not live."""
    lines = situation.foreign_found
    return tuple(
        (replace(lines[alias.cidr].alias, where=alias.where), lines[alias.cidr].alias.label)
        for alias in target.present
        if alias.cidr in lines and alias.cidr not in situation.live
    )


def _numbered(situation: Situation, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Give each alias that has none the next free slot, where the dialect numbers them.

    A slot once given stays, so that removing the middle one renames no other.
    """
    listed = tuple(entries)
    if not situation.backend.NUMBERED:
        return tuple(
            replace(entry, alias=entry.alias.numbered(None))
            if entry.alias.number is not None
            else entry
            for entry in listed
        )
    taken = {entry.alias.number for entry in listed if entry.alias.number is not None}
    # Numbers of files that nobody reads: their names are taken all the same.
    taken |= {int(number) for number in situation.evidence.facts.get("taken", "").split()}
    labels = [address.label for address in situation.live.values()]
    labels += [found.alias.label for found in situation.foreign_found.values()]
    for label in labels:
        name, _, tail = (label or "").rpartition(":")
        if name in (situation.interface, "") and tail.isascii() and tail.isdigit():
            taken.add(int(tail))
    free = 0
    numbered: list[Entry] = []
    for entry in listed:
        if entry.alias.number is None:
            while free in taken:
                free += 1
            taken.add(free)
            entry = Entry(entry.alias.numbered(free), entry.origin, entry.file, entry.live)
        numbered.append(entry)
    return tuple(numbered)


def _changed(files: Iterable[File], host: Host) -> tuple[tuple[File, ...], dict[str, str | None]]:
    """Return the files whose text differs from the disk, and the text there now."""
    changed: list[File] = []
    before: dict[str, str | None] = {}
    for file in files:
        text = host.read(file.path)
        if text != file.text:
            changed.append(file)
            before[file.path] = text
    return tuple(changed), before


def _live_remove(
    situation: Situation, entries: Iterable[Entry], target: Target
) -> tuple[LiveAddress, ...]:
    """Return the live addresses of ours, or to be purged, that shall go.

    An alias for the file alone is live after a boot, by its owner: it goes with its entry.
    """
    listed = list(entries)
    stay = {entry.alias.cidr for entry in listed if entry.live}
    stay |= {alias.cidr for alias in target.present}
    known = {entry.alias.cidr for entry in listed}
    going = dict.fromkeys(
        cidr
        for cidr, entry in situation.entries.items()
        if cidr not in stay and (entry.live or cidr not in known) and cidr in situation.live
    )
    going |= dict.fromkeys(cidr for cidr in target.drop_live if cidr in situation.live)
    return tuple(situation.live[cidr] for cidr in going)


def differing(
    situation: Situation,
    live_wanted: Iterable[tuple[Alias, str | None]],
    now: Mapping[str, LiveAddress],
) -> tuple[str, ...]:
    """Return live aliases that must be deleted and added again to be as asked.

    The kernel cannot change a label or a scope in place, so this is done only where the
    user asked for the attribute, or took it back.

    :param now: what is live, by ``address/prefix``.
    """
    recreate: list[str] = []
    for alias, label in live_wanted:
        live = now.get(alias.cidr)
        if live is None:
            continue
        before = situation.entries.get(alias.cidr)
        changed_mind = before is not None and before.alias.label != alias.label
        asked = (alias.label is not None or changed_mind) and alias.family == 4
        named = (label or alias.interface) == (live.label or alias.interface)
        if (asked and not named) or source_differs(alias, live, before):
            recreate.append(alias.cidr)
    return tuple(recreate)


def source_differs(alias: Alias, live: LiveAddress, before: Entry | None) -> bool:
    """Tell whether a live address does not have the source policy asked for."""
    hidden = live.preferred_zero if alias.family == 6 else live.scope == "host"
    if alias.never_source:
        return not hidden
    took_back = before is not None and before.alias.never_source
    return took_back and hidden and not is_loopback(alias.interface)


def describe(plan: Plan) -> dict[str, dict[str, object]]:
    """Return the changes of a plan as plain data, whole."""
    changes: dict[str, dict[str, object]] = {}
    if plan.situation.backend.STORED and (plan.change.added or plan.change.removed):
        changes["stored"] = {
            "added": [alias.cidr for alias in plan.change.added],
            "removed": [alias.cidr for alias in plan.change.removed],
        }
    if plan.change.to_dhcp:
        changes["dhcp"] = {plan.interface: "gives the IPv4 address again"}
    if plan.files:
        changes["files"] = {
            file.path: render_diff(file.path, plan.before[file.path], file.text)
            for file in plan.files
        }
    added = [alias.cidr for alias in plan.live_add]
    removed = [address.cidr for address in plan.live_remove]
    if added or removed or plan.recreate:
        changes["addresses"] = {"added": added, "removed": removed}
        if plan.recreate:
            changes["addresses"]["recreated"] = list(plan.recreate)
    return changes
