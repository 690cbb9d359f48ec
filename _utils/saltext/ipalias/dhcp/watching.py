"""One look for the beacon: a reading, what of it is new, and what to remember for the next one.

What is remembered is plain data, for a sync can replace this library between two looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import MALFORMED
from ..host import Host
from ..processes import boot_clock
from . import watch
from .model import DhcpConfig, Member
from .reading import LEASES, Since, read
from .watch import KINDS, Condition

#: Seconds between two looks at what takes a process or a large file.
REST = 15.0


def look(
    host: Host,
    config: DhcpConfig,
    me: Member,
    memory: object = None,
    *,
    state: str = "/var/lib/ipalias",
    leases: str = LEASES,
) -> dict[str, Any]:
    """Return ``events`` (see `watch.events`) and the ``memory`` to give to the next look.

    :param memory: of the look before; what is none counts as the first look.
    """
    looked, since, before = _parse_memory(memory)
    now = boot_clock()
    whole = looked is None or not 0 <= now - looked < REST
    reading = read(host, config, me, state=state, since=since, whole=whole, leases=leases)
    found = watch.conditions(reading, config.limits, before)
    return {
        "events": watch.changes(before, found, reading),
        "memory": {
            "looked": now if whole else looked,
            "since": list(reading.since),
            "conditions": {kind: list(each) for kind, each in found.items()},
        },
    }


def _parse_memory(memory: object) -> tuple[float | None, Since, dict[str, Condition]]:
    if not isinstance(memory, Mapping):
        return None, Since(), {}
    try:
        looked = float(memory["looked"])
        reached, silent = (None if each is None else float(each) for each in memory["since"])
        rows: Mapping[str, Any] = memory["conditions"]
        found = {
            kind: Condition(str(rows[kind][0]), str(rows[kind][1]))
            for kind in KINDS
            if kind in rows
        }
        return looked, Since(reached, silent), found
    except (*MALFORMED, IndexError):
        return None, Since(), {}
