"""Put a backup back: leases, configuration, or both, as one change that stands or is undone.

The server looks at a configuration before anything is touched; it is stopped before its leases
are, and what it had by then becomes a backup of its own first. Old leases are not the pair's
last word: dhcpd then asks its peer for all of them before it serves, as Kea does at each start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..difference import render_diff
from ..effects import Effects, FileState, ReadFile, ReadLive, Run, SyncFolder, run
from ..errors import InputError, RefusedError
from ..files import digests, place_file, put_files
from ..guarded import guarded
from ..host import Host
from ..journal import DhcpPart, Record
from ..live import Snapshot
from ..model import File
from ..paths import ROUTE_PROTOCOL
from ..recover import kept_routes
from ..request import told
from ..values import choice, plain
from . import iscleases
from .apply import ask_server
from .aside import Aside, forget, set_aside
from .backup import (
    CONFIGURATION,
    LEASES,
    Backup,
    Saved,
    alone,
    aside_of,
    in_database,
    kept,
    make,
    member_of,
    new_name,
    read_saved,
)
from .conffiles import ISC_DEFAULTS, Found, check_of
from .model import ISC
from .omapikey import parse_key
from .services import (
    SERVERS,
    State,
    is_started_again,
    read_sockets,
    read_state,
    refuse_drill,
    serving,
    started,
    stopped,
    systemctl,
)
from .setup import Setup

ALL = "all"
WHAT = (LEASES, CONFIGURATION, ALL)
_PURPOSE = "ipalias_dhcp.restore"


@dataclass(frozen=True)
class _Plan:
    """Hold what a restore writes.

    :param leases: the main lease file and its text, or None.
    :param files: of the configuration, those that differ; `like`: their mode and owner,
        `shown`: their diffs, no key in them.
    """

    found: Found
    chosen: Backup
    state: State
    aside: Aside
    leases: tuple[Saved, str] | None
    files: tuple[File, ...]
    like: Mapping[str, FileState]
    shown: Mapping[str, str]


def restore(
    setup: Setup,
    name: str | None = None,
    what: str = ALL,
    *,
    stop: bool = False,
    sync: bool = True,
    test: bool = False,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Put a backup back.

    :param name: of the backup; None: the newest.
    :param what: of `WHAT`.
    :param stop: stop a server that runs, and start it again; without it that is refused.
    :param sync: leave out what dhcpd's file says of the pair, so that the peer's leases come
        first. Without it dhcpd serves by the old leases at once, which is right only where
        there is no peer any more that knows better.
    :return: ``result``, ``changes`` (``files``: path → diff, ``leases``: path), ``comment``,
        ``notes``.
    :raises InputError: no such backup.
    :raises RefusedError: the server runs and is not to be stopped; the backup is damaged, or of
        the other implementation; nothing was changed.
    :raises EffectError: something failed; everything is as it was.
    """
    what = choice(what, WHAT, "what")
    found = member_of(setup, _PURPOSE)
    with alone(setup, _PURPOSE, test=test) as notes:
        chosen = _choose(kept(setup.host, setup.places.backups, clock()), name)
        plan = _planned(setup, found, chosen, what, sync=sync)
        _refuse_running(plan, setup.host, stop=stop)
        if not test and (plan.leases or plan.files):
            notes += _carry_out(setup, plan, clock)
        if plan.leases and sync and found.implementation == ISC:
            notes.append(
                "dhcpd asks its peer for all leases, and serves again when mclt is over; the peer"
                " serves meanwhile"
            )
    return _answer(plan, what, notes, test=test)


def _choose(there: list[Backup], name: object) -> Backup:
    """Return the backup that is meant.

    :raises InputError: there is none, or none of that name.
    """
    if not there:
        raise InputError(
            "there is no backup", where="name", way_out="`ipalias_dhcp.backup` makes one"
        )
    if name is None:
        return there[-1]
    found = next((one for one in there if one.name == name), None)
    if found is None:
        raise InputError(
            f"no backup is called {plain(name)}",
            where="name",
            way_out=f"there are {', '.join(one.name for one in there[-20:])}",
        )
    return found


def _planned(setup: Setup, found: Found, chosen: Backup, what: str, *, sync: bool) -> _Plan:
    if chosen.implementation != found.implementation:
        raise RefusedError(
            f"is of {chosen.implementation}, and this host runs {found.implementation}",
            where=chosen.name,
            way_out="bring the host to that implementation first; nothing was changed",
        )
    host, folder = setup.host, setup.places.backups
    if what == LEASES and in_database(host, found):
        raise RefusedError(
            "the leases are in a database",
            where=found.main,
            way_out="put them back by the database's own means; nothing was changed",
        )
    texts = {f.path: read_saved(host, folder, chosen, f) for f in chosen.files if f.saved}
    leases: tuple[Saved, str] | None = None
    files: list[File] = []
    like: dict[str, FileState] = {}
    shown: dict[str, str] = {}
    secrets = _secrets(setup, texts.get(setup.key_path))
    for saved in chosen.files:
        text = texts.get(saved.path)
        if what not in (ALL, saved.part):
            continue
        if saved.part == LEASES:
            if text is not None:
                isc = found.implementation == ISC and sync
                leases = saved, iscleases.without_pairs(text) if isc else text
            continue
        state: FileState | None = host.perform(ReadFile(saved.path))
        owner = FileState(saved.path, text or "", saved.mode, saved.uid, saved.gid)
        if _differs(state, owner, text):
            files.append(File(saved.path, text, saved.mode, owned=False))
            like[saved.path] = owner
            shown[saved.path] = render_diff(saved.path, state.text if state else None, text)
            if saved.path == setup.key_path:
                shown[saved.path] = "taken away" if text is None else "written"
            for secret in secrets:
                shown[saved.path] = shown[saved.path].replace(secret, "***")
    state_now = read_state(found.implementation, host, read_sockets(host))
    aside = run(aside_of(setup, found.implementation), host.perform)
    return _Plan(found, chosen, state_now, aside, leases, tuple(files), like, shown)


