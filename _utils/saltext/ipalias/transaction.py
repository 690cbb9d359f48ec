"""The one way to the kernel and to the disk: every effect of a change is yielded here.

before-images → ledger of intent → originals → write → validate → activate → verify →
ledger, or everything back as it was, files and live, and the reason.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from . import announce, backup
from .effects import (
    Effects,
    FileState,
    MakeFolder,
    Pause,
    ReadClock,
    ReadFile,
    ReadLive,
    RemoveFolder,
    Rename,
    Run,
    Send,
    SyncFile,
    SyncFolder,
    Unlink,
    WriteKernel,
    WriteTemporary,
)
from .errors import EffectError, IpaliasError, VerifyError
from .host import Host
from .ledger import Ledger, render_ledger
from .live import LiveAddress, Snapshot, ops
from .live.batch import BATCH, Op, render_batch
from .model import Alias, Change, Command, File
from .pillar import Announce
from .plan import Plan, activation_of
from .verify import check_files, check_live

#: Wait between two looks at addresses that the kernel or a daemon is still busy with (s).
LOOK_AGAIN = 0.05
#: Folders that exist for our files alone: removed with the last of them.
OUR_FOLDERS = (".network.d", "/etc/network/ipalias")


@dataclass(frozen=True)
class Paths:
    """Say where our own state lies.

    :param state: folder of ledger, originals and journal; 0700.
    """

    state: str = "/var/lib/ipalias"

    @property
    def ledger(self) -> str:
        """Return the ledger's path."""
        return f"{self.state}/ledger.json"

    @property
    def backup(self) -> str:
        """Return the folder of originals."""
        return f"{self.state}/backup"

    @property
    def index(self) -> str:
        """Return the path of the index of originals."""
        return f"{self.backup}/index.json"

    @property
    def journal(self) -> str:
        """Return the folder of whole changes, by id."""
        return f"{self.state}/journal"


@dataclass(frozen=True)
class Settings:
    """Say how a change is carried out.

    :param verify_timeout: seconds without progress until addresses that do not appear count
        as failed; duplicate address detection alone takes up to two.
    """

    paths: Paths = field(default_factory=Paths)
    announce: Announce = field(default_factory=Announce)
    verify_timeout: float = 10.0


class Images(NamedTuple):
    """Hold what was before: files and kernel."""

    files: dict[str, FileState | None]
    live: Snapshot


def write_file(path: str, text: str, mode: int, before: FileState | None) -> Effects[None]:
    """Replace a file in one step: temporary file, sync, rename, sync of the folder.

    A reader sees the old text or the new, never half; so does the disk after power loss.
    """
    target = before.real_path if before is not None else path
    folder, name = posixpath.split(target)
    # A leading dot and this ending: no daemon that reads folders takes it for its own.
    temporary = f"{folder}/.{name}.ipalias-new"
    yield MakeFolder(folder)
    try:
        yield WriteTemporary(temporary, text, mode, before)
        yield SyncFile(temporary)
        yield Rename(temporary, target)
    except EffectError:
        with suppress(EffectError):
            yield Unlink(temporary)
        raise
    yield SyncFolder(folder)


def remove_file(path: str, *, tidy: bool = False) -> Effects[None]:
    """Remove a file; with `tidy`, its folder too where only we make such and it is empty."""
    yield Unlink(path)
    yield SyncFolder(posixpath.dirname(path))
    if tidy:
        yield from _tidy(path)


def _tidy(path: str) -> Effects[None]:
    """Remove a file's folder where only we make such and it is empty."""
    folder = posixpath.dirname(path)
    if folder.endswith(OUR_FOLDERS):
        yield RemoveFolder(folder)


def write_state(paths: Paths, path: str, text: str) -> Effects[None]:
    """Write one of our own state files: 0600 in folders of 0700."""
    yield MakeFolder(paths.state, 0o700)
    folder = posixpath.dirname(path)
    if folder != paths.state:
        yield MakeFolder(folder, 0o700)
    yield from write_file(path, text, 0o600, None)


