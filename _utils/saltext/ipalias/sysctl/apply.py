"""Carry out a plan of settings as one change, under journal, dead man and votes."""

from __future__ import annotations

from collections.abc import Iterable

from .. import restarts
from ..effects import Effects, FileState, ReadFile, ReadLive
from ..errors import VerifyError
from ..files import (
    digests,
    keep_originals,
    put_files,
    read_images,
    read_originals,
    write_state,
)
from ..guarded import Verdict, guarded
from ..host import Host
from ..journal import Record
from ..live import LiveAddress, Route, Snapshot
from ..paths import ROUTE_PROTOCOL, Settings
from ..recover import kept_routes
from ..transaction import run_commands
from . import Held, Store, differs, service
from .ledger import Entries, render_ledger
from .plan import Plan, targets_of

#: A setting that takes every IPv6 address of its interface away.
TAKES_ADDRESSES = "disable_ipv6"


def apply(
    plan: Plan,
    host: Host,
    store: Store,
    settings: Settings,
    ident: str,
    purpose: str,
    started_by: str,
) -> Effects[Verdict]:
    """Carry out a plan.

    :param started_by: what starts services here, or empty.
    :raises EffectError: a write or a command failed; everything is as it was.
    :raises VerifyError: a value did not read back, a default route fell, or a vote went
        against it; likewise undone.
    """
    before: Snapshot = yield ReadLive()
    images = yield from read_images(plan.files, plan.texts)
    paths = settings.paths
    ours: dict[str, FileState | None] = {}
    ours[paths.sysctl] = yield ReadFile(paths.sysctl)
    ours |= yield from read_originals(plan.files, images, paths)
    units: dict[str, FileState | None] = {}
    moves = plan.starts or plan.stops
    for path in service.files_of(started_by) if moves else ():
        units[path] = yield ReadFile(path)
    record = Record(
        ident,
        purpose,
        files={**units, **images, **ours},
        owned=tuple(file.path for file in plan.files if file.owned),
        written=digests(plan.files),
        routes=kept_routes(before, before.by_link, ROUTE_PROTOCOL),
        beside=_addresses(plan, before),
        tuned=_tuned(plan, host, store),
        listener=started_by if moves else "",
    )
    body = _body(plan, images, before, host, store, settings, started_by)
    _, verdict = yield from guarded(record, body, before, host, settings)
    return verdict


def _addresses(plan: Plan, before: Snapshot) -> dict[str, tuple[LiveAddress, ...]]:
    """Return the addresses that may fall: IPv6 switched off takes them all."""
    taken = any(key.replace("/", ".").endswith(f".{TAKES_ADDRESSES}") for key in plan.values)
    return restarts.beside(before, ()) if taken else {}


def _tuned(plan: Plan, host: Host, store: Store) -> dict[str, Held]:
    """Return what the change finds, in the order in which it is put back.

    An interface that came after the plan was made has what the kernel gave it.
    """
    along = [other for key in plan.values for other in store.spread(host, key)]
    concerned = dict.fromkeys((*plan.values, *along))
    return {key: plan.now[key] for key in concerned if key in plan.now}


def _body(
    plan: Plan,
    images: dict[str, FileState | None],
    before: Snapshot,
    host: Host,
    store: Store,
    settings: Settings,
    started_by: str,
) -> Effects[None]:
    """Do the change itself; the listener is started last, for it reads the ledger."""
    yield from keep_originals(plan.files, images, settings.paths)
    steps = service.Steps()
    if plan.starts:
        steps = service.starting(started_by)
    elif plan.stops:
        steps = service.stopping(started_by)
    yield from run_commands(steps.before)
    yield from put_files(plan.files, images)
    yield from store.change(host, plan.values)
    yield from write_entries(plan.after, settings)
    yield from run_commands(steps.after)
    yield from _verified(plan, host, store)
    yield from _routes_kept(before)


def write_entries(entries: Entries, settings: Settings) -> Effects[None]:
    """Write the ledger where its text differs; the one of a host without settings is none."""
    path = settings.paths.sysctl
    state: FileState | None = yield ReadFile(path)
    text = render_ledger(entries)
    if state.text != text if state is not None else bool(entries):
        yield from write_state(settings.paths, path, text)


def _verified(plan: Plan, host: Host, store: Store) -> Effects[None]:
    """Read every setting back; what differs is written once more.

    It does where an interface came in the middle, before the listener could know, and where
    the kernel wrote one along with another.
    """
    targets = targets_of(store, plan.after)
    targets |= {key: target for key, target in plan.values.items() if key not in targets}
    wrong = _wrong(targets, host, store)
    if wrong:
        yield from store.change(host, wrong)
        wrong = _wrong(targets, host, store)
    if wrong:
        key, target = next(iter(wrong.items()))
        held = store.read_values(host, [key])[key]
        back = held.live if held.live is not None and held.live != target.live else held.stored
        raise VerifyError(
            f"reads back as {back} and was set to {target.live}",
            where=key,
            way_out="everything was put back; write what the kernel makes of it",
        )


def _wrong(targets: dict[str, Held], host: Host, store: Store) -> dict[str, Held]:
    held = store.read_values(host, targets)
    return {
        key: target
        for key, target in targets.items()
        # Of an interface that is not there no store has anything.
        if held[key] != Held(None) and differs(held[key], target, stored=store.STORED)
    }


def _routes_kept(before: Snapshot) -> Effects[None]:
    """Fail where a default route fell: a router takes none from advertisements, say.

    :raises VerifyError: naming it.
    """
    after: Snapshot = yield ReadLive()
    there = set(map(_place, _defaults(after)))
    for route in _defaults(before):
        if _place(route) not in there:
            raise VerifyError(
                f"the default route by {route.gateway or route.interface} fell with it",
                where=route.interface,
                way_out="everything was put back",
            )


def _defaults(snapshot: Snapshot) -> Iterable[Route]:
    listed = (*snapshot.defaults(4), *snapshot.defaults(6))
    return [route for route in listed if route.protocol != ROUTE_PROTOCOL]


def _place(route: Route) -> tuple[object, ...]:
    return (route.family, route.interface, route.gateway, route.metric)
