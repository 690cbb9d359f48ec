"""What an operator does beside changing addresses: restart, announce, pin, look up."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .effects import run
from .engine import Engine
from .errors import InputError, ParseError
from .model import Command
from .owner import choose, require_link, resolve_default
from .pillar import DEFAULT, Announce
from .transaction import announce_added, run_commands, write_ledger
from .values import parse_interface

#: What each owner is told at each level; ``{interface}`` and ``{file}`` are filled in. Never
#: ``nmcli device reapply``: NetworkManager 1.42 and 1.52 take every IPv6 address of the link
#: away with it and set them again, the primary included (seen). The gentlest level
#: that does the work is ``alias``. Guides: ``interface`` of ifupdown and ``network`` are
#: their last steps; the rest is each platform's own tool.
RESTARTS: Mapping[str, Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "ifupdown": {
        "alias": (),
        "interface": (("ifdown", "{interface}"), ("ifup", "{interface}")),
        "network": (("systemctl", "restart", "networking.service"),),
    },
    "networkd": {
        "alias": (("networkctl", "reload"),),
        "interface": (("networkctl", "reconfigure", "{interface}"),),
        "network": (("systemctl", "restart", "systemd-networkd.service"),),
    },
    "netplan": {
        "alias": (("netplan", "generate"),),
        "interface": (("netplan", "generate"), ("networkctl", "reconfigure", "{interface}")),
        "network": (("netplan", "apply"),),
    },
    "networkmanager": {
        "alias": (("nmcli", "connection", "load", "{file}"),),
        "interface": (("nmcli", "device", "connect", "{interface}"),),
        "network": (("systemctl", "restart", "NetworkManager.service"),),
    },
}
CUTS = {
    "alias": "the primary address and its connections stay",
    "interface": "every connection over {interface} may be cut",
    "network": "every connection of this host may be cut",
}
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


def restart(engine: Engine, *, name: str, scope: str, test: bool = False) -> dict[str, Any]:
    """Run the owner's restart at one level, then bring live whatever fell with it.

    :param scope: ``alias``, ``interface`` or ``network``.
    :raises InputError: unknown interface or level.
    :raises EffectError: a command failed.
    """
    if scope not in CUTS:
        raise InputError(
            f"{scope!r} is unknown", where="scope", way_out=f"one of {', '.join(CUTS)}"
        )
    parse_interface(name, "interface")
    with engine.lock(f"ipalias.restart {name}", test):
        config, ledger, snapshot = engine.config(), engine.ledger(), engine.snapshot()
        if name == DEFAULT:
            name = resolve_default((4,), snapshot, ledger, (), "interface")[4]
        require_link(snapshot, name, "interface")
        wanted = config.interfaces[name].backend if name in config.interfaces else "auto"
        backend, evidence = choose(engine.host, name, wanted, ledger, "interface")
        argvs = RESTARTS[backend.NAME][scope]
        file = evidence.file or ""
        if evidence.facts.get("renderer") == "NetworkManager" and scope != "network":
            file = evidence.facts.get("keyfile", "")
            argvs = (*RESTARTS["netplan"]["alias"], *RESTARTS["networkmanager"][scope])
        commands = [
            Command(tuple(word.format(interface=name, file=file) for word in argv), timeout=120.0)
            for argv in argvs
        ]
        said = [" ".join(command.argv) for command in commands]
        cuts = CUTS[scope].format(interface=name)
        if not test:
            run(run_commands(commands), engine.host.perform)
    verb = "Would run" if test else "Ran"
    listed = "; ".join(f"`{line}`" for line in said) or "nothing: aliases need no restart here"
    return {
        "result": None if test else True,
        "changes": {"commands": said} if said else {},
        "comment": f"{verb} {listed} ({cuts})",
    }


def pin_default(engine: Engine, *, test: bool = False) -> dict[str, Any]:
    """Pin ``default`` to where the default routes leave now.

    :raises InputError: several default routes of one family.
    """
    with engine.lock("ipalias.pin_default", test):
        ledger, snapshot = engine.ledger(), engine.snapshot()
        families = [family for family in (4, 6) if snapshot.defaults(family)]
        fresh = replace(ledger, default={})
        resolved = resolve_default(families, snapshot, fresh, (), "default")
        pinned = {str(family): name for family, name in resolved.items()}
        changes = {
            f"ipv{family}": {"old": ledger.default.get(family), "new": name}
            for family, name in pinned.items()
            if ledger.default.get(family) != name
        }
        if changes and not test:
            after = replace(ledger, default=pinned)
            run(write_ledger(after, engine.settings), engine.host.perform)
    listed = ", ".join(f"IPv{family}: {name}" for family, name in pinned.items()) or "nothing"
    return {
        "result": None if test and changes else True,
        "changes": changes,
        "comment": f"`default` is {listed}",
    }


def announce(
    engine: Engine, addresses: Sequence[str] | None, interface: str | None, how: Announce
) -> dict[str, Any]:
    """Announce live aliases of ours to the neighbours.

    :param addresses: only these; None for all.
    :raises InputError: an address that is not ours or not live.
    """
    ledger, snapshot = engine.ledger(), engine.snapshot()
    live = {(address.interface, address.address) for address in snapshot.addresses}
    ours = [
        entry.alias
        for name, entries in ledger.interfaces.items()
        if interface in (None, name)
        for entry in entries.values()
        if (name, entry.alias.address) in live
    ]
    if addresses is not None:
        known = {alias.address for alias in ours}
        for address in addresses:
            if address not in known:
                raise InputError(
                    f"{address} is not a live alias of ours",
                    where="address",
                    way_out="see `ipalias.list`",
                )
        ours = [alias for alias in ours if alias.address in set(addresses)]
    run(announce_added(ours, snapshot, how), engine.host.perform)
    return {"result": True, "announced": len(ours), "count": how.count, "interval": how.interval}


def journal(engine: Engine, name: str | None) -> Any:
    """Return a kept change by its id, or the ids.

    :raises InputError: no such id.
    """
    folder = engine.paths.journal
    if name is None:
        return [
            path.rsplit("/", 1)[1][: -len(".json")] for path in engine.host.glob(f"{folder}/*.json")
        ]
    text = engine.host.read(f"{folder}/{name}.json") if _ID.fullmatch(str(name)) else None
    if text is None:
        raise InputError(f"there is no journal entry {name!r}"[:120], where="name")
    try:
        return json.loads(text)["changes"]
    except (ValueError, KeyError, TypeError) as error:
        raise ParseError(f"{folder}/{name}.json", 1, f"not a journal entry ({error})") from None