def apply(plans: Sequence[Plan], host: Host, settings: Settings) -> Effects[Snapshot]:
    """Carry out plans as one change; return the kernel's state as verified.

    :raises EffectError: a command or a write failed; everything is as it was before.
    :raises VerifyError: files or kernel did not become as planned; likewise undone.
    """
    ledger_before: FileState | None = yield ReadFile(settings.paths.ledger)
    started: list[tuple[Plan, Images]] = []
    after = plans[0].situation.snapshot
    try:
        yield from write_ledger(_intent(plans), settings)
        for plan in plans:
            if not plan.touches_host:
                # It is here for its ledger entries; a word to its owner would be one too many.
                continue
            image = yield from take_images(plan)
            yield from keep_originals(plan.files, image.files, settings.paths)
            started.append((plan, image))
            after = yield from _forward(plan, host, settings)
        yield from write_ledger(final_ledger(plans), settings)
    except IpaliasError as error:
        problems: list[str] = []
        for plan, image in reversed(started):
            problems += yield from roll_back(plan, host, image)
        problems += yield from _put_ledger_back(ledger_before, settings)
        raise _explained(error, problems) from error
    yield from announce_added(
        [alias for plan in plans for alias in plan.live_add], after, settings.announce
    )
    return after


def final_ledger(plans: Sequence[Plan]) -> Ledger:
    """Return the ledger after all plans."""
    ledger = plans[0].situation.ledger
    for plan in plans:
        ledger = ledger.with_interface(plan.interface, plan.entries, plan.situation.backend.NAME)
    return ledger


def _put_ledger_back(before: FileState | None, settings: Settings) -> Effects[list[str]]:
    """Write the ledger as it was before; return what went wrong."""
    path = settings.paths.ledger
    try:
        now: FileState | None = yield ReadFile(path)
        if before is None and now is not None:
            yield from remove_file(path)
        elif before is not None and (now is None or now.text != before.text):
            yield from write_state(settings.paths, path, before.text)
    except EffectError as error:
        return [error.text()]
    return []


def take_images(plan: Plan) -> Effects[Images]:
    """Read what the change will touch, and refuse if it is no longer what was planned on."""
    files: dict[str, FileState | None] = {}
    for file in plan.files:
        state: FileState | None = yield ReadFile(file.path)
        files[file.path] = state
        if (state.text if state is not None else None) != plan.before[file.path]:
            raise EffectError(
                "changed while the change was being planned",
                where=file.path,
                way_out="run again; nothing was changed",
            )
    return Images(files, plan.situation.snapshot)


def _intent(plans: Sequence[Plan]) -> Ledger:
    """Return a ledger that claims what is ours before the change and after it.

    Written first, so that a run cut short leaves nothing of ours unclaimed.
    """
    ledger = plans[0].situation.ledger
    for plan in plans:
        union = {**ledger.on(plan.interface)}
        union |= {entry.alias.cidr: entry for entry in plan.entries}
        ledger = ledger.with_interface(plan.interface, union.values(), plan.situation.backend.NAME)
    return ledger


def write_ledger(ledger: Ledger, settings: Settings) -> Effects[None]:
    """Write the ledger where its text differs."""
    text = render_ledger(ledger)
    state: FileState | None = yield ReadFile(settings.paths.ledger)
    if state is None or state.text != text:
        yield from write_state(settings.paths, settings.paths.ledger, text)


def keep_originals(
    files: Iterable[File], images: Mapping[str, FileState | None], paths: Paths
) -> Effects[None]:
    """Keep the original of each foreign file before our first edit of it."""
    edited = [
        (file, image)
        for file in files
        if not file.owned and (image := images[file.path]) is not None and file.text is not None
    ]
    if not edited:
        return
    state: FileState | None = yield ReadFile(paths.index)
    index = backup.parse_index(state.text if state is not None else None, paths.index)
    for file, image in edited:
        first = file.path not in index
        index = backup.record(index, file.path, image.text, file.text or "", image.mode)
        if first:
            yield from write_state(paths, f"{paths.backup}/{index[file.path].saved}", image.text)
    yield from write_state(paths, paths.index, backup.render_index(index))


def _forward(plan: Plan, host: Host, settings: Settings) -> Effects[Snapshot]:
    """Write, validate, activate, verify."""
    backend = plan.situation.backend
    activation = activation_of(plan, plan.change, host)
    for command in activation.before:
        yield Run(command)
    yield from put_files(plan.files, {}, plan.before)
    for command in backend.validate(plan.change, host):
        yield Run(command)
    for command in activation.up:
        yield Run(command)
    current = plan.situation.snapshot
    if activation.before or activation.up:
        current = yield ReadLive()
    yield from _live(plan, current)
    for command in activation.tell:
        yield Run(command)
    after = yield from _verified(plan, settings)
    check_files(plan, backend.parse(host, plan.situation.evidence))
    return after


