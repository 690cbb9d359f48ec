"""The journal of an open change: everything needed to put back what was there before.

One file a change, in the state folder. Its name is its state, and one rename moves it
from a state to the next, so that of two that race exactly one wins:

``open-ID`` → ``committed-ID`` (the change stands) or ``firing-ID`` (it is being put back,
by the dead man, the next run or at boot) or ``waiting-ID`` (applied, to be confirmed).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .effects import FileState
from .errors import MALFORMED, ParseError
from .live import LiveAddress, Route
from .model import Alias, Evidence
from .sysctl import Held, parse_held

#: 2: `Record.routes` holds ways to subnets too, which a reader of 1 takes for default routes.
#: 3: `Record.tuned`, `listener` and `wan`, which a reader of 2 would leave as they are.
#: 4: `Record.dhcp`, likewise.
SCHEMA = 4
OPEN, WAITING, FIRING, COMMITTED = "open", "waiting", "firing", "committed"
#: States in which a change is neither done nor undone.
UNFINISHED = (OPEN, WAITING, FIRING)


@dataclass(frozen=True)
class Part:
    """Hold what one change does to one interface.

    :param live: the interface's addresses before.
    :param touched: ``address/prefix`` of what the change adds, removes or sets anew.
    :param files: paths of the owner's files that it changes.
    :param foreign: addresses that the owner did not set: told to read its files, it might
        take them away.
    :param quiet: True where the owner must not be told at all: it would bring an alias live
        that shall be in the files alone.
    :param up: True where its owner is restarted, which may take the link down, and it was up.
    """

    interface: str
    backend: str
    evidence: Evidence
    added: tuple[Alias, ...] = ()
    removed: tuple[Alias, ...] = ()
    live: tuple[LiveAddress, ...] = ()
    touched: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    quiet: bool = False
    up: bool = False


@dataclass(frozen=True)
class WanPart:
    """Hold what a change does to multi-WAN.

    :param before: text of the configuration that was in force; empty: none.
    :param after: text of the one that the change brings; empty: none.
    :param started_by: what starts the monitor's service (`platforms.init`), or empty.
    """

    before: str
    after: str
    started_by: str


@dataclass(frozen=True)
class DhcpPart:
    """Hold what a change does to DHCP servers.

    :param servers: of each its implementation, the processes that served, and whether a boot
        starts it (`dhcp.services.State`).
    :param rules: the change is about the table of `dhcp.firewall`; `ruled`: there was one.
    :param aside: lease files that the change sets aside while others take their place, and
        `mark`, the file that says that all of them are (`dhcp.aside`).
    """

    servers: tuple[tuple[str, tuple[int, ...], bool], ...] = ()
    rules: bool = False
    ruled: bool = False
    aside: tuple[str, ...] = ()
    mark: str = ""


@dataclass(frozen=True)
class Record:
    """Hold a change as it must be undone.

    :param purpose: function and argument, for messages.
    :param pid: process that applies it.
    :param started: that process's start time as the kernel counts it; with the pid it
        names one process for ever.
    :param deadline: seconds of the boot clock at which the dead man fires; None: no dead man.
    :param boot: id of the boot the deadline belongs to; empty on systems that have none.
    :param opened: seconds of the boot clock when the change began: a clock that shows less
        is that of a later boot.
    :param files: before-images; None: the file was not there.
    :param owned: paths of files that are wholly ours.
    :param written: SHA-256 of what the change writes into the owner's files and ours, by path;
        None: it takes the file away. Where there is something else by now, others wrote it.
    :param routes: routes before, in the order in which they can be added: those to subnets
        that the kernel does not make by itself, the default ones. Those of our own protocol
        number are left out.
    :param kernel: kernel settings that the change borrows, by path, as they were before.
    :param beside: addresses before, by interface, of those that the change is not about and
        that a restart of the whole network reaches.
    :param tuned: what the system had of settings that the change brings about, by key, in the
        order in which they are put back (`sysctl.Store`).
    :param listener: what starts services (`platforms.init`), where the change installs or
        removes the listener of `sysctl.service`; empty where it does neither.
    :param wan: what it does to multi-WAN, or None.
    :param dhcp: what it does to DHCP servers, or None.
    """

    id: str
    purpose: str
    pid: int = 0
    started: int = 0
    deadline: float | None = None
    boot: str = ""
    opened: float | None = None
    files: Mapping[str, FileState | None] = field(default_factory=dict)
    owned: tuple[str, ...] = ()
    written: Mapping[str, str | None] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    routes: tuple[Route, ...] = ()
    kernel: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, tuple[LiveAddress, ...]] = field(default_factory=dict)
    tuned: Mapping[str, Held] = field(default_factory=dict)
    listener: str = ""
    wan: WanPart | None = None
    dhcp: DhcpPart | None = None

    def name(self, state: str) -> str:
        """Return the file name of the record in a state."""
        return f"{state}-{self.id}.json"


def split_name(name: str) -> tuple[str, str] | None:
    """Return state and id of a journal file's name, or None for another file."""
    stem, dot, ending = name.rpartition(".")
    state, dash, ident = stem.partition("-")
    known = state in (*UNFINISHED, COMMITTED)
    return (state, ident) if dot and dash and ending == "json" and known and ident else None