def _secrets(setup: Setup, kept_key: str | None) -> list[str]:
    """Return what no diff may show: the key for dhcpd's control, now and then."""
    then = parse_key(kept_key, setup.key_path) if kept_key else None
    return [key.secret for key in (setup.omapi_key(), then) if key is not None]


def _differs(state: FileState | None, wanted: FileState, text: str | None) -> bool:
    if state is None or text is None:
        return (state is None) != (text is None)
    kept_as = (wanted.text, wanted.mode, wanted.uid, wanted.gid)
    return (state.text, state.mode, state.uid, state.gid) != kept_as


def _refuse_running(plan: _Plan, host: Host, *, stop: bool) -> None:
    refuse_drill(host)
    if plan.state.pids and not stop and (plan.leases or plan.files):
        unit = SERVERS[plan.found.implementation].unit
        raise RefusedError(
            f"{unit} runs (pid {plan.state.pids[0]})",
            where=_PURPOSE,
            way_out="with stop=True it is stopped, and started again, in the same change",
        )


def _carry_out(setup: Setup, plan: _Plan, clock: Callable[[], float]) -> list[str]:
    """Make the change; return sentences for the operator."""
    host, settings = setup.host, setup.guarded_settings()
    before: Snapshot = host.perform(ReadLive())
    images: dict[str, FileState | None] = {}
    for file in plan.files:
        images[file.path] = host.perform(ReadFile(file.path))
    check = check_of(plan.found.implementation, plan.found.main, plan.files)
    asked = any(file.path != ISC_DEFAULTS and file.text is not None for file in plan.files)
    candidates = check.files if asked else ()
    record = Record(
        setup.new_id(),
        _PURPOSE,
        files={**images, **{file.path: None for file in candidates}},
        owned=tuple(file.path for file in candidates if file.owned),
        written=digests(plan.files),
        routes=kept_routes(before, before.by_link, ROUTE_PROTOCOL),
        dhcp=DhcpPart(
            ((plan.state.implementation, plan.state.pids, plan.state.enabled),),
            aside=plan.aside.paths if plan.leases else (),
            mark=plan.aside.mark if plan.leases else "",
        ),
    )

    def body() -> Effects[None]:
        if asked:
            yield from ask_server(check, {**images, **plan.like})
        yield from _put(setup, plan, images, clock)

    _, verdict = run(guarded(record, body(), before, host, settings), host.perform)
    if not verdict.waiting:
        run(forget(plan.aside, host), host.perform)
    return told(verdict)


def _put(
    setup: Setup,
    plan: _Plan,
    images: Mapping[str, FileState | None],
    clock: Callable[[], float],
) -> Effects[None]:
    """Stop, keep what there is, put the backup in its place, start."""
    server, host = SERVERS[plan.found.implementation], setup.host
    waits = is_started_again(server, host)
    if plan.state.pids or waits:
        yield from stopped(server, host)
    name = new_name(host, setup.places.backups, clock())
    yield from make(setup, plan.found, name, clock(), f"before {plan.chosen.name} was put back")
    if plan.leases is not None:
        saved, text = plan.leases
        yield from set_aside(plan.aside, setup.settings.paths, host)
        path = plan.aside.paths[0]
        owner = FileState(path, text, saved.mode, saved.uid, saved.gid)
        folder = yield from place_file(path, text, saved.mode, owner)
        yield SyncFolder(folder)
    yield from put_files(plan.files, {**images, **plan.like})
    if plan.state.pids and not serving(server, read_sockets(host)):
        yield from started(server, host)
    elif waits:
        yield Run(systemctl("start", server.unit, wait=False))


def _answer(plan: _Plan, what: str, notes: list[str], *, test: bool) -> dict[str, Any]:
    changes: dict[str, Any] = {"files": dict(plan.shown)} if plan.files else {}
    if plan.leases is not None:
        changes["leases"] = plan.aside.paths[0]
    if plan.files:
        notes.append("The next highstate brings the configuration to the pillar's again")
    if what != CONFIGURATION and plan.leases is None:
        notes.append(f"{plan.chosen.name} has no leases")
    would = "would be " if test else ""
    said = f"{plan.chosen.name} {would}put back" if changes else "Everything is as in the backup"
    return {
        "result": None if test and changes else True,
        "changes": changes,
        "comment": ". ".join([said, *notes]),
        "notes": notes,
    }
