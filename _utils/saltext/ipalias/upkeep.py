"""What an operator does beside changing addresses: restart, announce, pin, look up."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from . import restarts
from .backup import digest, parse_index
from .difference import cap, render_diff
from .effects import Effects, ReadLive, Rename, SyncFolder, run
from .engine import Engine
from .errors import MALFORMED, InputError, ParseError, RefusedError
from .files import write_state
from .guarded import Verdict, forget_older, guarded, take_back
from .host import SYSTEMS
from .journal import COMMITTED, FIRING, OPEN, WAITING, Part, Record, parse_record, render_record
from .ledger import parse_ledger
from .live import Snapshot, tools
from .model import Command
from .owner import resolve_default
from .paths import ROUTE_PROTOCOL, Settings
from .pillar import DEFAULT, Announce
from .recover import kept_routes
from .situation import Situation
from .transaction import announce_added, what_owner_lacks, write_ledger
from .tuning import Tuner
from .values import choice, parse_interface, plain, sequence, short
from .vips import refuse_vips_back

#: Characters up to which a kept change is returned in one piece: Salt trims an event of 1 MiB.
PAGED = 700_000
#: Lines of each list and each diff on a page.
PAGE = 5_000
#: Addresses that a restart took away and that its comment names.
MOST_LOST = 5
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


def restart(engine: Engine, *, name: str, scope: str, test: bool = False) -> dict[str, Any]:
    """Run the owner's restart at one level, then bring live whatever of ours fell with it.

    Under the dead man, as any change: a host that does not come back reverts.

    :param scope: ``alias``, ``interface`` or ``network``.
    :raises InputError: unknown interface or level.
    :raises EffectError: a command failed.
    """
    choice(scope, restarts.CUTS, "scope")
    parse_interface(name, "interface", engine.host.system)
    with engine.lock(f"ipalias.restart {name}", test):
        config = engine.config_by_hand()
        ledger, snapshot = engine.ledger(), engine.snapshot()
        block = config.interfaces.get(name)
        if name == DEFAULT:
            name = resolve_default((4,), snapshot, ledger, (), "interface")[4]
        block = block or engine.settings_of(name, config, ledger)
        situation = engine.situation(name, block, ledger, snapshot)
        commands = situation.backend.restart(situation.evidence, scope, engine.host)
        said = [command.told or " ".join(command.argv) for command in commands]
        notes = engine.notes()
        if commands and not test:
            settings = replace(engine.settings, guard=config.guard)
            notes += engine.make(_restarted(situation, commands, engine, settings, scope))
    verb = "Would run" if test else "Ran"
    listed = "; ".join(f"`{line}`" for line in said) or "nothing: aliases need no restart here"
    return {
        "result": None if test and said else True,
        "changes": {"commands": said} if said else {},
        "comment": ". ".join([f"{verb} {listed} ({restarts.cuts(scope, name, said)})", *notes]),
    }


def _restarted(
    situation: Situation,
    commands: Sequence[Command],
    engine: Engine,
    settings: Settings,
    scope: str,
) -> Effects[Verdict]:
    """Run commands as one change; what fell with them is in the notes."""
    before, done = situation.snapshot, {situation.interface}
    everywhere = scope == restarts.NETWORK
    foreign, quiet = what_owner_lacks(situation)
    part = Part(
        situation.interface,
        situation.backend.NAME,
        situation.evidence,
        live=situation.snapshot.on(situation.interface),
        foreign=foreign,
        quiet=quiet,
        up=restarts.is_up(situation),
    )
    record = Record(
        engine.new_id(),
        f"ipalias.restart {situation.interface}",
        parts=(part,),
        routes=kept_routes(before, before.by_link if everywhere else done, ROUTE_PROTOCOL),
        beside=restarts.beside(before, done) if everywhere else {},
    )
    body = _restart_body(situation, commands, everywhere)
    lost, verdict = yield from guarded(record, body, before, engine.host, settings)
    more = [f"and {len(lost) - MOST_LOST} more"] if len(lost) > MOST_LOST else []
    return replace(verdict, notes=(*verdict.notes, *lost[:MOST_LOST], *more))


def _restart_body(
    situation: Situation, commands: Sequence[Command], everywhere: bool
) -> Effects[list[str]]:
    """Run the commands, wait for the primary addresses, add what of ours is missing.

    What somebody else had set and his files do not is told: a person who wants the owner to
    read everything anew may want just that.
    """
    now = yield from restarts.restarted(situation, commands)
    yield from restarts.add_fallen(situation, now)
    beside: list[str] = []
    if everywhere:
        done = {situation.interface}
        beside = yield from restarts.add_fallen_beside(situation.snapshot, situation.ledger, done)
    after: Snapshot = yield ReadLive()
    return [*restarts.gone(situation.snapshot, after, [situation.interface]), *beside]


def confirm(engine: Engine) -> dict[str, Any]:
    """Keep the change that waits to be confirmed.

    :raises RefusedError: none waits; the dead man may have undone it.
    """
    with engine.locked("ipalias.confirm"):
        record = _record_in(engine, WAITING)
        if record is None:
            raise RefusedError(
                "no change waits to be confirmed", way_out="it was undone, or kept before"
            )
        run(_confirmed(engine, record), engine.host.perform)
    return {"result": True, "changes": {}, "comment": f"{record.purpose} stands"}


def _confirmed(engine: Engine, record: Record) -> Effects[None]:
    paths = engine.paths
    yield Rename(paths.record(WAITING, record.id), paths.record(COMMITTED, record.id))
    yield SyncFolder(paths.state)
    yield from forget_older(record, engine.host, paths)


def _record_in(engine: Engine, state: str) -> Record | None:
    """Return the newest record in a state."""
    for path in reversed(engine.host.glob(f"{engine.paths.state}/{state}-*.json")):
        return parse_record(engine.host.read(path) or "", path)
    return None


def _last_change(engine: Engine) -> tuple[Record, str]:
    """Return the change that an undoing is about, with its state.

    One that was cut short lies over the last one committed, and is put back before it: the
    other way round its own putting back would bring that one in again.
    """
    for state in (WAITING, OPEN, FIRING):
        record = _record_in(engine, state)
        if record is not None:
            return record, state
    record = _record_in(engine, COMMITTED)
    if record is None:
        raise RefusedError("there is no change to undo", where=engine.paths.state)
    return _touched_alone(record), COMMITTED


def rollback(engine: Engine, *, test: bool = False) -> dict[str, Any]:
    """Undo the change that waits, or was cut short, or else the last one committed.

    :raises RefusedError: there is none, somebody else has edited since what it wrote, or the
        host might answer for a VIP afterwards.
    :raises EffectError: nothing could be undone.
    """
    with nullcontext() if test else engine.locked("ipalias.rollback"):
        record, state = _last_change(engine)
        if state == COMMITTED:
            _refuse_edited(engine, record)
        if state in (WAITING, COMMITTED):
            # What was cut short is put back by whatever comes next, asked for or not.
            _refuse_answers(engine, record)
        files = {path: None if old is None else old.text for path, old in record.files.items()}
        diffs = {
            path: render_diff(path, engine.host.read(path), text)
            for path, text in files.items()
            if not path.startswith(engine.paths.state) and engine.host.read(path) != text
        }
        notes: list[str] = []
        if not test:
            if state == COMMITTED:
                # Cut short it is finished from the disk, where it has to spare as much.
                path = engine.paths.record(state, record.id)
                kept = write_state(engine.paths, path, render_record(record))
                run(kept, engine.host.perform)
            change = take_back(state, record, engine.host, engine.paths)
            notes = run(change, engine.host.perform)
    verb = "Would undo" if test else "Undid"
    left = [note for note in notes if "not put back" in note]
    changes, _ = cap({"files": dict(diffs)} if diffs else {})
    return {
        "result": None if test else not left,
        "changes": changes,
        "comment": ". ".join([f"{verb} {record.purpose}", *left]),
    }


def _refuse_edited(engine: Engine, record: Record) -> None:
    """Refuse to undo a change of a file that somebody else has edited since: it would go too.

    A file of ours has no original that could tell: the change itself has what it wrote. One
    of an earlier version has not, and then only the originals tell.
    """
    index = parse_index(engine.host.read(engine.paths.index), engine.paths.index)
    for path, image in record.files.items():
        text = engine.host.read(path)
        if text == (None if image is None else image.text):
            # It is back already, whoever did that: nothing can be lost.
            continue
        if text is not None and path in index:
            # What the owner's tool made of it in the change is noted there alone.
            ours = index[path].is_ours(text)
        else:
            now = None if text is None else digest(text)
            ours = record.written.get(path, now) == now
        if not ours:
            way_out = "`ipalias.remove`, or the pillar, takes back what is ours alone"
            if path in record.owned:
                way_out = "keep what is theirs elsewhere: each change of ours writes this file anew"
            raise RefusedError(
                "somebody else changed this file after us; their edits would be lost"
                if text is not None
                else "somebody else took this file away after us; it would come back",
                where=path,
                way_out=way_out,
            )


def _refuse_answers(engine: Engine, record: Record) -> None:
    """Refuse to undo what keeps the host silent under a VIP, and to bring one back."""
    now = engine.ledger()
    if record.tuned:
        Tuner(engine.host, engine.settings).refuse_loud(record.tuned, "ipalias.rollback")
    image = record.files.get(engine.paths.ledger)
    if image is not None:
        then = parse_ledger(image.text, engine.paths.ledger)
        refuse_vips_back(now, then, "ipalias.rollback")


def _touched_alone(record: Record) -> Record:
    """Return a record of a change that stood for a while: what others did since stays.

    What it wrote into files, or took out of them, may fall with them: it was live before.
    """
    parts = tuple(
        replace(part, live=tuple(a for a in part.live if a.cidr in concerned), up=False)
        for part in record.parts
        for listed in ((*part.added, *part.removed),)
        for concerned in ({*part.touched, *(alias.cidr for alias in listed)},)
    )
    return replace(_without_leases(record), parts=parts, routes=(), beside={})


def _without_leases(record: Record) -> Record:
    """Return a record that leaves Kea's leases alone: what was leased since is nowhere else."""
    if record.dhcp is None:
        return record
    from .dhcp.kea import LEASES

    files = {path: image for path, image in record.files.items() if path != LEASES}
    return replace(record, files=files)


