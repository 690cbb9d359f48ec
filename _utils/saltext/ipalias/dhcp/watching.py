"""Looks for the beacon: a reading each, what of it is new, and what to remember for the next one.

A look waits for a silent peer, a disk, a daemon; the minion's main process waits for nobody. So
it is done in a thread, which Salt's loader never sees, for that is not made for threads. What is
remembered is plain data, for a sync can replace this library between two looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import MALFORMED, EffectError, IpaliasError
from ..host import Host
from ..processes import boot_clock
from . import watch as watching
from .model import DhcpConfig, Member
from .pools import LEASES
from .reading import Since, read
from .setup import Setup
from .synchronize import UNKNOWN, Debt, is_pressing, pay
from .watch import CLEAR, KINDS, Condition

#: Seconds between two looks at what takes a process or a large file.
REST = 15.0
#: Seconds that a beacon waits for a look, which with a living peer takes a few thousandths.
TURN = 0.05
#: Seconds after which a look that does not end is a fault: longer than a fetch of leases takes.
STUCK = 90.0

Look = Callable[[object], dict[str, Any]]


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

    The one thing that it does beside looking: a Kea that may lack leases fetches them (`pay`).

    :param memory: of the look before; what is none counts as the first look.
    """
    looked, since, before, debt = _parse_memory(memory)
    now = boot_clock()
    whole = looked is None or not 0 <= now - looked < REST
    how = {"whole": whole, "ask_with_peer": is_pressing(debt, config, now)}
    reading = read(host, config, me, state=state, since=since, leases=leases, **how)
    paid = pay(reading, debt)
    found = watching.conditions(reading, config.limits, before)
    problem = paid.problem or (before.get(watching.LEASES) if paid.debt else None)
    if problem:
        found[watching.LEASES] = problem
    events = watching.changes(before, found, reading)
    if paid.done and watching.LEASES not in before:
        events.append(watching.event(reading, watching.LEASES, CLEAR, paid.done))
    return {
        "events": events,
        "memory": {
            "looked": now if whole else looked,
            "since": list(reading.since),
            "conditions": {kind: list(each) for kind, each in found.items()},
            "debt": paid.debt and list(paid.debt),
        },
    }


def _parse_memory(
    memory: object,
) -> tuple[float | None, Since, dict[str, Condition], Debt | None]:
    if not isinstance(memory, Mapping):
        return None, Since(), {}, UNKNOWN
    try:
        looked = float(memory["looked"])
        since = Since(*(None if each is None else float(each) for each in memory["since"]))
        rows: Mapping[str, Any] = memory["conditions"]
        found = {
            kind: Condition(str(rows[kind][0]), str(rows[kind][1]))
            for kind in KINDS
            if kind in rows
        }
        left = memory["debt"]
        debt = None if left is None else Debt(bool(left[0]), float(left[1]), float(left[2]))
        return looked, since, found, debt
    except (*MALFORMED, IndexError):
        return None, Since(), {}, UNKNOWN


def side_of(setup: Setup) -> tuple[DhcpConfig, Member]:
    """Return the block and the member that this host is: by the minion's id where that tells it.

    :raises InputError: the host is none of them, or the block cannot be meant.
    """
    config = setup.config()
    for member in config.pair.members:
        if member.name == setup.minion:
            return config, member
    # Where only its addresses tell it, the kernel is asked: a process, each time.
    return setup.member()


class Watcher:
    """Have looks done one after another, beside whoever asks for them.

    :param turn: seconds that `ask` may wait.
    """

    def __init__(self, turn: float = TURN) -> None:
        self._turn = turn
        self._thread: threading.Thread | None = None
        self._found: dict[str, Any] | None = None
        self._error: IpaliasError | None = None
        self._begun = 0.0

    def ask(self, look: Look, memory: object) -> dict[str, Any]:
        """Return what the last look has found, and have the next one begun.

        :param memory: what the answer before this one said; with an answer that comes without
            a look it is handed back.
        :returns: ``events`` and ``memory``.
        :raises IpaliasError: the look failed; the next call begins another.
        """
        if self._thread is None:
            self._begin(look, memory)
        assert self._thread is not None
        self._thread.join(self._turn)
        if self._thread.is_alive():
            took = boot_clock() - self._begun
            if took > STUCK:
                raise EffectError(f"a look at the pair has not ended for {took:.0f} s")
            return {"events": [], "memory": memory}
        self._thread = None
        if self._error is not None:
            raise self._error
        return self._found or {"events": [], "memory": memory}

    def _begin(self, look: Look, memory: object) -> None:
        self._found = self._error = None
        self._begun = boot_clock()

        def run() -> None:
            try:
                self._found = look(memory)
            except IpaliasError as error:
                self._error = error
            except Exception as error:
                self._error = EffectError(f"a look at the pair failed: {error!r}")

        self._thread = threading.Thread(target=run, name="ipalias-dhcp", daemon=True)
        self._thread.start()


#: By the pillar's path: a process watches one pair.
_watchers: dict[str, Watcher] = {}


def watch(name: str, look: Look, memory: object) -> dict[str, Any]:
    """Return what the last look of this process has found; see `Watcher.ask`."""
    return _watchers.setdefault(name, Watcher()).ask(look, memory)
