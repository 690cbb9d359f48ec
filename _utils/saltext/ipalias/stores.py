"""What is kept of a store that is no file, and what our changes did to what others have in it.

A dialect whose addresses lie in a store (`Backend.STORED`) edits no file, so no original of one
is kept. Instead the store is kept as it was before our first change, and beside it a note of
which of its addresses a change of ours took away or gave another form, and which interfaces
it made static. What is ours the ledger tells. So `ipalias.restore` undoes just what we did.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .backends import Backend
from .effects import Effects, FileState, ReadFile
from .errors import MALFORMED, ParseError
from .files import write_state
from .model import IPV4, Change, Stored
from .paths import Paths

#: The note, in the folder of originals.
NOTE = "store-changed.json"


@dataclass(frozen=True)
class Touched:
    """Hold what our changes did to what others have on one interface.

    :param addresses: what they took away or gave another form.
    :param lease: ``address/prefix`` that was made static; empty where none was.
    """

    addresses: frozenset[str] = frozenset()
    lease: str = ""


Note = Mapping[str, Touched]


def kept_name(backend: Backend) -> str:
    """Return the file name under which a dialect's store is kept as data; empty for none."""
    name: str = getattr(backend, "KEPT", "")
    return name


def note_path(paths: Paths) -> str:
    """Return where the note lies."""
    return f"{paths.backup}/{NOTE}"


def render_note(note: Note) -> str:
    """Return a note as JSON text."""
    rows = {
        name: {"addresses": sorted(touched.addresses), "lease": touched.lease}
        for name, touched in sorted(note.items())
    }
    return json.dumps({"schema": 1, "interfaces": rows}, indent=1) + "\n"


def parse_note(text: str | None, path: str) -> dict[str, Touched]:
    """Read a note; None (no file) gives an empty one.

    :raises ParseError: not a note of ours.
    """
    if text is None:
        return {}
    try:
        rows = json.loads(text)["interfaces"]
        return {
            str(name): Touched(frozenset(map(str, row["addresses"])), str(row["lease"]))
            for name, row in rows.items()
        }
    except MALFORMED as error:
        raise ParseError(path, 1, f"not a note of what was changed ({error!r})") from None


def noted(note: Note, change: Change, original: Stored) -> dict[str, Touched]:
    """Return the note after a change.

    Only what the store had before us needs one: of everything else the ledger knows.
    """
    acted = {alias.address for alias in (*change.added, *change.removed)}
    known = note.get(change.interface, Touched())
    touched = replace(known, addresses=known.addresses | (acted & set(original.aliases)))
    lease = change.evidence.facts.get("lease", "")
    converts = change.evidence.facts.get("dhcp") == "yes" and original.dhcp
    if converts and any(alias.family == IPV4 for alias in change.added):
        touched = replace(touched, lease=lease)
    return {**note, change.interface: touched} if touched != Touched() else dict(note)


def keep_note(backend: Backend, change: Change, paths: Paths) -> Effects[None]:
    """Write down, before a change, what it does to what others have in the store."""
    name = kept_name(backend)
    kept: FileState | None = (yield ReadFile(f"{paths.backup}/{name}")) if name else None
    if kept is None:
        return
    path = note_path(paths)
    state: FileState | None = yield ReadFile(path)
    note = parse_note(state.text if state is not None else None, path)
    after = noted(note, change, original_of(backend, kept.text, change.interface))
    if after != note:
        yield from write_state(paths, path, render_note(after))


def original_of(backend: Backend, text: str, interface: str) -> Stored:
    """Return what a kept store had of an interface.

    :raises EffectError: the text is not what the dialect keeps.
    """
    original: Stored = backend.parse_original(text, interface)  # type: ignore[attr-defined]
    return original
