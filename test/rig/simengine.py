"""The engine on a simulated host."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from rig.simhost import READING, SimHost
from saltext.ipalias import backends, owner
from saltext.ipalias.addresses import parse_item
from saltext.ipalias.effects import Effect
from saltext.ipalias.engine import Answer, Engine
from saltext.ipalias.ledger import Ledger, parse_ledger
from saltext.ipalias.model import Alias

#: Ids of changes, each used once, as on a real host.
_ids = itertools.count(1)
LEDGER = "/var/lib/ipalias/ledger.json"


def present(names: tuple[str, ...] = backends.REGISTRY) -> list[str]:
    """Return the dialects whose module exists."""
    found = []
    for name in names:
        try:
            backends.load(name)
        except ModuleNotFoundError as error:
            if error.name != f"{backends.__name__}.{name}":
                raise
        else:
            found.append(name)
    return found


def engine(host: SimHost, pillar: dict[str, Any] | None = None) -> Engine:
    """Return an engine on a host, the pillar being the block ``ipalias``."""
    return Engine(host=host, data=pillar, new_id=lambda: f"id-{next(_ids):06d}")


def fit(dialect: str, items: list[object]) -> list[object]:
    """Return the items without the options, and the addresses, that a dialect refuses."""
    refused = backends.load(dialect).UNSUPPORTED
    fitted: list[object] = []
    for item in items:
        address = str(item.get("address")) if isinstance(item, dict) else str(item)
        six = ":" in address
        if six and not takes_ipv6(dialect):
            continue
        if isinstance(item, dict):
            gone = {"label"} if "label" in refused else set()
            keys = {"source6"} if six else {"source4"}
            if not six and address.partition("/")[2] not in ("", "32"):
                keys.add("wide_source4")
            gone |= {"source"} if keys & set(refused) else set()
            item = {key: value for key, value in item.items() if key not in gone}
        fitted.append(item)
    return fitted


def takes_ipv6(dialect: str) -> bool:
    """Tell whether a dialect has IPv6 aliases at all."""
    return "ipv6" not in backends.load(dialect).UNSUPPORTED


def had(host: SimHost, *addresses: str) -> list[str]:
    """Return the addresses that the host's owner can have as aliases: IPv6 with all but one."""
    return [a for a in addresses if ":" not in a or not host.owner or takes_ipv6(host.owner)]


def block(*addresses: object, interface: str = "eth0", **settings: object) -> dict[str, Any]:
    """Return a pillar block with one interface."""
    return {"interfaces": {interface: {"addresses": list(addresses), **settings}}}


def ledger(host: SimHost) -> Ledger:
    """Return a host's ledger."""
    return parse_ledger(host.files.read(LEDGER), LEDGER)


def live(host: SimHost, interface: str = "eth0") -> set[str]:
    """Return the live addresses of a link, link-local ones left out."""
    link = host.net.links[interface]
    return {a.cidr for a in (*link.addresses4, *link.addresses6) if a.scope != "link"}


def aliases(*items: object, interface: str = "eth0") -> list[Alias]:
    """Return the aliases that items of a pillar list mean."""
    return [alias for item in items for alias in parse_item(item, interface, "address")]


def changed(host: SimHost, call: Callable[[], Answer]) -> list[Effect]:
    """Return the effects of a call that change something."""
    start = len(host.log)
    call()
    return [effect for effect in host.log[start:] if not isinstance(effect, READING)]


def only_present(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let detection ask the dialects that exist, while one is still to come."""
    names = present()
    monkeypatch.setattr(
        owner,
        "all_backends",
        lambda system="linux": [b for b in map(backends.load, names) if system in b.SYSTEMS],
    )
