"""A change that stands or falls as a whole: journal, dead man, votes, commit.

journal → dead man armed → the change itself → votes → commit by one rename; or, whatever
fails, everything put back from the journal. A process that dies in between leaves the
journal: the dead man, the next run or the next boot put back what it says.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from .backends import load
from .checks import CheckSpec, chosen_checks, patience
from .effects import (
    AwaitArmed,
    Check,
    Effects,
    Identify,
    Pause,
    ReadClock,
    Rename,
    StartGuard,
    SyncFolder,
    Unlink,
)
from .errors import EffectError, IpaliasError, RefusedError, VerifyError
from .files import TEMPORARY, write_state
from .host import Host
from .journal import (
    COMMITTED,
    FIRING,
    OPEN,
    UNFINISHED,
    WAITING,
    Part,
    Record,
    parse_record,
    render_record,
    split_name,
)
from .live import Snapshot
from .live.ops import BatchError
from .paths import Paths, Settings
from .recover import recover

T = TypeVar("T")
#: Wait between two rounds of votes (seconds).
VOTE_AGAIN = 0.25


@dataclass(frozen=True)
class Verdict:
    """Hold what became of a change besides its own value.

    :param notes: what the operator should know: checks that do not vote, no dead man.
    :param waiting: True when the change waits for `ipalias.confirm`.
    """

    notes: tuple[str, ...] = ()
    waiting: bool = False


def guarded(
    record: Record, body: Effects[T], before: Snapshot, host: Host, settings: Settings
) -> Effects[tuple[T, Verdict]]:
    """Carry out a change under journal and dead man.

    :param record: before-images; process and deadline are filled in here.
    :param body: the change itself.
    :param before: the kernel before, for the choice of votes.
    :raises EffectError: something failed; everything is as it was before.
    :raises VerifyError: the change did not show, or a vote went against it; undone.
    """
    paths, guard = settings.paths, settings.guard
    notes: list[str] = []
    pid, started, boot = yield Identify()
    now: float = yield ReadClock()
    record = replace(record, pid=pid, started=started, boot=boot, opened=now)
    if guard.enabled:
        touched = sum(len(part.touched) for part in record.parts)
        record = replace(record, deadline=now + patience(guard, touched))
    yield from _open(record, paths)
    try:
        armed = False
        if guard.enabled:
            armed = yield StartGuard(record.id)
        checks = chosen_checks(guard, before, settings.master) if guard.enabled else ()
        voting = yield from _first_votes(checks, notes)
        if armed:
            yield AwaitArmed(record.id)
        elif guard.enabled:
            notes.append("no dead man on this platform: a cut-off host does not revert by itself")
        value = yield from body
        yield from _last_votes(voting, record)
        state = WAITING if settings.confirm else COMMITTED
        yield Rename(paths.record(OPEN, record.id), paths.record(state, record.id))
        yield SyncFolder(paths.state)
    except IpaliasError as error:
        raise (yield from _fall_back(record, error, host, paths)) from error
    if not settings.confirm:
        yield from forget_older(record, host, paths)
    return value, Verdict(tuple(notes), settings.confirm)


def _open(record: Record, paths: Paths) -> Effects[None]:
    """Write the record; what cannot be written, and synced, is taken away again."""
    path = paths.record(OPEN, record.id)
    try:
        yield from write_state(paths, path, render_record(record))
    except EffectError as error:
        with suppress(EffectError):
            yield Unlink(path)
        raise EffectError(
            error.what, where=error.where, way_out="nothing was changed: no journal, no change"
        ) from error


def _first_votes(checks: Sequence[CheckSpec], notes: list[str]) -> Effects[list[CheckSpec]]:
    """Run each check before the change; those that fail already do not vote."""
    problems: list[str] = yield Check(tuple(checks))
    for check, problem in zip(checks, problems, strict=True):
        if problem:
            notes.append(f"{check.text()} failed before the change and does not vote: {problem}")
    return [check for check, problem in zip(checks, problems, strict=True) if not problem]


def _last_votes(voting: Sequence[CheckSpec], record: Record) -> Effects[None]:
    """Run the checks after the change until each has passed, or half the time is gone.

    :raises VerifyError: naming the check that no longer passes.
    """
    left = tuple(voting)
    started: float = yield ReadClock()
    patience = (record.deadline - started) / 2 if record.deadline is not None else 0.0
    while left:
        problems: list[str] = yield Check(left)
        failed = [(c, problem) for c, problem in zip(left, problems, strict=True) if problem]
        now: float = yield ReadClock()
        if failed and now - started > patience:
            check, problem = failed[0]
            raise VerifyError(
                f"{check.text()} worked before the change and fails after it: {problem}",
                way_out="everything was put back",
            )
        left = tuple(check for check, _ in failed)
        if left:
            yield Pause(VOTE_AGAIN)


def _fall_back(
    record: Record, error: IpaliasError, host: Host, paths: Paths
) -> Effects[IpaliasError]:
    """Put everything back, unless the dead man was quicker; return what to raise."""
    if not (yield from _claim(record, host, paths)):
        return EffectError(
            f"{error.what}; the dead man was quicker and puts everything back",
            where=error.where,
            way_out="see the system log",
        )
    problems = yield from recover(_spared(record, error), host)
    if not problems:
        for state in (*UNFINISHED, COMMITTED):
            with suppress(EffectError):
                yield Unlink(paths.record(state, record.id))
        with suppress(EffectError):
            yield SyncFolder(paths.state)
        return _explained(error)
    # The record stays: the next run, or the next boot, tries again.
    return EffectError(
        f"{error.what}; not put back: {'; '.join(problems[:5])}",
        where=error.where,
        way_out="look at `ipalias.diff` and run again",
    )


def _spared(record: Record, error: IpaliasError) -> Record:
    """Leave out what the change never came to: there it is somebody else's doing."""
    if not isinstance(error, BatchError):
        return record
    parts = (
        _spared_of(part, error.spared) if part.interface == error.interface else part
        for part in record.parts
    )
    return replace(record, parts=tuple(parts))