def render_record(record: Record) -> str:
    """Return a record as JSON text; undecodable bytes are kept as escaped surrogates."""
    data: dict[str, Any] = {"schema": SCHEMA}
    data |= {
        key: getattr(record, key)
        for key in ("id", "purpose", "pid", "started", "deadline", "boot", "opened", "owned")
    }
    data["files"] = {
        path: None if state is None else asdict(state) for path, state in record.files.items()
    }
    data["written"] = dict(record.written)
    data["parts"] = [_part_data(part) for part in record.parts]
    data["routes"] = [asdict(route) for route in record.routes]
    data["kernel"] = dict(record.kernel)
    data["beside"] = {name: _live_data(listed) for name, listed in record.beside.items()}
    data["tuned"] = {key: list(held) for key, held in record.tuned.items()}
    data["listener"] = record.listener
    data["wan"] = None if record.wan is None else asdict(record.wan)
    data["dhcp"] = None if record.dhcp is None else asdict(record.dhcp)
    return json.dumps(data) + "\n"


def parse_record(text: str, path: str) -> Record:
    """Read a record.

    :raises ParseError: not a record, or of a schema newer than this version.
    """
    way_out = "move it away, and look at `ipalias.diff`"
    try:
        data = json.loads(text)
        if int(data["schema"]) > SCHEMA:
            raise ParseError(
                path,
                1,
                f"journal of schema {data['schema']}, this version reads up to {SCHEMA}",
                way_out="install the newer version of the formula again",
            )
        return Record(
            id=str(data["id"]),
            purpose=str(data["purpose"]),
            pid=int(data["pid"]),
            started=int(data["started"]),
            deadline=None if data["deadline"] is None else float(data["deadline"]),
            boot=str(data["boot"]),
            opened=None if data.get("opened") is None else float(data["opened"]),
            owned=tuple(data["owned"]),
            files={
                name: None if row is None else FileState(**row)
                for name, row in data["files"].items()
            },
            # Not a schema of its own: a reader that does not know it puts back all the same.
            written={
                str(path): None if text is None else str(text)
                for path, text in data.get("written", {}).items()
            },
            parts=tuple(_part(row) for row in data["parts"]),
            routes=tuple(Route(**row) for row in data["routes"]),
            kernel={str(name): str(value) for name, value in data["kernel"].items()},
            beside={
                str(name): _live(str(name), rows) for name, rows in data.get("beside", {}).items()
            },
            tuned={str(key): parse_held(row) for key, row in data.get("tuned", {}).items()},
            listener=str(data.get("listener", "")),
            wan=WanPart(**data["wan"]) if data.get("wan") else None,
            dhcp=_dhcp(data["dhcp"]) if data.get("dhcp") else None,
        )
    except MALFORMED as error:
        raise ParseError(path, 1, f"not a journal ({error!r})", way_out=way_out) from None


def _alias_data(alias: Alias) -> list[Any]:
    return [alias.address, alias.prefix, alias.label, alias.source, alias.number]


def _part_data(part: Part) -> dict[str, Any]:
    evidence = replace(part.evidence, facts=dict(part.evidence.facts))
    return {
        "interface": part.interface,
        "backend": part.backend,
        "evidence": asdict(evidence),
        "added": [_alias_data(alias) for alias in part.added],
        "removed": [_alias_data(alias) for alias in part.removed],
        "touched": list(part.touched),
        "files": list(part.files),
        "foreign": list(part.foreign),
        "quiet": part.quiet,
        "up": part.up,
        "live": _live_data(part.live),
    }


def _live_data(listed: Iterable[LiveAddress]) -> list[list[Any]]:
    return [
        [a.address, a.prefix, a.label, a.scope, sorted(a.flags), a.protocol, a.preferred_zero]
        for a in listed
    ]


def _live(interface: str, rows: list[Any]) -> tuple[LiveAddress, ...]:
    return tuple(
        LiveAddress(interface, address, prefix, label, scope, frozenset(flags), protocol, zero)
        for address, prefix, label, scope, flags, protocol, zero in rows
    )


def _dhcp(row: Mapping[str, Any]) -> DhcpPart:
    servers = tuple(
        (str(name), tuple(int(pid) for pid in pids), bool(enabled))
        for name, pids, enabled in row["servers"]
    )
    aside = tuple(str(path) for path in row.get("aside", ()))
    mark = str(row.get("mark", ""))
    return DhcpPart(servers, bool(row["rules"]), bool(row["ruled"]), aside, mark)


def _part(row: Mapping[str, Any]) -> Part:
    interface = str(row["interface"])
    evidence = dict(row["evidence"])
    evidence["reasons"] = tuple(evidence["reasons"])

    def alias(item: list[Any]) -> Alias:
        address, prefix, label, source, number = item
        return Alias(address, prefix, interface, label, source, number)

    return Part(
        interface,
        str(row["backend"]),
        Evidence(**evidence),
        tuple(alias(item) for item in row["added"]),
        tuple(alias(item) for item in row["removed"]),
        _live(interface, row["live"]),
        tuple(str(cidr) for cidr in row["touched"]),
        tuple(str(path) for path in row["files"]),
        tuple(str(cidr) for cidr in row["foreign"]),
        bool(row["quiet"]),
        bool(row.get("up", False)),
    )
