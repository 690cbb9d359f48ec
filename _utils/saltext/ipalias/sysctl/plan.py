"""What settings shall be, against what the files say, the kernel has and the ledger knows. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..errors import RefusedError
from ..host import Host, Overlay
from ..model import File
from . import Held, Lasting, Store, differs, same_value, service
from .ledger import Entries, Entry

#: Found in our own file, and in no ledger.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Plan:
    """Hold a change of settings.

    :param now: what the system has of every key concerned, those written along included.
    :param values: what is to be brought about, in order.
    :param files: files that differ from the disk; `texts`: what they are now.
    :param lasting: what sets each key at boot now, for those that shall be.
    :param starts: True where the listener is to run by new files, or does not run and should.
    :param stops: True where it is to go.
    """

    before: Entries
    after: Entries
    now: Mapping[str, Held]
    values: Mapping[str, Held]
    files: tuple[File, ...] = ()
    texts: Mapping[str, str | None] = field(default_factory=dict)
    lasting: Mapping[str, Lasting] = field(default_factory=dict)
    starts: bool = False
    stops: bool = False
    notes: tuple[str, ...] = ()

    @property
    def touches_host(self) -> bool:
        """Tell whether a file, the kernel or the listener changes."""
        return bool(self.values or self.files or self.starts or self.stops)


def wanted_too(
    entries: Entries, wanted: Mapping[str, tuple[str, str]], who: str
) -> dict[str, Entry]:
    """Return the ledger in which one more wants some settings.

    :param wanted: key → value and where it was asked for.
    :raises RefusedError: another wants another value.
    """
    after = dict(entries)
    for key, (value, where) in wanted.items():
        known = after.get(key)
        others = tuple(name for name in known.wanted_by if name != UNKNOWN) if known else ()
        if known is None:
            after[key] = Entry(value, (who,))
            continue
        if others not in ((), (who,)) and not same_value(known.value, value):
            told = " and ".join(name for name in others if name != who)
            raise RefusedError(
                f"{key} shall be {value} for {who}, and is kept at {known.value} for {told}",
                where=where,
                way_out="change one of the two; `ipalias_sysctl.effective` shows who wants what",
            )
        after[key] = replace(known, value=value, wanted_by=tuple(dict.fromkeys((*others, who))))
    return after


def given_up(entries: Entries, keys: Collection[str], who: str) -> dict[str, Entry]:
    """Return the ledger in which one wants some settings no longer."""
    after: dict[str, Entry] = {}
    for key, entry in entries.items():
        left = entry.wanted_by
        if key in keys:
            left = tuple(name for name in left if name not in (who, UNKNOWN))
        if left:
            after[key] = replace(entry, wanted_by=left)
    return after


def make_plan(
    host: Host,
    store: Store,
    before: Entries,
    after: Entries,
    asked: Mapping[str, str],
    listener: tuple[str, Iterable[File]],
) -> Plan:
    """Compute a plan.

    :param after: the ledger as it shall be; what was there before is filled in here.
    :param asked: keys that the request names, with where: no file may set them otherwise.
    :param listener: what starts services, and the files of the listener as they shall be.
    :raises RefusedError: a file that is read after ours sets another value.
    """
    after = {key: _with_found(host, store, key, entry, before) for key, entry in after.items()}
    gone = [key for key in before if key not in after]
    started_by, units = listener
    # A boot writes them in this order: what is written along by another keeps its own value.
    lines = {key: after[key].value for key in _first_what_spreads(host, store, after)}
    ours, texts = _changed(host, store.render(host, lines))
    if after and not before:
        _refuse_foreign(ours, texts)
    units, unit_texts = _changed(host, units)
    planned = Overlay(host, {file.path: file.text for file in ours})
    then = store.read_lasting(planned, [*asked, *gone])
    if not store.STORED:
        for key, where in asked.items():
            if key in after:
                _refuse_overruled(key, after[key].value, then[key], where)
    targets = targets_of(store, after) | _restored(planned, store, before, gone, then, after)
    now, values = _to_change(host, store, targets, asked)
    starts, stops = _moves(host, store, after, started_by, anew=bool(units))
    return Plan(
        before,
        after,
        now,
        values,
        (*ours, *units),
        {**texts, **unit_texts},
        store.read_lasting(host, after),
        starts,
        stops,
        tuple(_notes(planned, store, after, now, asked, started_by)),
    )


def targets_of(store: Store, entries: Entries) -> dict[str, Held]:
    """Return what the system shall have of each setting that is ours."""
    return {
        key: Held(entry.value, entry.value if store.STORED else None)
        for key, entry in entries.items()
    }


def _to_change(
    host: Host, store: Store, targets: Mapping[str, Held], asked: Collection[str]
) -> tuple[dict[str, Held], dict[str, Held]]:
    """Return what the system has of each key concerned, and what is to be changed, in order.

    What the kernel writes along with another is changed too, though it be right before.
    """
    now = store.read_values(host, targets)
    values = {
        key: target
        for key, target in targets.items()
        if differs(now[key], target, stored=store.STORED)
        # What belongs to an interface that is gone is brought about by nobody's request.
        and (now[key] != Held(None) or key in asked)
    }
    along = [other for key in values for other in store.spread(host, key)]
    values |= {other: targets[other] for other in along if other in targets}
    ordered = _first_what_spreads(host, store, values)
    now |= store.read_values(host, [other for other in along if other not in now])
    return now, {key: values[key] for key in ordered}


def _first_what_spreads(host: Host, store: Store, keys: Iterable[str]) -> list[str]:
    """Return keys, those first with which the kernel writes others along."""
    return sorted(keys, key=lambda key: not store.spread(host, key))


def _moves(
    host: Host, store: Store, after: Entries, started_by: str, *, anew: bool
) -> tuple[bool, bool]:
    """Tell whether the listener is to be started, and whether it is to go.

    :param anew: True where its files change.
    """
    if any(store.interface_of(key) is not None for key in after):
        return bool(started_by) and (anew or not service.is_running(host, started_by)), False
    return False, any(map(host.exists, service.files_of(started_by)))


def _with_found(host: Host, store: Store, key: str, entry: Entry, before: Entries) -> Entry:
    """Return an entry with what the system had before it became ours."""
    if key in before:
        return entry
    others = store.read_values(host, store.spread(host, key))
    beside = {other: held.live for other, held in others.items() if held.live is not None}
    return replace(entry, found=store.read_values(host, [key])[key], beside=beside)


def _restored(
    host: Host,
    store: Store,
    before: Entries,
    gone: Iterable[str],
    then: Mapping[str, Lasting],
    after: Entries,
) -> dict[str, Held]:
    """Return what settings that nobody wants any more become.

    What other files say, for a boot makes it so; else what was found; else, for an interface
    that came later, what a new one gets. What somebody else has set since is left. A store
    still has what we have put there.
    """
    if store.STORED:
        then = {}
    targets: dict[str, Held] = {}
    for key in gone:
        entry = before[key]
        now = store.read_values(host, [key])[key]
        said = then[key].value if key in then else None
        live = said or entry.found.live or store.fallback(host, key)
        stored = entry.found.stored
        if not same_value(now.live, entry.value):
            live = None
        if not same_value(now.stored, entry.value):
            stored = now.stored
        targets[key] = Held(live, stored)
        if live is None or same_value(now.live, live):
            continue
        others = {other: value for other, value in entry.beside.items() if other not in after}
        lasting = store.read_lasting(host, others)
        for other, value in others.items():
            targets.setdefault(other, Held(lasting[other].value or value))
    return targets


def _changed(host: Host, files: Iterable[File]) -> tuple[tuple[File, ...], dict[str, str | None]]:
    """Return the files whose text differs from the disk, and the text there now."""
    texts = {file.path: (file, host.read(file.path)) for file in files}
    changed = {path: text for path, (file, text) in texts.items() if text != file.text}
    return tuple(texts[path][0] for path in changed), changed


def _refuse_foreign(files: Iterable[File], texts: Mapping[str, str | None]) -> None:
    """Refuse to overwrite a file that has the name of ours before anything is ours.

    :raises RefusedError: naming it.
    """
    for file in files:
        if file.owned and texts[file.path] is not None:
            raise RefusedError(
                "is there already and is not ours: what it sets would be lost",
                where=file.path,
                way_out="give it another name, one that sorts before it; nothing was changed",
            )


def _refuse_overruled(key: str, value: str, then: Lasting, where: str) -> None:
    """Refuse a value that a boot would not leave.

    :raises RefusedError: naming the line that wins.
    """
    if same_value(then.value, value):
        return
    winner = then.winner
    said = "nothing that is read at boot would set it"
    way_out = "let what reads the files run: `systemctl unmask systemd-sysctl.service`"
    if winner is not None:
        does = f"sets {winner.value}" if winner.value is not None else "keeps it from being set"
        said = f"{winner.where} {does}, and is read after ours"
        way_out = "take that line out, or let its file's name sort before ours"
        if winner.ours:
            said = f"{winner.key}, which is kept too, sets it to {winner.value} along with others"
            way_out = "give one of the two up; `ipalias_sysctl.effective` shows who wants what"
    raise RefusedError(
        f"{key} would not be {value} after a boot: {said}",
        where=where,
        way_out=way_out,
    )


def _notes(
    planned: Host,
    store: Store,
    after: Entries,
    now: Mapping[str, Held],
    asked: Mapping[str, str],
    started_by: str,
) -> Iterable[str]:
    """Return what the operator should know."""
    yield from store.notes(planned, {key: after[key].value for key in asked if key in after})
    waiting = [key for key in after if now[key].live is None]
    if waiting and started_by not in service.INITS:
        names = ", ".join(dict.fromkeys(str(store.interface_of(key)) for key in waiting))
        yield (
            f"{names}: not there yet, and nothing here starts a service of ours: set when it"
            " is there by the next run"
        )