def put_files(
    files: Iterable[File], images: Mapping[str, FileState | None], before: Mapping[str, str | None]
) -> Effects[None]:
    """Write or remove each file."""
    for file in files:
        image = images.get(file.path)
        if image is None and before.get(file.path) is not None:
            image = yield ReadFile(file.path)
        if file.text is None:
            yield from remove_file(file.path, tidy=file.owned)
        else:
            yield from write_file(file.path, file.text, file.mode, None if file.owned else image)


def _live(plan: Plan, current: Snapshot) -> Effects[None]:
    """Bring the kernel to what the plan wants, in one ``ip -batch``.

    An IPv4 address that only changes its prefix is added before the old form goes, so that
    it never leaves.
    """
    now = {address.cidr: address for address in current.on(plan.interface)}
    recreate = set(plan.recreate)
    again = [
        (alias, label)
        for alias, label in plan.live_wanted
        if alias.family == 4 and alias.cidr in recreate and alias.cidr in now
    ]
    missing = [(alias, label) for alias, label in plan.live_wanted if alias.cidr not in now]
    going = [now[live.cidr] for live in plan.live_remove if live.cidr in now]
    # The kernel holds an IPv6 address once, whatever its prefix: here the old form goes first.
    twice = {alias.address for alias, _ in missing if alias.family == 6}
    first = [now[alias.cidr] for alias, _ in again]
    first += [live for live in going if live.address in twice]
    going = [live for live in going if live.address not in twice]
    stay = [alias for alias, _ in plan.live_wanted]
    batch = [
        *ops.delete_ops(first, current, stay),
        *ops.add_ops([*again, *missing], current),
        *ops.change_ops(
            alias
            for alias, _ in plan.live_wanted
            if alias.family == 6 and alias.cidr in recreate and alias.cidr in now
        ),
        *ops.delete_ops(going, current, stay),
    ]
    yield from run_batch(plan.interface, batch, [*first, *going])


def run_batch(interface: str, batch: list[Op], deleted: Iterable[LiveAddress]) -> Effects[None]:
    """Run live operations; name the address that failed.

    Deleting an address that heads its subnet takes the others of that subnet along,
    unless the kernel is told to promote one: so it is, for the moment this takes.
    """
    if not batch:
        return
    heads = any(live.family == 4 and live.prefix < 32 for live in deleted)
    switch = f"/proc/sys/net/ipv4/conf/{interface}/promote_secondaries"
    before: str | None = None
    if heads:
        before = yield WriteKernel(switch, "1")
    borrowed = before is not None and before.strip() != "1"
    try:
        result = yield Run(Command(BATCH, render_batch(batch), timeout=120.0), check=False)
    except EffectError:
        if borrowed:
            yield from _set_back(switch, str(before).strip())
        raise
    if borrowed:
        yield from _set_back(switch, str(before).strip())
    if result.code != 0:
        raise ops.batch_error(interface, batch, result.err or result.out)


def _set_back(switch: str, value: str) -> Effects[None]:
    """Give a kernel setting its value again.

    :raises EffectError: naming the value it is left at: no roll-back can mend that.
    """
    try:
        yield WriteKernel(switch, value)
    except EffectError as error:
        raise EffectError(
            f"{error.what}; not put back: it is 1, it was {value}",
            where=switch,
            way_out="write it back by hand",
        ) from error


def _verified(plan: Plan, settings: Settings) -> Effects[Snapshot]:
    """Look at the kernel until it is as planned, or time is up.

    Ten thousand IPv6 addresses leave duplicate address detection one after another, over
    longer than the time that one may take: it counts from the last that did. A look takes
    the kernel's lock that they wait for, so there is at least as long between two.
    """
    started = yield ReadClock()
    fewest: int | None = None
    while True:
        looking = yield ReadClock()
        after: Snapshot = yield ReadLive()
        problems, hopeless = check_live(plan, after)
        if not problems:
            return after
        now = yield ReadClock()
        if fewest is None or len(problems) < fewest:
            fewest, started = len(problems), now
        if hopeless or now - started > settings.verify_timeout:
            shown = "; ".join(problems[:5])
            more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
            raise VerifyError(
                f"{shown}{more}", where=plan.interface, way_out="everything was put back"
            )
        yield Pause(max(LOOK_AGAIN, now - looking))