def _spared_of(part: Part, spared: frozenset[str]) -> Part:
    touched = tuple(cidr for cidr in part.touched if cidr not in spared)
    added = part.added
    if load(part.backend).STORED:
        added = tuple(alias for alias in added if alias.cidr not in spared)
    return replace(part, touched=touched, added=added)


def _claim(record: Record, host: Host, paths: Paths) -> Effects[bool]:
    """Take the record from the dead man; False where he was quicker.

    It may be committed already, and only the disk has not said so. A disk that refuses the
    rename is no reason to leave a half change standing.
    """
    for state in (OPEN, WAITING, COMMITTED):
        path = paths.record(state, record.id)
        if host.exists(path):
            with suppress(EffectError):
                yield Rename(path, paths.record(FIRING, record.id))
            return True
    return False


def _explained(error: IpaliasError) -> IpaliasError:
    """Return the error with the assurance that nothing is left of the change."""
    if isinstance(error, VerifyError | RefusedError):
        return error
    return EffectError(error.what, where=error.where, way_out="everything was put back")


def forget_older(record: Record, host: Host, paths: Paths) -> Effects[None]:
    """Keep the last committed change only: that is the one `ipalias.rollback` undoes."""
    for path in host.glob(f"{paths.state}/{COMMITTED}-*.json"):
        if path != paths.record(COMMITTED, record.id):
            with suppress(EffectError):
                yield Unlink(path)


def settle(host: Host, paths: Paths) -> Effects[list[str]]:
    """Put back what earlier runs left unfinished; the caller holds the lock.

    Whoever holds the lock knows that no other run is under way, so an open record means
    that its run was cut short.

    :return: sentences for the comment.
    :raises RefusedError: a change waits for `ipalias.confirm`.
    """
    notes: list[str] = []
    yield from sweep(host, paths)
    for path in host.glob(f"{paths.state}/*.json"):
        named = split_name(posixpath.basename(path))
        if named is None or named[0] == COMMITTED:
            continue
        state = named[0]
        text = host.read(path)
        if text is None:
            continue
        record = parse_record(text, path)
        if state == WAITING and not (yield from _is_over(record)):
            raise RefusedError(
                f"{record.purpose} waits to be confirmed",
                where=path,
                way_out="`ipalias.confirm` keeps it, `ipalias.rollback` undoes it",
            )
        notes += yield from take_back(state, record, host, paths)
    return notes


def _is_over(record: Record) -> Effects[bool]:
    """Tell whether a deadline has passed, or belongs to an earlier boot.

    Where boots have no id, the clock tells: it begins anew with each. One that is by now
    between the two times is taken for the same boot, and the change waits to its deadline.
    """
    _, _, boot = yield Identify()
    now: float = yield ReadClock()
    earlier = record.opened is not None and now < record.opened
    passed = record.deadline is not None and now >= record.deadline
    return record.boot != boot or earlier or passed


def take_back(state: str, record: Record, host: Host, paths: Paths) -> Effects[list[str]]:
    """Claim a record from a state and put back what it says; return sentences.

    :raises EffectError: the disk takes no rename; nothing was put back.
    """
    firing = paths.record(FIRING, record.id)
    if state != FIRING:
        try:
            yield Rename(paths.record(state, record.id), firing)
        except EffectError:
            if host.exists(paths.record(state, record.id)):
                raise
            # Somebody else, the dead man, was quicker.
            return []
    problems = yield from put_back(record, host, paths)
    said = f"{record.purpose} was put back first: it had been cut short"
    return [f"{said}; not put back: {'; '.join(problems[:5])}" if problems else said]


def put_back(
    record: Record, host: Host, paths: Paths, *, live: bool = True, keep: bool = False
) -> Effects[list[str]]:
    """Put back what a claimed record says, and forget it; return what could not be.

    :param keep: leave the record where something could not be put back, so that the next
        run tries once more; only for one after which no other change comes.
    """
    problems = yield from recover(record, host, live=live)
    if problems and keep:
        return problems
    try:
        yield Unlink(paths.record(FIRING, record.id))
        yield SyncFolder(paths.state)
    except EffectError as error:
        if not keep:
            # It would be put back once more, over what the caller does next.
            raise
        problems.append(error.text())
    return problems


def put_back_at_boot(host: Host, paths: Paths, *, live: bool = False) -> Effects[list[str]]:
    """Put back the files of every change that a crash left unfinished, before the network.

    :return: a sentence for each change, and for what could not be put back.
    """
    said: list[str] = []
    yield from sweep(host, paths)
    for path in host.glob(f"{paths.state}/*.json"):
        named = split_name(posixpath.basename(path))
        if named is None or named[0] == COMMITTED:
            continue
        try:
            record = parse_record(host.read(path) or "", path)
            if named[0] != FIRING:
                yield Rename(path, paths.record(FIRING, record.id))
            problems = yield from put_back(record, host, paths, live=live, keep=True)
            left = f"; not put back: {'; '.join(problems[:5])}" if problems else ""
            said.append(f"{record.purpose}: cut short, its files were put back{left}")
        except IpaliasError as error:
            said.append(f"not put back: {error}")
    return said


def sweep(host: Host, paths: Paths) -> Effects[None]:
    """Take away what a cut-off write left in our own folders; the caller holds the lock."""
    for folder in (paths.state, paths.backup, paths.journal):
        for path in host.glob(f"{folder}/.*{TEMPORARY}"):
            with suppress(EffectError):
                yield Unlink(path)
