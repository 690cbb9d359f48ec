"""Who is still owed an entry of the journal, and who has acted on one: the files beside it.

Salt tells a beacon nothing of what became of its event, so an entry is owed until a reply that
came back from the master has named it (`record.acknowledge`). What is acted on is acted on
once for each id, however often its event comes (`record.Acted`). Both are read, changed and
written under locks of their own, never under the monitor's: whatever holds one of them holds
up no decision.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from .. import disk, processes
from ..errors import EffectError, InputError
from ..values import short
from . import writer
from .model import Transition
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

#: What an id consists of; whatever else an event claims to be one is refused.
IDENT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
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
    found: dict[str, None] = {}
    for item in listed:
        if not isinstance(item, str) or not IDENT.fullmatch(item):
            raise InputError(f"{short(item)} is not the id of a transition", where=where)
        found[item] = None
    return tuple(found)


def read_entries(places: Places) -> tuple[Transition, ...]:
    """Return the journal's entries, oldest first; none where there is no journal.

    :raises ParseError: a later version has written it.
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


def act_once(places: Places, ident: str, act: Callable[[], Any]) -> tuple[bool, Any]:
    """Act on a transition unless somebody on this host has done so already.

    The id is on the disk before anything is done: who is killed between the two has not acted,
    and nothing acts in its stead; the monitor does after `react_timeout`. Who comes with the
    same id meanwhile waits.

    :return: whether it was acted on now, and what that gave.
    :raises ParseError: the store cannot be read: to take it for empty would act twice.
    """
    path = places.acted
    with _lock(path, "acts on a transition"):
        new, store = parse_acted(_text(path), path).add(ident)
        if not new:
            return False, None
        _write(path, render_acted(store))
        return True, act()


def has_acted(places: Places, idents: Sequence[str]) -> list[str]:
    """Return the ids that somebody on this host has acted on."""
    known = set(parse_acted(_text(places.acted), places.acted).idents)
    return [ident for ident in idents if ident in known]


@contextlib.contextmanager
def _lock(path: str, purpose: str) -> Iterator[None]:
    disk.make_folder(path.rpartition("/")[0], 0o700)
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
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
