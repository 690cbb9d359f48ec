"""Carry out plans: files, owner and kernel of each interface, verified, as one change.

Every effect of a change is yielded here or in what is called from here; `guarded` puts
journal, dead man and commit around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from . import announce, restarts
from .backends import originals_of
from .duplicates import refuse_taken
from .effects import (
    Effects,
    FileState,
    Pause,
    ReadClock,
    ReadFile,
    ReadLive,
    Run,
    Send,
    SyncFolder,
    Unlink,
)
from .errors import EffectError, VerifyError
from .files import (
    digests,
    keep_derived,
    keep_originals,
    originals,
    put_files,
    read_planned,
    write_state,
)
from .guarded import Verdict, guarded
from .host import Host, Result
from .journal import Part, Record
from .ledger import Ledger, render_ledger
from .live import Snapshot, tools
from .live.ops import BatchError
from .livewrite import bring_live
from .model import Alias, Command
from .paths import ROUTE_PROTOCOL, Settings
from .pillar import Announce
from .plan import Plan, activation_of
from .recover import kept_routes
from .situation import Situation
from .stores import keep_note, note_path
from .verify import check_files, check_live


def apply(
    plans: Sequence[Plan],
    host: Host,
    settings: Settings,
    ident: str,
    purpose: str,
    forget: Sequence[str] = (),
) -> Effects[Verdict]:
    """Carry out plans as one change.

    :param ident: the change's id.
    :param purpose: what it is, for whoever finds it unfinished.
    :param forget: files of our own state that are of no use any more once it stands.
    :raises RefusedError: somebody on the segment has one of the addresses.
    :raises EffectError: a command or a write failed; everything is as it was before.
    :raises VerifyError: files or kernel did not become as planned; likewise undone.
    """
    before = plans[0].situation.snapshot
    images = yield from take_images(plans)
    ours = yield from _own_images(plans, images, host, settings)
    for path in forget:
        ours[path] = yield ReadFile(path)
    names = [plan.interface for plan in plans]
    everywhere = any(plan.restart == restarts.NETWORK for plan in plans if plan.touches_host)
    record = Record(
        ident,
        purpose,
        files={**images, **ours},
        owned=tuple(file.path for plan in plans for file in plan.files if file.owned),
        written=digests(file for plan in plans for file in plan.files),
        parts=tuple(_part(plan) for plan in plans if plan.touches_host),
        routes=kept_routes(before, before.by_link if everywhere else names, ROUTE_PROTOCOL),
        kernel=_kernel_settings(plans, host),
        beside=restarts.beside(before, _done(plans)) if everywhere else {},
    )
    notes: list[str] = []
    body = _body(plans, host, settings, forget, notes)
    after, verdict = yield from guarded(record, body, before, host, settings)
    verdict = replace(verdict, notes=(*verdict.notes, *notes))
    added = [alias for plan in plans for alias in plan.live_add]
    yield from announce_added(added, after, settings.announce)
    return verdict


def _kernel_settings(plans: Sequence[Plan], host: Host) -> dict[str, str]:
    """Return the kernel settings that a change borrows, as they are."""
    switches = [
        path
        for plan in plans
        if plan.touches_host
        for path in tools.load(host.system).kernel_settings(plan.interface)
    ]
    values = {switch: host.read(switch) for switch in switches}
    return {switch: value.strip() for switch, value in values.items() if value is not None}


def _part(plan: Plan) -> Part:
    """Return what the journal must know of a plan."""
    touched = [alias.cidr for alias in plan.live_add]
    touched += [*plan.recreate, *(address.cidr for address in plan.live_remove)]
    if plan.situation.backend.STORED:
        # What takes an address into a store or out of it sets it in the kernel as well.
        touched += [alias.cidr for alias in (*plan.change.added, *plan.change.removed)]
    return Part(
        plan.interface,
        plan.situation.backend.NAME,
        plan.situation.evidence,
        plan.change.added,
        plan.change.removed,
        plan.situation.snapshot.on(plan.interface),
        tuple(dict.fromkeys(touched)),
        tuple(file.path for file in plan.files),
        *what_owner_lacks(plan.situation),
        up=plan.restart in restarts.HARD and restarts.is_up(plan.situation),
    )


def what_owner_lacks(situation: Situation) -> tuple[tuple[str, ...], bool]:
    """Return what the owner's files, as they are, do not say of the kernel.

    :return: addresses that it did not set, and whether it must not be told to read them;
        see `journal.Part`.
    """
    entries = situation.entries.items()
    alone = [cidr for cidr, entry in entries if entry.live and not entry.file]
    held = any(entry.file and not entry.live for _, entry in entries)
    return (*situation.foreign_live, *alone), held


def take_images(plans: Sequence[Plan]) -> Effects[dict[str, FileState | None]]:
    """Read what the change will touch, and refuse if it is no longer what was planned on.

    A file that several plans write is held against the first of them: the others were
    planned on its result.
    """
    images: dict[str, FileState | None] = {}
    for plan in plans:
        for file in plan.files:
            if file.path not in images:
                images[file.path] = yield from read_planned(file.path, plan.before[file.path])
    return images


def _own_images(
    plans: Sequence[Plan],
    images: Mapping[str, FileState | None],
    host: Host,
    settings: Settings,
) -> Effects[dict[str, FileState | None]]:
    """Read what the change will touch of our own state: ledger, originals and their index."""
    paths = settings.paths
    files = [file for plan in plans for file in plan.files]
    kept = [path for plan in plans for path in _unkept(plan, host, settings)]
    ours: dict[str, FileState | None] = {}
    noted = [note_path(paths)] if any(_is_stored(plan) for plan in plans) else []
    for path in (paths.ledger, *originals(files, images, paths), *kept, *noted, paths.index):
        ours[path] = yield ReadFile(path)
    return ours


def _is_stored(plan: Plan) -> bool:
    return plan.touches_host and plan.situation.backend.STORED


def _unkept(plan: Plan, host: Host, settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the originals of a store that are still to be kept, and what tells each."""
    if not plan.touches_host:
        return {}
    told = originals_of(plan.situation.backend).items()
    paths = {f"{settings.paths.backup}/{name}": argv for name, argv in told}
    return {path: argv for path, argv in paths.items() if not host.exists(path)}


