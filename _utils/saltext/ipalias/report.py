"""What is there, told: rows of `diff`, the pillar that would describe a host, `verify`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .backends import REGISTRY, load
from .dsr import listed_vips
from .engine import Engine
from .errors import IpaliasError
from .host import Remembered
from .ledger import ORIGIN_DSR, Ledger
from .live import LiveAddress, Snapshot, is_loopback
from .model import Alias, Evidence, canonical_address
from .owner import detect_all
from .pillar import DEFAULT, Config, InterfaceConfig, interface_names
from .situation import Situation
from .values import parse_interface
from .verify import address_problem

Row = dict[str, Any]
#: Strength of evidence from which on a dialect does own an interface now; see `Evidence`.
RUNS = 2


def situations(engine: Engine, interface: str | None = None) -> list[Situation]:
    """Return the situation of each interface that the pillar or the ledger names.

    :param interface: only this one, named or not.
    """
    config, ledger, snapshot = engine.config(), engine.ledger(), engine.snapshot()
    if interface is not None:
        names = [parse_interface(interface, "interface", engine.host.system)]
    else:
        names = [name for name in config.interfaces if name != DEFAULT]
        names += [*ledger.interfaces, *_default_names(config, ledger, snapshot)]
    return [
        engine.situation(name, _block(engine, config, name, ledger, snapshot), ledger, snapshot)
        for name in dict.fromkeys(names)
        if name in snapshot.by_link or interface is not None
    ]


def _default_names(config: Config, ledger: Ledger, snapshot: Snapshot) -> list[str]:
    """Return what ``default`` means now: as pinned, else as the routes have it."""
    if DEFAULT not in config.interfaces:
        return []
    named = (_pinned_or_routed(ledger, snapshot, family) for family in (4, 6))
    return [name for name in named if name is not None]


def _block(
    engine: Engine, config: Config, name: str, ledger: Ledger, snapshot: Snapshot
) -> InterfaceConfig:
    """Return the pillar's settings for a real interface, also before ``default`` is pinned."""
    if name not in config.interfaces and name in _default_names(config, ledger, snapshot):
        return config.interfaces[DEFAULT]
    return engine.settings_of(name, config, ledger)


def desired_on(engine: Engine, situation: Situation) -> dict[str, Alias]:
    """Return the pillar's aliases for a real interface, by ``address/prefix``."""
    config = engine.config()
    blocks: list[tuple[InterfaceConfig, frozenset[int]]] = []
    if situation.interface in config.interfaces:
        blocks.append((config.interfaces[situation.interface], frozenset((4, 6))))
    if DEFAULT in config.interfaces:
        families = frozenset(
            family
            for family in (4, 6)
            if _pinned_or_routed(situation.ledger, situation.snapshot, family)
            == situation.interface
        )
        blocks.append((config.interfaces[DEFAULT], families))
    return {
        alias.cidr: alias
        for block, families in blocks
        for alias in block.aliases
        if alias.family in families
    }


def _pinned_or_routed(ledger: Ledger, snapshot: Snapshot, family: int) -> str | None:
    routes = snapshot.defaults(family)
    routed = routes[0].interface if routes else None
    return ledger.default.get(str(family), routed)


def diff_rows(engine: Engine, interface: str | None = None) -> list[Row]:
    """Return a row for each address: in the pillar, in a file, live, and what that means."""
    rows: list[Row] = []
    for situation in situations(engine, interface):
        desired = {**desired_on(engine, situation), **_vips(engine, situation)}
        listed = [*desired, *situation.entries, *situation.foreign_found, *situation.live]
        rows += [_row(situation, desired, cidr) for cidr in dict.fromkeys(listed)]
    return rows


def _vips(engine: Engine, situation: Situation) -> dict[str, Alias]:
    """Return the VIPs on an interface that the pillar lists, by ``address/prefix``."""
    listed = {canonical_address(text.partition("/")[0]) for text in listed_vips(engine.data)}
    return {
        cidr: entry.alias
        for cidr, entry in situation.entries.items()
        if entry.origin == ORIGIN_DSR and entry.alias.address in listed
    }


