"""Who is still owed an entry of the journal, and who has acted on one: the files beside it.

Salt tells a beacon nothing of what became of its event, so an entry is owed until a reply that
came back from the master has named it (`record.acknowledge`). What is acted on is acted on
once for each id, however often its event comes (`record.Acted`). Both are read, changed and
written under locks of their own, never under the monitor's: whatever holds one of them holds
up no decision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from .. import disk, processes
from ..errors import EffectError, InputError
from ..values import short
from . import writer
from .model import IDENT, Transition
from .places import Places
from .record import (
    Position,
    acknowledge,
    event_data,
    parse_acted,
    parse_journal,
    parse_position,
    render_acted,
    render_position,
    unacknowledged,
)

#: Ids in one request, at most: more are no reply to what is sent at once.
MOST = 1000
#: Seconds to wait for whoever else writes one of the two files.
PATIENCE = 10.0


def parse_idents(value: object, where: str) -> tuple[str, ...]:
    """Read ids from an argument, which may have come with an event: one, or a list of them.

    :raises InputError: something among them is none.
    """
    listed = list(value) if isinstance(value, list | tuple) else [value]
    if len(listed) > MOST:
        raise InputError(f"{len(listed)} ids at once, {MOST} at most", where=where)
    return tuple(dict.fromkeys(parse_ident(item, where) for item in listed))


def parse_ident(value: object, where: str) -> str:
    """Read one id.

    :raises InputError: it is none.
    """
    if not isinstance(value, str) or not IDENT.fullmatch(value):
        raise InputError(f"{short(value)} is not the id of a transition", where=where)
    return value


def read_entries(places: Places) -> tuple[Transition, ...]:
    """Return the journal's entries, oldest first; none where there is no journal.

    :raises ParseError: a later version has written it.
    :raises EffectError: it cannot be read.
    """
    return parse_journal(_text(places.journal), places.journal).entries


def read_position(places: Places) -> Position:
    """Return what the master has acknowledged."""
    return parse_position(_text(places.position))


def pending(places: Places, limit: int) -> dict[str, Any]:
    """Return what the master has not acknowledged, as events carry it.

    :param limit: entries from each end.
    :return: ``owed``, their number; ``oldest`` and ``newest``, each in the journal's order
        and without what the other has.
    """
    owed = unacknowledged(read_entries(places), read_position(places))
    oldest, rest = owed[:limit], owed[limit:]
    newest = rest[-limit:] if limit else ()
    return {
        "owed": len(owed),
        "oldest": [event_of(entry) for entry in oldest],
        "newest": [event_of(entry) for entry in newest],
    }


def event_of(entry: Transition) -> dict[str, Any]:
    """Return an entry as an event carries it.

    Its id is called ``transition`` there: an event of a beacon has the minion's as ``id``.
    """
    data = event_data(entry)
    return {"transition": data.pop("id"), **data}


def note_received(places: Places, idents: Collection[str]) -> dict[str, Any]:
    """Take the master's word that it has received entries.

    :return: ``noted``, ids that were owed until now; ``owed``, how many still are.
    :raises EffectError: the position cannot be written.
    """
    with _lock(places.position, "notes what the master has received"):
        entries, position = read_entries(places), read_position(places)
        before = {entry.ident for entry in unacknowledged(entries, position)}
        noted = [ident for ident in dict.fromkeys(idents) if ident in before]
        if noted:
            _write(places.position, render_position(acknowledge(entries, position, *noted)))
    return {"noted": noted, "owed": len(before) - len(noted)}


def claim(places: Places, ident: str) -> bool:
    """Take a transition to act on it; False where somebody on this host has done so already.

    The id is on the disk before anything is done: who is killed between the two has not acted,
    and nothing acts in its stead; the monitor does after `react_timeout`.

    :raises ParseError: the store cannot be read: to take it for empty would act twice.
    """
    with _lock(places.acted, "acts on a transition"):
        return _add(places.acted, ident)


def act_once(places: Places, ident: str, act: Callable[[], Any]) -> tuple[bool, Any]:
    """Act on a transition unless somebody on this host has done so already, see `claim`.

    One at a time: what is switched for an older transition never comes behind a newer one's.
    So it is for acts of milliseconds, others wait no longer than `PATIENCE`.

    :return: whether it was acted on now, and what that gave.
    :raises ParseError: see `claim`.
    """
    with _lock(places.acted, "acts on a transition"):
        return (True, act()) if _add(places.acted, ident) else (False, None)


def _add(path: str, ident: str) -> bool:
    new, store = parse_acted(_text(path), path).add(ident)
    if new:
        _write(path, render_acted(store))
    return new


def has_acted(places: Places, idents: Sequence[str]) -> list[str]:
    """Return the ids that somebody on this host has acted on."""
    known = set(parse_acted(_text(places.acted), places.acted).idents)
    return [ident for ident in idents if ident in known]


@contextlib.contextmanager
def _lock(path: str, purpose: str) -> Iterator[None]:
    try:
        disk.make_folder(path.rpartition("/")[0], 0o700)
    except OSError as error:
        raise EffectError(f"its folder cannot be made: {error.strerror}", where=path) from error
    with processes.lock(f"{path}.lock", purpose, PATIENCE):
        yield


def _write(path: str, text: str) -> None:
    try:
        writer.replace(path, text, sync=True)
    except OSError as error:
        raise EffectError(
            f"cannot be written: {error.strerror}", where=path, way_out="nothing was changed"
        ) from error


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace", opener=disk.open_now) as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise EffectError(f"cannot be read: {error.strerror}", where=path) from error
