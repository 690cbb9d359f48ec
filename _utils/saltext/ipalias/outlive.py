"""What outlives a Salt job, run from the frozen copy: the dead man, and the boot restore.

Neither needs Salt, a name server or the network. Everything is imported and read before
the dead man says ``armed``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module

from . import disk, journal, platforms, processes, sysctl, system
from .backends import load
from .effects import run
from .guarded import put_back, put_back_at_boot
from .journal import OPEN, UNFINISHED, WAITING, Record
from .live import tools
from .paths import Paths
from .sysctl import listener, service

#: Seconds between two looks at the journal and at the clock.
POLL = 0.1
COMMITTED, RESTORED, IN_PART = 0, 1, 2


def main(arguments: list[str]) -> int:
    """Run ``guard STATE ID``, ``boot STATE``, ``boot-live STATE`` or ``sysctl STATE``.

    :return: the exit code.
    """
    verb, state, *rest = arguments
    if verb == service.VERB:
        return listener.listen(Paths(state))
    if verb == "guard":
        try:
            return guard(Paths(state), rest[0])
        finally:
            processes.end_apart(platforms.guard_name(rest[0]), dict(os.environ))
    return boot(Paths(state), live=verb == "boot-live")


def guard(paths: Paths, ident: str) -> int:
    """Watch one open change until it is committed, or put it back.

    It fires at its deadline, and at once where the process that applies the change has
    died: half a change is never left to wait. The deadline is boot time: a clock that is
    set and a host that sleeps move nothing.

    :return: `COMMITTED` (or another put it back first), `RESTORED`, `IN_PART`.
    """
    host = system.RealHost()
    path = paths.record(OPEN, ident)
    record = journal.parse_record(host.read(path) or "", path)
    # Both are modules that are loaded by name, where they are first used.
    tools.load(host.system)
    for part in record.parts:
        load(part.backend)
    sysctl.load(host.system)
    if record.wan is not None:
        bsd = host.system in ("openbsd", "freebsd")
        for name in ("start", "bsdroutes", host.system if bsd else "live"):
            import_module(f"{__package__}.wan.{name}")
    disk.say(paths.armed(ident), "armed\n")
    try:
        while not _is_due(host, paths, record):
            if not _is_pending(host, paths, ident):
                return COMMITTED
            time.sleep(POLL)
        # A disk that takes no rename is no reason to leave a cut-off host cut off: nobody else
        # acts once the process that applies the change has ended and the lock is held.
        with contextlib.suppress(OSError):
            if not _claim(paths, ident, (OPEN, WAITING)):
                return COMMITTED
        processes.end_process(record.pid, record.started)
        with system.lock(paths, f"dead man of {record.purpose}", timeout=600.0):
            with contextlib.suppress(OSError):
                _claim(paths, ident, (OPEN, WAITING))
            return _put_back(host, paths, record)
    finally:
        disk.forget(paths.armed(ident))


def _claim(paths: Paths, ident: str, states: Sequence[str]) -> bool:
    """Take a record over, to put back what it says; False where another was quicker."""
    firing = paths.record(journal.FIRING, ident)
    return any(disk.claim(paths.record(state, ident), firing) for state in states)


def _is_pending(host: system.RealHost, paths: Paths, ident: str) -> bool:
    return any(host.exists(paths.record(state, ident)) for state in (OPEN, WAITING))


def _is_due(host: system.RealHost, paths: Paths, record: Record) -> bool:
    if record.deadline is not None and processes.boot_clock() >= record.deadline:
        return True
    waiting = host.exists(paths.record(WAITING, record.id))
    return not waiting and not processes.is_alive(record.pid, record.started)


def _put_back(host: system.RealHost, paths: Paths, record: Record) -> int:
    """Put an unfinished change back, if nobody else has done so."""
    if not any(host.exists(paths.record(state, record.id)) for state in UNFINISHED):
        return COMMITTED
    problems = run(put_back(record, host, paths, keep=True), host.perform)
    left = f"; not put back: {'; '.join(problems)}" if problems else ""
    processes.log(f"{record.purpose}: no commit came, everything was put back{left}")
    return IN_PART if problems else RESTORED


def boot(paths: Paths, *, live: bool = False) -> int:
    """Put back the files of every change that a crash left unfinished, before the network.

    :param live: put addresses back as well, for a system that runs us only after it.
    """
    host = system.RealHost()
    with system.lock(paths, "boot restore"):
        said = run(put_back_at_boot(host, paths, live=live), host.perform)
    for sentence in said:
        processes.log(sentence)
        # Before the network nothing may listen to syslog yet: SMF keeps what is written here,
        # rc(8) and OpenRC show it on the console. The journal of systemd has both.
        if "JOURNAL_STREAM" not in os.environ and sys.stderr is not None:
            print(f"ipalias: {sentence}", file=sys.stderr, flush=True)
    if any("not put back" in sentence for sentence in said):
        return IN_PART
    return RESTORED if said else COMMITTED
