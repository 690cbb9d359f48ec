"""Keep leases and configuration of this side, as the guide advises: whole, dated, and the last N.

A backup is a folder of its own below ours, by its date. Its index is written last, when all else
of it is on the disk: a folder without one is half a backup, counts for nothing, and is taken away
by the next. The index goes first when a backup is taken away, for the same reason.
"""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from .. import backup as originals
from ..effects import Effects, FileState, ReadFile, RemoveFolder, SyncFolder, Unlink, run
from ..errors import MALFORMED, EffectError, IpaliasError, ParseError, RefusedError
from ..files import TEMPORARY, make_folder, write_state
from ..guarded import settle
from ..host import Host
from . import conffiles, isc, iscleases, kea, kealeases
from .aside import Aside, forget
from .conffiles import Found
from .model import ISC
from .setup import Setup

SCHEMA = 1
INDEX = "index.json"
LEASES, CONFIGURATION = "leases", "configuration"
PARTS: Final = (LEASES, CONFIGURATION)
#: Backups that are kept, unless told otherwise.
KEEP = 14
_NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z(?:-[0-9]{1,4})?")


@dataclass(frozen=True)
class Saved:
    """Hold a file of a backup.

    :param part: of `PARTS`.
    :param path: where it belongs, links resolved.
    :param saved: its name in the backup; empty: there was no such file.
    :param digest: SHA-256 of its text.
    """

    part: str
    path: str
    saved: str
    digest: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Backup:
    """Hold a backup's index.

    :param name: of its folder: when it was made, UTC.
    :param moment: the same in seconds since 1970.
    :param why: what it was made for.
    """

    name: str
    moment: float
    implementation: str
    member: str
    why: str
    files: tuple[Saved, ...]

    def row(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "time": self.moment,
            "implementation": self.implementation,
            "why": self.why,
            "files": [file.path for file in self.files if file.saved],
        }