def _row(situation: Situation, desired: dict[str, Alias], cidr: str) -> Row:
    """Return one address's row."""
    entry = situation.entries.get(cidr)
    foreign = situation.foreign_found.get(cidr)
    ours = situation.other_found.get(cidr)
    in_file = foreign or (ours if cidr in situation.in_our_files else None)
    live = situation.live.get(cidr)
    row: Row = {
        "interface": situation.interface,
        "address": cidr,
        "pillar": cidr in desired,
        "file": in_file.where if in_file is not None else None,
        "live": live is not None,
        "label": (live.label if live is not None else None),
        "origin": entry.origin if entry is not None else None,
    }
    row["state"] = _state(situation, row, desired.get(cidr))
    return row


def _state(situation: Situation, row: Row, wanted: Alias | None) -> str:
    """Return the word for a row.

    ``ok``, ``missing``, ``missing-file``, ``missing-live``, ``wrong`` (label, source
    policy, DAD), ``present`` (a foreign line has it), ``extra`` (ours, not in the
    pillar), ``primary``, ``foreign``.
    """
    entry = situation.entries.get(row["address"])
    address = row["address"].rsplit("/", 1)[0]
    if entry is None and wanted is None:
        return "primary" if address in situation.primaries.values() else "foreign"
    if wanted is not None and entry is None and row["file"]:
        return "present" if row["live"] else "missing-live"
    file_wanted = entry.file if entry is not None else True
    live_wanted = entry.live if entry is not None else True
    file_missing = file_wanted and not row["file"]
    live_missing = live_wanted and not row["live"]
    if file_missing and live_missing:
        return "missing"
    if file_missing:
        return "missing-file"
    if live_missing:
        return "missing-live"
    alias = wanted or (entry.alias if entry is not None else None)
    if alias is not None and row["live"] and address_problem(alias, None, situation.live):
        return "wrong"
    return "ok" if wanted is not None else "extra"


def problems(engine: Engine, interface: str | None = None) -> list[str]:
    """Return what is not as pillar and ledger want it, in sentences."""
    said: list[str] = []
    for situation in situations(engine, interface):
        desired = desired_on(engine, situation)
        wanted = {
            **{cidr: entry.alias for cidr, entry in situation.entries.items() if entry.live},
            **desired,
        }
        for alias in wanted.values():
            label = situation.backend.live_label(alias, situation.evidence) if alias.label else None
            problem = address_problem(alias, label, situation.live)
            if problem:
                said.append(f"{situation.interface}: {problem}")
        for cidr in wanted:
            entry = situation.entries.get(cidr)
            in_file = cidr in situation.in_our_files or cidr in situation.foreign_found
            if not in_file and (entry is None or entry.file):
                said.append(f"{situation.interface}: {cidr} is in no file")
    return said


def uses(engine: Engine, name: str) -> bool:
    """Tell whether a dialect owns an interface of the pillar or of the ledger now.

    A configuration file whose daemon does not run is no ownership here. The dialect alone is
    asked first, for most are not even installed.
    """
    if name not in REGISTRY:
        return False
    ledger = engine.ledger()
    listed = {*interface_names(engine.data, engine.root), *ledger.interfaces}
    if DEFAULT not in listed or ledger.default:
        listed = listed - {DEFAULT} | set(ledger.default.values())
        backend, host = load(name), Remembered(engine.host)
        if all(backend.detect(host, interface).strength < RUNS for interface in listed):
            return False
    return any(
        name == situation.backend.NAME and situation.evidence.strength >= RUNS
        for situation in situations(engine)
    )


def in_use(engine: Engine) -> list[str]:
    """Return the dialects that own an interface of the pillar or of the ledger now."""
    found = [s.backend.NAME for s in situations(engine) if s.evidence.strength >= RUNS]
    return list(dict.fromkeys(found))


def ours(engine: Engine) -> dict[str, Row]:
    """Return what is ours, interface by interface, with origin and state."""
    listed: dict[str, Row] = {}
    for row in diff_rows(engine):
        if row["origin"] is None:
            continue
        block = listed.setdefault(row["interface"], {})
        block[row["address"]] = {key: row[key] for key in ("origin", "label", "file", "live")}
    return listed


