"""What originals of files would bring back: addresses at the next boot, a VIP among them, say.

An original is what stood there before our first edit. A VIP of direct server return was in it
where our change adopted somebody else's line, or where the ledger was lost and our own block
was taken for somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, cast

from . import silence
from .backends import load, on_host
from .backup import Original
from .dsr import DSR, DsrConfig, parse_dsr
from .dsrsteps import boot_values
from .dsrtuning import kept
from .engine import Engine
from .errors import InputError, IpaliasError, RefusedError
from .host import Host, Overlay
from .live import Snapshot
from .model import Found
from .request import Machine

#: Addresses of an interface that a sentence names.
MOST_NAMED = 20


def refuse_answered(
    engine: Engine, texts: Mapping[str, str], index: Mapping[str, Original]
) -> None:
    """Refuse to bring an address back onto the loopback that this host would answer for.

    It may have been a VIP, which the balancer alone answers for; no ledger says so any more.
    The host has to be silent without what direct server return has set, for these settings go
    with the last VIP; but for one of these, under whose line they stay.

    :param texts: the originals that would be put back, by path.
    :raises RefusedError: naming address, file and setting.
    """
    snapshot = engine.snapshot()
    system = silence.load(engine.host.system)
    carrier = system.loopback(DsrConfig(), snapshot)
    back = {
        found.alias.address: found
        for found in coming_back(engine.host, texts, carrier).values()
        if found.alias.family == 4 and not ip_address(found.alias.address).is_loopback
    }
    if not back:
        return
    # What they make of the settings' files counts too; it is only read from.
    after = cast(Machine, Overlay(engine.host, texts))
    tuning = kept(replace(engine, host=after))
    vips = tuple(found.alias for found in back.values())
    config = replace(_config(engine), vips=vips, loopback=None)
    rows = tuning.rows(system.keys(config, snapshot))
    now = {row["key"]: row["live"] for row in rows}
    there = {address.address for address in snapshot.on(carrier)} - tuning.vips()
    if back.keys() <= there and system.faults(config, snapshot, now):
        # The host has them and answers for them: a router's own, in files that cannot be read now.
        return
    wanted = list(tuning.wanted()) if back.keys() - tuning.vips() else []
    live = {**now, **tuning.without(wanted)}
    boot = boot_values([_without(row) if row["key"] in wanted else row for row in rows])
    faults = system.faults(config, snapshot, live)
    faults += [f"after a boot: {one}" for one in system.faults(config, snapshot, boot)]
    if faults:
        first = next(iter(back.values()))
        original = f"{engine.paths.backup}/{index[first.path].saved}" if first.path in index else ""
        raise RefusedError(
            f"the original sets {', '.join(list(back)[:5])} on {carrier}, and this host would"
            f" answer for it: {faults[0]}",
            where=first.path,
            way_out="set what silences it by `ipalias:sysctl` first, or list it under `dsr`;"
            f" what else is in the original is in {original or engine.paths.backup}",
        )


def _config(engine: Engine) -> DsrConfig:
    """Return which interfaces receive, by the pillar; all, where it does not say."""
    try:
        return parse_dsr(engine.data, engine.root, engine.host.system)
    except InputError:
        return DsrConfig()


def _without(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a setting's row as it is when direct server return wants it no more."""
    if {*row["wanted_by"]} - {DSR}:
        return row
    left = [source["value"] for source in row["sources"] if not source["ours"]]
    return {**row, "after_boot": left[-1] if left else None}


def said_of_coming(
    engine: Engine, texts: Mapping[str, str], names: Sequence[str], snapshot: Snapshot
) -> list[str]:
    """Return, a sentence an interface, what files set again that is not live.

    :param names: interfaces that the ledger knows; those that the originals name come besides.
    """
    named = [link.name for link in snapshot.links if _is_named(link.name, texts)]
    said = []
    for name in dict.fromkeys([*names, *named]):
        live = {address.cidr for address in snapshot.on(name)}
        back = [cidr for cidr in coming_back(engine.host, texts, name) if cidr not in live]
        if back and name in snapshot.by_link:
            more = f" and {len(back) - MOST_NAMED} more" if len(back) > MOST_NAMED else ""
            said.append(
                f"Set by the original, and live again after the next boot: "
                f"{', '.join(back[:MOST_NAMED])}{more} of {name}"
            )
    return said


def _is_named(interface: str, texts: Mapping[str, str]) -> bool:
    word = re.compile(rf"(?<![\w.-]){re.escape(interface)}(?![\w-])")
    return any(word.search(path) or word.search(text) for path, text in texts.items())


def coming_back(host: Host, texts: Mapping[str, str], interface: str) -> dict[str, Found]:
    """Return what the files would set on an interface and do not now, by ``address/prefix``."""
    now, then = (_set_on(each, interface) for each in (host, Overlay(host, texts)))
    return {cidr: found for cidr, found in then.items() if cidr not in now}


def _set_on(host: Host, interface: str) -> dict[str, Found]:
    """Return what any dialect's files set: whose the interface is by the next boot, who knows."""
    found: dict[str, Found] = {}
    for name in on_host(host, interface)[0]:
        backend = load(name)
        try:
            listed = [] if backend.STORED else backend.parse(host, backend.assume(host, interface))
        except IpaliasError:
            continue
        found |= {each.alias.cidr: each for each in listed}
    return found