def backup(
    setup: Setup,
    keep: int = KEEP,
    *,
    test: bool = False,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Keep this side's leases and configuration, and of former backups the last ones.

    :param keep: how many there shall be at most, this one among them.
    :return: ``result``, ``changes`` (``backup``: the name, ``removed``: names), ``comment``,
        ``notes``, ``backups`` (rows, oldest first).
    :raises RefusedError: this host is no member of a pair.
    """
    found = member_of(setup, "ipalias_dhcp.backup")
    folder = setup.places.backups
    with alone(setup, "ipalias_dhcp.backup", test=test) as notes:
        name = new_name(setup.host, folder, clock())
        there = kept(setup.host, folder, clock())
        going = [one.name for one in there][: max(0, len(there) + 1 - keep)]
        notes += _without_leases(setup, found)
        if not test:
            run(make(setup, found, name, clock(), "by hand or schedule"), setup.host.perform)
            run(remove(setup.host, folder, going), setup.host.perform)
        rows = [one.row() for one in kept(setup.host, folder, clock())]
    said = f"{folder}/{name} {'would be ' if test else ''}written"
    return {
        "result": None if test else True,
        "changes": {"backup": name, **({"removed": going} if going else {})},
        "comment": ". ".join([said, *notes]),
        "notes": notes,
        "backups": rows,
    }


def member_of(setup: Setup, where: str) -> Found:
    """Return what the host says that it is, whatever the pillar says by now.

    :raises RefusedError: no member of a pair.
    """
    found = setup.found()
    if found is None:
        raise RefusedError(
            "this host is no member of a pair",
            where=where,
            way_out="apply the state ipalias.dhcp first; nothing was changed",
        )
    return found


@contextmanager
def alone(setup: Setup, purpose: str, *, test: bool) -> Iterator[list[str]]:
    """Hold the lock; what an earlier run left unfinished is put back, and what it left, gone.

    :return: sentences for the operator.
    """
    if test:
        yield []
        return
    with setup.locked(purpose):
        notes = run(settle(setup.host, setup.settings.paths), setup.host.perform)
        run(_sweep(setup), setup.host.perform)
        yield notes


def _sweep(setup: Setup) -> Effects[None]:
    """Take away halves of backups, and what a restore that stands has set aside."""
    host, folder = setup.host, setup.places.backups
    for path in host.glob(f"{folder}/*"):
        named = _NAME.fullmatch(posixpath.basename(path))
        if named and not host.exists(f"{path}/{INDEX}"):
            yield from _empty(host, path)
    found = setup.found()
    if found is not None:
        aside = yield from aside_of(setup, found.implementation)
        yield from forget(aside, host)


def aside_of(setup: Setup, implementation: str) -> Effects[Aside]:
    """Return what a restore of leases sets aside on this host."""
    paths = []
    for path in lease_paths(implementation):
        state: FileState | None = yield ReadFile(path)
        paths.append(path if state is None else state.real_path)
    return Aside(tuple(paths), f"{setup.places.state}/set-aside")


def lease_paths(implementation: str) -> list[str]:
    """Return the lease files that a server may have, the main one first."""
    return [isc.LEASES] if implementation == ISC else kealeases.every_file(kea.LEASES)


# -- making ----------------------------------------------------------------------------------


def new_name(host: Host, folder: str, moment: float) -> str:
    """Return a name that no backup has."""
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
    names = [name, *(f"{name}-{number}" for number in range(1, 10_000))]
    return next(one for one in names if not host.exists(f"{folder}/{one}/{INDEX}"))


def make(setup: Setup, found: Found, name: str, moment: float, why: str) -> Effects[Backup]:
    """Write a backup; it counts from its index on.

    :raises EffectError: it cannot be written; what was written of it is taken away.
    """
    paths, folder = setup.settings.paths, f"{setup.places.backups}/{name}"
    texts = yield from _read(setup, found)
    saved: list[Saved] = []
    # The lease file of another user may be closed to others, and a key is in one of the rest.
    for above in (paths.state, setup.places.state, setup.places.backups):
        yield from make_folder(above, 0o700)
    try:
        for part, path, state in texts:
            entry = Saved(part, path, "")
            if state is not None:
                digest = originals.digest(state.text)
                inside = originals.saved_name(path).removesuffix(".orig")
                entry = Saved(part, path, inside, digest, state.mode, state.uid, state.gid)
                yield from write_state(paths, f"{folder}/{inside}", state.text)
            saved.append(entry)
        made = Backup(name, moment, found.implementation, setup.minion, why, tuple(saved))
        yield from write_state(paths, f"{folder}/{INDEX}", render_index(made))
    except EffectError:
        yield from _emptied(setup.host, folder)
        raise
    return made


def _read(setup: Setup, found: Found) -> Effects[list[tuple[str, str, FileState | None]]]:
    """Return part, path and state of each file that belongs to a backup."""
    states: dict[str, FileState | None] = {}
    perform = setup.host.perform

    def read(path: str) -> str | None:
        # Not an effect of the generator's: who reads them in order reads them in one go.
        state: FileState | None = perform(ReadFile(path))
        if state is not None:
            states[path] = state
        return state.text if state is not None else None

    rows: list[tuple[str, str, FileState | None]] = []
    main = lease_paths(found.implementation)[0]
    text: str | None = None
    if found.implementation == ISC:
        text = read(main)
        text = None if text is None else iscleases.without_tail(text)
    elif not in_database(setup.host, found):
        texts = kealeases.read_texts(main, read)
        text = kealeases.merge(texts) if texts else None
    like = states.get(main) or next(iter(states.values()), None)
    if text is not None and like is not None:
        real = like.real_path if main in states else main
        rows.append((LEASES, real, FileState(real, text, like.mode, like.uid, like.gid)))
    for path in configuration_paths(setup, found):
        state: FileState | None = yield ReadFile(path)
        rows.append((CONFIGURATION, path if state is None else state.real_path, state))
    return rows


def configuration_paths(setup: Setup, found: Found) -> list[str]:
    """Return the files of a server's configuration, and the key that stands in one of them."""
    if found.implementation != ISC:
        return [found.main]
    return [found.main, conffiles.OWN, conffiles.ISC_DEFAULTS, setup.key_path]


def in_database(host: Host, found: Found) -> bool:
    """Tell whether a server has its leases in a database; a file of before it is nobody's."""
    if found.implementation == ISC:
        return False
    store = kea.standing_store(host.read(found.main))
    return store is not None and store.is_database


def _without_leases(setup: Setup, found: Found) -> list[str]:
    if in_database(setup.host, found):
        return ["The leases are in a database, and are kept by the database's own means"]
    paths = lease_paths(found.implementation)
    if any(setup.host.exists(path) for path in paths):
        return []
    return [f"{paths[0]} is not there: it has no leases"]


# -- what there is ---------------------------------------------------------------------------


def kept(host: Host, folder: str, now: float = math.inf) -> list[Backup]:
    """Return the backups that count, oldest first; an index that cannot be read counts not.

    :param now: seconds since 1970. What is dated later was made by a clock that was ahead: it
        comes before all others, or each new backup would be the first to go.
    """
    found = []
    for path in host.glob(f"{folder}/*/{INDEX}"):
        name = posixpath.basename(posixpath.dirname(path))
        try:
            made = parse_index(host.read(path) or "", path)
        except IpaliasError:
            continue
        if _NAME.fullmatch(name) and made.name == name:
            found.append(made)
    return sorted(found, key=lambda one: (one.moment <= now, one.moment, len(one.name), one.name))


def read_saved(host: Host, folder: str, made: Backup, file: Saved) -> str:
    """Return the text of a file of a backup.

    :raises RefusedError: it is not what was written.
    """
    path = f"{folder}/{made.name}/{file.saved}"
    text = host.read(path)
    if text is None or originals.digest(text) != file.digest:
        raise RefusedError(
            "is damaged" if text is not None else "is gone",
            where=path,
            way_out="take another backup; nothing was changed",
        )
    return text


def render_index(made: Backup) -> str:
    """Return an index as text, with a checksum of its own."""
    body = json.dumps({"schema": SCHEMA, **asdict(made)}, sort_keys=True)
    digest = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps({"sha256": digest, "backup": json.loads(body)}, indent=1) + "\n"


def parse_index(text: str, path: str) -> Backup:
    """Read an index.

    :raises ParseError: it is none, it is damaged, or of a later version.
    """
    way_out = "it is passed over; move it away"
    try:
        told = json.loads(text)
        data = told["backup"]
        body = json.dumps(data, sort_keys=True)
        if int(data["schema"]) > SCHEMA:
            raise ParseError(path, 1, f"of schema {data['schema']}", way_out=way_out)
        if hashlib.sha256(body.encode()).hexdigest() != told["sha256"]:
            raise ParseError(path, 1, "is damaged", way_out=way_out)
        return Backup(
            str(data["name"]),
            float(data["moment"]),
            str(data["implementation"]),
            str(data["member"]),
            str(data["why"]),
            tuple(Saved(**row) for row in data["files"]),
        )
    except MALFORMED as error:
        raise ParseError(path, 1, f"not an index ({error!r})", way_out=way_out) from None


# -- taking away -----------------------------------------------------------------------------


def remove(host: Host, folder: str, names: Sequence[str]) -> Effects[None]:
    """Take backups away: from the loss of its index on, one no longer counts."""
    for name in names:
        yield Unlink(f"{folder}/{name}/{INDEX}")
        yield SyncFolder(f"{folder}/{name}")
        yield from _empty(host, f"{folder}/{name}")


def _empty(host: Host, path: str) -> Effects[None]:
    for inside in (*host.glob(f"{path}/*"), *host.glob(f"{path}/.*{TEMPORARY}")):
        yield Unlink(inside)
    yield RemoveFolder(path)


def _emptied(host: Host, path: str) -> Effects[None]:
    """Take away what was written of a backup that failed, as far as the disk lets us."""
    try:
        yield from _empty(host, path)
    except EffectError:
        return