def import_pillar(engine: Engine, interface: str | None = None) -> dict[str, Any]:
    """Return the pillar block for the aliases that the host has, whoever made them."""
    snapshot, ledger, config = engine.snapshot(), engine.ledger(), engine.config()
    names = [link.name for link in snapshot.links]
    if interface is not None:
        names = [parse_interface(interface, "interface", engine.host.system)]
    blocks: dict[str, Any] = {}
    for name in names:
        if is_loopback(name) and interface is None:
            continue
        block = _block(engine, config, name, ledger, snapshot)
        try:
            situation = engine.situation(name, block, ledger, snapshot)
        except IpaliasError:
            if interface is not None:
                raise
            continue
        items = [_item(situation, alias) for alias in existing(situation)]
        if items:
            blocks[name] = {"addresses": items}
    return {"ipalias": {"interfaces": blocks}}


def existing(situation: Situation) -> list[Alias]:
    """Return the aliases in files and in the kernel, the primaries and leases left out."""
    aliases: dict[str, Alias] = {}
    for found in situation.found:
        aliases[found.alias.cidr] = found.alias
    for live in situation.snapshot.on(situation.interface):
        if _static(live) and live.cidr not in aliases:
            aliases[live.cidr] = _alias_of(live)
    primaries = set(situation.primaries.values())
    return [alias for alias in aliases.values() if alias.address not in primaries]


def _static(live: LiveAddress) -> bool:
    return live.scope in ("global", "host", "site") and not live.flags & {
        "dynamic",
        "mngtmpaddr",
        "temporary",
    }


def _alias_of(live: LiveAddress) -> Alias:
    hidden = live.preferred_zero if live.family == 6 else live.scope == "host"
    source = "never" if hidden else "auto"
    return Alias(live.address, live.prefix, live.interface, live.label, source)


def _item(situation: Situation, alias: Alias) -> str | dict[str, str]:
    """Return a pillar item: the plain form wherever it says everything."""
    text = alias.address if alias.single else alias.cidr
    item: dict[str, str] = {"address": text}
    label = alias.label or ""
    number = label.rpartition(":")[2].isdigit()
    takes_labels = "label" not in situation.backend.UNSUPPORTED and alias.family == 4
    if label and takes_labels and label != alias.interface and not number:
        item["label"] = label
    if alias.never_source:
        item["source"] = "never"
    return text if len(item) == 1 else item


def explain(engine: Engine, interface: str | None = None) -> dict[str, Any]:
    """Return who owns each interface, on what evidence, and what was rejected."""
    snapshot = engine.snapshot()
    names = [link.name for link in snapshot.links]
    if interface is not None:
        names = [parse_interface(interface, "interface", engine.host.system)]
    told: dict[str, Any] = {}
    for name in names:
        if is_loopback(name) and interface is None:
            continue
        evidence = detect_all(engine.host, name)
        owner = evidence[0].backend if evidence and evidence[0].owns else None
        told[name] = {
            "owner": owner,
            "evidence": [_told(item) for item in evidence if item.backend == owner],
            "rejected": [_told(item) for item in evidence if item.backend != owner],
        }
    return told


def _told(evidence: Evidence) -> Row:
    return {
        "backend": evidence.backend,
        "owns": evidence.owns,
        "reasons": list(evidence.reasons),
        "file": evidence.file,
        "facts": dict(evidence.facts),
    }


def describe_backends(names: Iterable[str] = REGISTRY) -> dict[str, Row]:
    """Return what each backend can and cannot express."""
    return {
        backend.NAME: {
            "refuses": dict(backend.UNSUPPORTED),
            "max_addresses": backend.MAX_ADDRESSES,
            "numbers_unlabelled": backend.NUMBERED,
            "options": {key: list(values) for key, values in backend.OPTIONS.items()},
            "about": (load(backend.NAME).__doc__ or "").strip().splitlines()[0],
        }
        for backend in map(load, names)
    }