def pin_default(engine: Engine, *, test: bool = False) -> dict[str, Any]:
    """Pin ``default`` to where the default routes leave now.

    :raises InputError: several default routes of one family.
    """
    with engine.lock("ipalias.pin_default", test):
        ledger, snapshot = engine.ledger(), engine.snapshot()
        families = [family for family in (4, 6) if snapshot.defaults(family)]
        fresh = replace(ledger, default={})
        resolved = resolve_default(families, snapshot, fresh, (), "default")
        pinned = {str(family): name for family, name in resolved.items()}
        changes = {
            f"ipv{family}": {"old": ledger.default.get(family), "new": name}
            for family, name in pinned.items()
            if ledger.default.get(family) != name
        }
        if changes and not test:
            after = replace(ledger, default=pinned)
            run(write_ledger(after, engine.settings), engine.host.perform)
    listed = ", ".join(f"IPv{family}: {name}" for family, name in pinned.items()) or "nothing"
    return {
        "result": None if test and changes else True,
        "changes": changes,
        "comment": ". ".join([f"`default` is {listed}", *engine.notes()]),
    }


def announce(
    engine: Engine, addresses: Sequence[str] | None, interface: str | None, how: Announce
) -> dict[str, Any]:
    """Announce live aliases of ours to the neighbours.

    :param addresses: only these; None for all.
    :raises InputError: an address that is not ours or not live.
    :raises RefusedError: a system without packet sockets.
    """
    ledger, snapshot = engine.ledger(), engine.snapshot()
    if not tools.load(snapshot.system).FRAMES:
        raise RefusedError(
            f"{SYSTEMS[snapshot.system]} lets no program announce an address; its kernel does so"
            " when it adds one",
            way_out="`ipalias.remove` and `ipalias.add` make it do so again",
        )
    live = {(address.interface, address.address) for address in snapshot.addresses}
    ours = [
        entry.alias
        for name, entries in ledger.interfaces.items()
        if interface in (None, name)
        for entry in entries.values()
        if (name, entry.alias.address) in live
    ]
    if addresses is not None:
        known = {alias.address for alias in ours}
        for address in sequence(addresses, "address"):
            if not isinstance(address, str) or address not in known:
                raise InputError(
                    f"{plain(address)} is not a live alias of ours",
                    where="address",
                    way_out="see `ipalias.list`",
                )
        ours = [alias for alias in ours if alias.address in set(addresses)]
    run(announce_added(ours, snapshot, how), engine.host.perform)
    return {"result": True, "announced": len(ours), "count": how.count, "interval": how.interval}


