"""The ledger of kernel settings: what is kept here, on whose word, and what was there before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import MALFORMED, ParseError
from . import Held, parse_held

SCHEMA = 1


@dataclass(frozen=True)
class Entry:
    """Hold one setting that is ours.

    :param wanted_by: who wants it, in the order in which they came.
    :param found: what the system had before the first of them.
    :param beside: what it had of others that the kernel writes along, by key.
    :param vips: addresses that direct server return wants it for, those too that somebody
        else's line puts on the loopback.
    """

    value: str
    wanted_by: tuple[str, ...]
    found: Held = field(default_factory=Held)
    beside: Mapping[str, str] = field(default_factory=dict)
    vips: tuple[str, ...] = ()


Entries = Mapping[str, Entry]


def render_ledger(entries: Entries) -> str:
    """Return the ledger as JSON text, one setting a line."""
    lines = (
        f"  {json.dumps(key)}: "
        + json.dumps(
            {"value": entry.value, "wanted_by": list(entry.wanted_by), "found": list(entry.found)}
            | ({"beside": dict(entry.beside)} if entry.beside else {})
            | ({"vips": list(entry.vips)} if entry.vips else {})
        )
        for key, entry in entries.items()
    )
    body = ",\n".join(lines)
    return f'{{"schema": {SCHEMA},\n "settings": {{\n{body}\n }}}}\n'


def parse_ledger(text: str, path: str) -> dict[str, Entry]:
    """Read a ledger.

    :raises ParseError: not a ledger, or of a schema newer than this version.
    """
    try:
        data = json.loads(text)
        if int(data["schema"]) > SCHEMA:
            raise ParseError(
                path,
                1,
                f"ledger of schema {data['schema']}, this version reads up to {SCHEMA}",
                way_out="install the newer version of the formula again",
            )
        return {str(key): _entry(row) for key, row in data["settings"].items()}
    except MALFORMED as error:
        raise ParseError(
            path,
            1,
            f"not a ledger of settings ({error!r})",
            way_out="move it away: what our file holds is then found again as unknown",
        ) from None


def _entry(row: Mapping[str, object]) -> Entry:
    wanted_by, found, beside = row["wanted_by"], row["found"], row.get("beside", {})
    vips = row.get("vips", [])
    if not (isinstance(wanted_by, list) and isinstance(found, list) and isinstance(beside, dict)):
        raise TypeError("an entry of another form")
    if not isinstance(vips, list):
        raise TypeError("an entry of another form")
    return Entry(
        str(row["value"]),
        tuple(str(name) for name in wanted_by),
        parse_held(found),
        {str(key): str(value) for key, value in beside.items()},
        tuple(str(vip) for vip in vips),
    )