def run_commands(commands: Iterable[Command]) -> Effects[None]:
    """Run commands one after another."""
    for command in commands:
        yield Run(command)


def announce_added(aliases: Iterable[Alias], snapshot: Snapshot, how: Announce) -> Effects[None]:
    """Tell the neighbours of new addresses: gratuitous ARP, unsolicited advertisement."""
    by_interface: dict[str, list[bytes]] = {}
    for alias in aliases:
        link = snapshot.by_link.get(alias.interface)
        if link is None or not link.mac or "NOARP" in link.flags or "LOOPBACK" in link.flags:
            continue
        by_interface.setdefault(alias.interface, []).append(
            announce.render_frame(link.mac, alias.address)
        )
    for interface, frames in by_interface.items():
        if how.count:
            try:
                yield Send(interface, tuple(frames), how.count, how.interval)
            except EffectError:
                # The addresses are there and verified; a neighbour learns at its next ARP.
                continue


def roll_back(plan: Plan, host: Host, images: Images) -> Effects[list[str]]:
    """Put files and kernel back as they were; return what could not be put back."""
    problems: list[str] = []
    backend = plan.situation.backend
    change = plan.change
    reverse = replace(change, added=change.removed, removed=change.added, live=frozenset())
    reverse = _restored(reverse, images)
    backward = activation_of(plan, reverse, host)
    for command in backward.before:
        yield from _attempt(command, problems)
    for file in plan.files:
        try:
            yield from _restore(file, images.files[file.path])
        except EffectError as error:
            problems.append(error.text())
    for command in (*backend.validate(reverse, host), *backward.up):
        yield from _attempt(command, problems)
    try:
        yield from restore_live(plan, images.live)
    except IpaliasError as error:
        problems.append(error.text())
    for command in backward.tell:
        yield from _attempt(command, problems)
    return problems


def _restored(change: Change, images: Images) -> Change:
    """Return a change whose files are the before-images."""
    files = tuple(
        replace(file, text=image.text if (image := images.files[file.path]) is not None else None)
        for file in change.files
    )
    return replace(change, files=files)


def _restore(file: File, image: FileState | None) -> Effects[None]:
    """Put one file back as it was."""
    now: FileState | None = yield ReadFile(file.path)
    if image is None:
        if now is not None:
            yield from remove_file(file.path, tidy=True)
        else:
            yield from _tidy(file.path)
    elif now is None or now.text != image.text:
        yield from write_file(file.path, image.text, image.mode, image)


def _attempt(command: Command, problems: list[str]) -> Effects[None]:
    """Run a command of the way back; note a failure and go on."""
    try:
        yield Run(command)
    except EffectError as error:
        problems.append(error.text())


def restore_live(plan: Plan, before: Snapshot) -> Effects[None]:
    """Take back exactly what this call changed in the kernel, foreign changes excepted."""
    current: Snapshot = yield ReadLive()
    now = {address.cidr: address for address in current.on(plan.interface)}
    was = {address.cidr: address for address in before.on(plan.interface)}
    touched = {alias.cidr for alias in plan.live_add} | set(plan.recreate)
    touched |= {address.cidr for address in plan.live_remove}
    going: list[LiveAddress] = []
    back: list[LiveAddress] = []
    for cidr in sorted(touched):
        live, old = now.get(cidr), was.get(cidr)
        if live is not None and (old is None or _looks(old) != _looks(live)):
            going.append(live)
        if old is not None and (live is None or _looks(old) != _looks(live)):
            back.append(old)
    # The primary and foreign addresses that fell with a command of the owner's.
    back += [
        old
        for cidr, old in was.items()
        if cidr not in touched and cidr not in now and "dynamic" not in old.flags
    ]
    batch = [*ops.delete_ops(going, current), *ops.add_back_ops(back, current)]
    yield from run_batch(plan.interface, batch, going)


def _looks(address: LiveAddress) -> tuple[object, ...]:
    """Return what we ever change of an address."""
    return (address.label, address.scope, address.preferred_zero)


def _explained(error: IpaliasError, problems: list[str]) -> IpaliasError:
    """Return the error with what the way back could not mend."""
    if not problems:
        if isinstance(error, VerifyError) or "not put back" in error.what:
            return error
        return EffectError(error.what, where=error.where, way_out="everything was put back")
    return EffectError(
        f"{error.what}; not put back: {'; '.join(problems[:5])}",
        where=error.where,
        way_out="look at `ipalias.diff` and run again",
    )
