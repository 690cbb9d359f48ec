"""The ledger: what this formula put on a host, where, and on whose word.

Only what stands here is ever removed. It is kept as JSON text; reading and writing the
file are effects and live elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from .errors import MALFORMED, ParseError
from .model import SOURCE_AUTO, Alias

SCHEMA = 1
ORIGIN_PILLAR = "pillar"
ORIGIN_HAND = "hand"
ORIGIN_ADOPTED = "adopted"
ORIGIN_UNKNOWN = "unknown"
#: A virtual address of direct server return; `dsr` alone adds and removes these.
ORIGIN_DSR = "dsr"
ORIGINS = (ORIGIN_PILLAR, ORIGIN_HAND, ORIGIN_ADOPTED, ORIGIN_DSR, "floating", ORIGIN_UNKNOWN)


@dataclass(frozen=True)
class Entry:
    """Hold one alias that is ours.

    :param origin: on whose word it is here: one of `ORIGINS`.
    :param file: True when our part of the files holds it.
    :param live: True when it shall be live.
    """

    alias: Alias
    origin: str
    file: bool = True
    live: bool = True


@dataclass(frozen=True)
class Ledger:
    """Hold all entries of a host.

    :param interfaces: interface → ``address/prefix`` → entry, in order.
    :param backends: interface → dialect its entries were written in.
    :param default: family (``"4"``, ``"6"``) → interface that ``default`` was resolved to.
    :param lost: True when the file was missing; entries found in our own files then get
        the origin ``unknown``.
    """

    interfaces: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)
    default: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False

    def on(self, interface: str) -> Mapping[str, Entry]:
        """Return one interface's entries."""
        return self.interfaces.get(interface, {})

    def with_interface(self, interface: str, entries: Iterable[Entry], backend: str) -> Ledger:
        """Return a ledger in which one interface's entries are these."""
        interfaces = dict(self.interfaces)
        backends = dict(self.backends)
        listed = {entry.alias.cidr: entry for entry in entries}
        if listed:
            interfaces[interface] = listed
            backends[interface] = backend
        else:
            interfaces.pop(interface, None)
            backends.pop(interface, None)
        return replace(self, interfaces=interfaces, backends=backends)

    def with_default(self, family: int, interface: str) -> Ledger:
        """Return a ledger in which ``default`` of a family is pinned to an interface."""
        return replace(self, default={**self.default, str(family): interface})


def render_ledger(ledger: Ledger) -> str:
    """Return the ledger as JSON text, one entry a line."""
    blocks = []
    for name, entries in ledger.interfaces.items():
        # An address needs no escaping.
        lines = ",\n".join(f'   "{cidr}": {_entry_text(entry)}' for cidr, entry in entries.items())
        backend = json.dumps(ledger.backends.get(name, ""))
        blocks.append(
            f'  {json.dumps(name)}: {{"backend": {backend}, "aliases": {{\n{lines}\n  }}}}'
        )
    body = ",\n".join(blocks)
    default = json.dumps(dict(ledger.default))
    return f'{{"schema": {SCHEMA},\n "default": {default},\n "interfaces": {{\n{body}\n }}}}\n'


def parse_ledger(text: str | None, path: str, *, entries: bool = True) -> Ledger:
    """Read a ledger; None (no file) gives an empty one marked as lost.

    :param entries: False leaves them unread, for who only asks which interfaces there are.
    :raises ParseError: not JSON, not a ledger, or of a schema newer than this version.
    """
    if text is None:
        return Ledger(lost=True)
    way_out = "move it away: aliases in files of ours are then found again as unknown"
    try:
        data = json.loads(text)
        schema = int(data["schema"])
    except MALFORMED as error:
        raise ParseError(path, 1, f"not a ledger ({error})", way_out=way_out) from None
    if schema > SCHEMA:
        raise ParseError(
            path,
            1,
            f"ledger of schema {schema}, this version reads up to {SCHEMA}",
            way_out="install the newer version of the formula again",
        )
    try:
        interfaces = {
            str(name): {
                str(cidr): _entry(str(name), str(cidr), row)
                for cidr, row in (aliases.items() if entries else ())
            }
            for name, block in data["interfaces"].items()
            for aliases in (block["aliases"],)
        }
        backends = {str(name): str(block["backend"]) for name, block in data["interfaces"].items()}
        default = {str(family): str(name) for family, name in data["default"].items()}
    except MALFORMED as error:
        raise ParseError(path, 1, f"not a ledger ({error!r})", way_out=way_out) from None
    return Ledger(interfaces, backends, default)


def _entry_text(entry: Entry) -> str:
    """Return what is written of an entry as JSON; most have an origin and maybe a slot."""
    alias = entry.alias
    if entry.file and entry.live and alias.label is None and alias.source == SOURCE_AUTO:
        slot = "" if alias.number is None else f', "number": {alias.number}'
        return f'{{"origin": "{entry.origin}"{slot}}}'
    return json.dumps(_entry_data(entry))


def _entry_data(entry: Entry) -> dict[str, object]:
    """Return what is written of an entry; what has its usual value is left out."""
    alias = entry.alias
    data: dict[str, object] = {"origin": entry.origin}
    if not entry.file:
        data["file"] = False
    if not entry.live:
        data["live"] = False
    if alias.label is not None:
        data["label"] = alias.label
    if alias.source != SOURCE_AUTO:
        data["source"] = alias.source
    if alias.number is not None:
        data["number"] = alias.number
    return data


def _entry(interface: str, cidr: str, row: Mapping[str, object]) -> Entry:
    """Build an entry from what was written of it."""
    address, prefix = cidr.rsplit("/", 1)
    origin, number = row["origin"], row.get("number")
    if origin not in ORIGINS:
        raise ValueError(f"origin {origin!r}")
    if len(row) == 1 + ("number" in row) and (number is None or type(number) is int):
        # Most entries. By position: with thousands, the names of parameters tell.
        alias = Alias(address, int(prefix), interface, None, SOURCE_AUTO, number)
        return Entry(alias, str(origin))
    label = row.get("label")
    alias = Alias(
        address,
        int(prefix),
        interface,
        label=None if label is None else str(label),
        source=str(row.get("source", SOURCE_AUTO)),
        number=None if number is None else int(str(number)),
    )
    return Entry(alias, str(origin), bool(row.get("file", True)), bool(row.get("live", True)))