def journal(engine: Engine, name: str | None, page: int = 1) -> Any:
    """Return a kept change by its id, or the ids.

    :param page: part of one that is too large for a return (`PAGED`), counted from 1.
    :raises InputError: no such id, no such page.
    """
    folder = engine.paths.journal
    if name is None:
        return [
            path.rsplit("/", 1)[1][: -len(".json")] for path in engine.host.glob(f"{folder}/*.json")
        ]
    known = isinstance(name, str) and _ID.fullmatch(name)
    text = engine.host.read(f"{folder}/{name}.json") if known else None
    if text is None:
        raise InputError(f"there is no journal entry {short(name)}", where="name")
    try:
        changes = json.loads(text)["changes"]
        pages = 1 if len(text) <= PAGED else _pages(changes)
    except MALFORMED as error:
        raise ParseError(f"{folder}/{name}.json", 1, f"not a journal entry ({error})") from None
    if not isinstance(page, int) or isinstance(page, bool) or not 1 <= page <= pages:
        raise InputError(f"{short(page)} is not 1 to {pages}", where="page")
    return changes if pages == 1 else {"page": page, "pages": pages, **_page(changes, page)}


def _pages(changes: dict[str, dict[str, Any]]) -> int:
    """Return how many pages the longest list, or all diffs of a change, take."""
    longest = 1
    for block in changes.values():
        diffs = [value for value in block.values() if isinstance(value, str)]
        lists = [value for value in block.values() if not isinstance(value, str)]
        longest = max(longest, sum(map(_length, diffs)), *map(len, lists))
    return -(-longest // PAGE)


def _length(diff: str) -> int:
    """Return the lines that a diff takes; an empty one has its place all the same."""
    return len(diff.splitlines()) or 1


def _page(changes: dict[str, dict[str, Any]], page: int) -> dict[str, dict[str, Any]]:
    """Return the same stretch of each list and of all diffs, one behind the other."""
    first, last = (page - 1) * PAGE, page * PAGE
    told: dict[str, dict[str, Any]] = {}
    for kind, block in changes.items():
        into = told.setdefault(kind, {})
        begin = 0
        for key, value in block.items():
            if not isinstance(value, str):
                into[key] = value[first:last]
                continue
            end = begin + _length(value)
            if begin < last and end > first:
                lines = value.splitlines()
                into[key] = "\n".join(lines[max(0, first - begin) : last - begin])
            begin = end
    return told