def _keep_store(plan: Plan, host: Host, settings: Settings) -> Effects[None]:
    """Keep what a store held before our first change of it; one that cannot be told is left out."""
    for path, argv in _unkept(plan, host, settings).items():
        result = host.run(argv)
        if result.code == 0:
            yield from write_state(settings.paths, path, result.out)
    if _is_stored(plan):
        yield from keep_note(plan.situation.backend, plan.change, settings.paths)


def _body(
    plans: Sequence[Plan],
    host: Host,
    settings: Settings,
    forget: Sequence[str],
    notes: list[str],
) -> Effects[Snapshot]:
    """Do the change itself; the ledger is written last and is part of it.

    :param notes: gets what the operator should know.
    """
    after = plans[0].situation.snapshot
    notes += yield from refuse_taken([p for p in plans if p.check_duplicates], after, host)
    for plan in plans:
        if plan.touches_host:
            after = yield from _forward(plan, host, settings)
    after = yield from _everywhere(plans, after, settings)
    for path in forget:
        yield Unlink(path)
    if forget:
        yield SyncFolder(settings.paths.backup)
    yield from write_ledger(final_ledger(plans), settings)
    return after


def _done(plans: Sequence[Plan]) -> set[str]:
    """Return the interfaces that a change brings to what they shall be, and back."""
    return {plan.interface for plan in plans if plan.touches_host}


def _everywhere(plans: Sequence[Plan], after: Snapshot, settings: Settings) -> Effects[Snapshot]:
    """Bring live what fell on other interfaces with a restart of the whole network.

    The last one has reached those, too, whose own change was done and looked at before.
    """
    last = [p for p in plans if p.touches_host and p.restart == restarts.NETWORK][-1:]
    if not last:
        return after
    for plan in plans:
        if plan.touches_host and plan is not last[0]:
            now = yield from restarts.primaries_back(plan.situation)
            yield from bring_live(plan, now)
            after = yield from _verified(plan, settings)
    situation = last[0].situation
    lost = yield from restarts.add_fallen_beside(situation.snapshot, situation.ledger, _done(plans))
    if lost:
        raise VerifyError("; ".join(lost[:5]), way_out="everything was put back")
    return after


def final_ledger(plans: Sequence[Plan]) -> Ledger:
    """Return the ledger after all plans."""
    ledger = plans[0].situation.ledger
    for plan in plans:
        ledger = ledger.with_interface(plan.interface, plan.entries, plan.situation.backend.NAME)
    return ledger


def write_ledger(ledger: Ledger, settings: Settings) -> Effects[None]:
    """Write the ledger where its text differs."""
    text = render_ledger(ledger)
    state: FileState | None = yield ReadFile(settings.paths.ledger)
    if state is None or state.text != text:
        yield from write_state(settings.paths, settings.paths.ledger, text)


def _forward(plan: Plan, host: Host, settings: Settings) -> Effects[Snapshot]:
    """Write, validate, activate, verify one interface."""
    backend = plan.situation.backend
    activation = activation_of(plan, plan.change, host)
    images: dict[str, FileState | None] = {}
    for file in plan.files:
        images[file.path] = yield ReadFile(file.path)
    yield from keep_originals(plan.files, images, settings.paths)
    yield from _keep_store(plan, host, settings)
    changing = run_commands if not backend.STORED else _run_stored(plan, host.system)
    yield from changing(activation.before)
    yield from put_files(plan.files, images)
    yield from run_commands(backend.validate(plan.change, host))
    yield from changing(activation.up)
    current = plan.situation.snapshot
    if activation.before or activation.up:
        current = yield ReadLive()
    yield from bring_live(plan, current)
    yield from run_commands(activation.tell)
    if plan.restart in restarts.HARD:
        commands = backend.restart(plan.situation.evidence, plan.restart, host)
        current = yield from restarts.restarted(plan.situation, commands)
        yield from bring_live(plan, current)
    yield from run_commands(activation.derive)
    if activation.derive:
        yield from keep_derived(plan.files, settings.paths)
    after = yield from _verified(plan, settings)
    check_files(plan, backend.parse(host, plan.situation.evidence))
    return after


def _verified(plan: Plan, settings: Settings) -> Effects[Snapshot]:
    """Look at the kernel until it is as planned, or time is up.

    Ten thousand IPv6 addresses leave duplicate address detection one after another, over
    longer than the time that one may take: it counts from the last that did. A look takes
    the kernel's lock that they wait for, so there is at least as long between two.
    """
    started: float = yield ReadClock()
    fewest: int | None = None
    while True:
        looking: float = yield ReadClock()
        after: Snapshot = yield ReadLive()
        problems, hopeless = check_live(plan, after)
        if not problems:
            return after
        now: float = yield ReadClock()
        if fewest is None or len(problems) < fewest:
            fewest, started = len(problems), now
        if hopeless or now - started > settings.verify_timeout:
            shown = "; ".join(problems[:5])
            more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
            raise VerifyError(
                f"{shown}{more}", where=plan.interface, way_out="everything was put back"
            )
        yield Pause(max(restarts.LOOK_AGAIN, now - looking))


def run_commands(commands: Iterable[Command]) -> Effects[None]:
    """Run commands one after another."""
    for command in commands:
        yield Run(command)


def _run_stored(plan: Plan, system: str) -> Callable[[Iterable[Command]], Effects[None]]:
    """Return what runs commands that change a store, and names the address that is refused."""
    places = {alias.cidr: alias.where for alias in plan.change.added}

    def changing(commands: Iterable[Command]) -> Effects[None]:
        listed = tuple(commands)
        for at, command in enumerate(listed):
            result: Result = yield Run(command, check=False)
            if result.code in command.ok:
                continue
            index, reason = tools.failure(system, result)
            if index is None or index >= len(command.acts_on):
                where = command.told or f"`{' '.join(command.argv)[:200]}`"
                raise EffectError(f"exit {result.code}: {reason}", where=where)
            done = {c for one in listed[:at] for c in one.acts_on} | {*command.acts_on[:index]}
            left = {c for one in listed[at + 1 :] for c in one.acts_on} | {*command.acts_on[index:]}
            cidr = command.acts_on[index]
            raise BatchError(
                f"{cidr} could not be changed: {reason}",
                where=places.get(cidr) or plan.interface,
                interface=plan.interface,
                spared=left - done,
            )

    return changing


def announce_added(aliases: Iterable[Alias], snapshot: Snapshot, how: Announce) -> Effects[None]:
    """Tell the neighbours of new addresses: gratuitous ARP, unsolicited advertisement."""
    by_interface: dict[str, list[bytes]] = {}
    if not tools.load(snapshot.system).FRAMES:
        return
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
