"""Put back what an unfinished change found: the one way back for every cause.

A failed step, a killed minion, the dead man, the next run and the next boot all come
here with the journal's record. It can be run again after a crash of its own.
"""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from . import sysctl
from .backends import Backend, load
from .effects import Effects, FileState, ReadFile, ReadLive, Run, SetWan, Unlink, WriteKernel
from .errors import EffectError, IpaliasError
from .files import place_file, settle_folders, temporary_name, tidy_folder
from .host import Host
from .journal import DhcpPart, Part, Record, WanPart
from .live import LiveAddress, Route, Snapshot, ops, tools
from .livewrite import run_batch
from .model import Activation, Change, Command, Evidence, File
from .sysctl import service

#: Times that what is still to be put back in the kernel is looked for, and tried.
TRIES = 3

#: Systems whose kernel labels addresses by numbers of its own: logical interfaces.
KERNEL_NUMBERS = ("sunos",)


def recover(record: Record, host: Host, *, live: bool = True) -> Effects[list[str]]:
    """Put files and, unless told not to, the kernel back; return what could not be.

    :param live: False at boot, before the network is up: files only.
    """
    problems: list[str] = []
    backward = []
    current = (yield from _look(problems)) if live else Snapshot()
    for part in record.parts:
        backend = load(part.backend)
        change = _reverse(part, record, current, live=live)
        activation = _activation(backend, change, host, problems)
        if part.quiet:
            activation = replace(activation, tell=())
        backward.append((part, activation, change))
    for part, activation, _ in backward:
        if live or load(part.backend).STORED:
            yield from attempt(activation.before, problems)
    folders: dict[str, bool] = {}
    steps = _listener_steps(record, live=live)
    yield from attempt(steps.before, problems)
    monitor = _monitor_steps(record, live=live)
    yield from attempt(monitor.before, problems)
    for path, image in record.files.items():
        yield from _noted(_restore(path, image, path in record.owned, folders), problems)
    for folder, tidy in folders.items():
        yield from _noted(settle_folders({folder: tidy}), problems)
    for part, activation, _ in backward:
        if live or load(part.backend).STORED:
            yield from attempt(activation.up, problems)
    if record.tuned:
        yield from _noted(_restore_tuned(record, host, problems, live=live), problems)
    if live:
        if record.wan is not None:
            yield from _noted(_restore_wan(record.wan, host), problems)
        yield from _restore_kernel(record, host, problems)
    yield from attempt(steps.after, problems)
    yield from attempt(monitor.after, problems)
    if record.dhcp is not None:
        yield from _restore_dhcp(record, record.dhcp, host, problems, live=live)
    # Behind the kernel: a tool that hangs must not keep the host cut off.
    for part, _, change in backward:
        yield from _noted(_validate(part, change, host, problems), problems)
    if live:
        told = [command for _, activation, _ in backward for command in activation.tell]
        yield from attempt(told, problems)
        if told:
            # What its files no longer name its owner takes down, though it shall be live alone.
            again: list[str] = []
            yield from _restore_kernel(record, host, again)
            problems += [problem for problem in again if problem not in problems]
    return problems


def _listener_steps(record: Record, *, live: bool) -> service.Steps:
    """Return what brings the listener's service back to run, or not to, as it did."""
    paths = service.files_of(record.listener)
    if not paths:
        return service.Steps()
    was_there = any(record.files.get(path) is not None for path in paths)
    steps = service.starting if was_there else service.stopping
    return steps(record.listener, wait=live)


def _monitor_steps(record: Record, *, live: bool) -> service.Steps:
    """Return what brings the monitor of multi-WAN back to run, or not to, as it did."""
    if record.wan is None:
        return service.Steps()
    from .wan import start

    return start.steps(record.wan.started_by, runs=bool(record.wan.before), wait=live)


def _restore_wan(part: WanPart, host: Host) -> Effects[None]:
    """Bring the kernel back to the former configuration; after a boot there is nothing of it."""
    from .wan import bsdroutes

    if host.system in bsdroutes.SYSTEMS:
        nat = bsdroutes.has_nat(part.before) or bsdroutes.has_nat(part.after)
        yield from bsdroutes.bring(host, part.after, part.before, lambda: nat)
        return
    done = yield SetWan(part.after, part.before)
    refused = [problem for problem in done.problems if not problem.startswith("not ours")]
    if refused:
        raise EffectError("; ".join(refused[:5]), where="kernel")


def _restore_dhcp(
    record: Record, part: DhcpPart, host: Host, problems: list[str], *, live: bool
) -> Effects[None]:
    """Bring DHCP servers, and the table for their ports, back to what they were."""
    from .dhcp import aside, firewall, restarting, services

    if restarting.DROPIN in record.files:
        yield from attempt([services.systemctl("daemon-reload")], problems)
    if part.rules:
        yield from attempt(firewall.back(ruled=part.ruled, wait=live), problems)
    states = tuple(services.State(*row) for row in part.servers)
    if part.aside:
        leases = aside.Aside(part.aside, part.mark)
        yield from _noted(aside.back(leases, states, host, live=live), problems)
    yield from _noted(services.put_back(states, host, live=live), problems)


def _restore_tuned(record: Record, host: Host, problems: list[str], *, live: bool) -> Effects[None]:
    """Put settings back, again while the kernel writes one along with another.

    On Linux a boot has not come to them yet; elsewhere it may have, and a store has kept them.
    """
    store = sysctl.load(host.system)
    if not (live or store.STORED or host.system != "linux"):
        return
    for _ in range(TRIES):
        held = store.read_values(host, record.tuned)
        left = {
            key: was
            for key, was in record.tuned.items()
            if sysctl.differs(held[key], was, stored=store.STORED)
        }
        if not left:
            return
        failed: list[str] = []
        for key, was in left.items():
            yield from _noted(store.change(host, {key: was}), failed)
    held = store.read_values(host, record.tuned)
    for key, was in record.tuned.items():
        if sysctl.differs(held[key], was, stored=store.STORED):
            problems.append(f"{key} is {held[key].live} and was {was.live}")


def _look(problems: list[str]) -> Effects[Snapshot]:
    """Return what the kernel holds; nothing where it cannot be asked."""
    try:
        snapshot: Snapshot = yield ReadLive()
    except IpaliasError as error:
        problems.append(error.text())
        return Snapshot()
    return snapshot


def _activation(backend: Backend, change: Change, host: Host, problems: list[str]) -> Activation:
    """Return what the owner has to do; nothing where it cannot be asked what there is."""
    try:
        return backend.activate(change, host)
    except IpaliasError as error:
        problems.append(error.text())
        return Activation()


def _reverse(part: Part, record: Record, current: Snapshot, *, live: bool) -> Change:
    """Return the change that leads back from what is there now."""
    images = {path: record.files[path] for path in part.files}
    files = tuple(
        File(path, None if image is None else image.text, owned=path in record.owned)
        for path, image in images.items()
    )
    now = current.on(part.interface)
    known = {address.cidr for address in part.live} | {*part.touched, *part.foreign}
    # What came in the meantime is nobody's that the owner knows.
    passing = {"dynamic", "mngtmpaddr", "temporary"}
    fresh = [
        a.cidr for a in now if a.cidr not in known and a.scope != "link" and not a.flags & passing
    ]
    there = frozenset(address.cidr for address in now)
    foreign = (*part.foreign, *fresh)
    # An alias that was in the files alone is not for its owner to bring up; a store holds it.
    was = frozenset(address.cidr for address in part.live)
    stored = load(part.backend).STORED
    up = tuple(alias for alias in part.removed if alias.cidr in was or stored)
    if not live:
        # At boot the kernel takes what the store holds, and no more.
        was = frozenset(alias.cidr for alias in up)
    return Change(
        part.interface,
        part.evidence,
        up,
        part.added,
        files,
        foreign,
        there,
        live_after=was,
        back=True,
    )


def _restore(
    path: str, image: FileState | None, owned: bool, folders: dict[str, bool]
) -> Effects[None]:
    """Put one file back as it was, and take away what a cut-off write left beside it.

    :param folders: gets those that are to be synced, with whether each may go.
    """
    real_path = image.real_path if image is not None else path
    if (yield ReadFile(temporary_name(real_path))) is not None:
        yield Unlink(temporary_name(real_path))
    now: FileState | None = yield ReadFile(path)
    if image is None:
        folder = posixpath.dirname(path)
        if now is not None:
            yield Unlink(path)
            folders[folder] = folders.get(folder, False) or owned
        elif owned and folder not in folders:
            yield from tidy_folder(path)
    elif now is None or replace(now, real_path=real_path) != image:
        folder = yield from place_file(path, image.text, image.mode, image)
        folders.setdefault(folder, False)


def attempt(commands: tuple[Command, ...] | list[Command], problems: list[str]) -> Effects[None]:
    """Run commands of the way back; note a failure and go on."""
    for command in commands:
        yield from _noted(_run(command), problems)


def _validate(part: Part, change: Change, host: Host, problems: list[str]) -> Effects[None]:
    """Let the owner check its files, which are back by now: it may look at them itself."""
    yield from attempt(load(part.backend).validate(change, host), problems)


def _run(command: Command) -> Effects[None]:
    yield Run(command)


def _restore_kernel(record: Record, host: Host, problems: list[str]) -> Effects[None]:
    """Put addresses, routes and borrowed settings back, each as far as it goes."""
    current = yield from _look(problems)
    if down := _fallen_links(record, current):
        yield from attempt([Command(("ip", "link", "set", "dev", n, "up")) for n in down], problems)
        current = yield from _look(problems)
    for part in record.parts if current.links else ():
        if part.interface in current.by_link:
            yield from _noted(_until_nothing_is_left(_addresses_left(part), current), problems)
        else:
            problems.append(f"{part.interface} is gone: its addresses are not put back")
    for name, listed in record.beside.items():
        # One that is gone was not ours to lose.
        if name in current.by_link:
            part = Part(name, "", Evidence("", name, False), live=listed)
            yield from _noted(_until_nothing_is_left(_addresses_left(part), current), problems)
    if record.routes:
        current = yield from _look(problems)
        yield from _noted(_until_nothing_is_left(_routes_left(record), current), problems)
    for switch, value in record.kernel.items():
        yield from _noted(_restore_switch(switch, value, host), problems)


def _fallen_links(record: Record, current: Snapshot) -> list[str]:
    """Return the links that a restart has taken down and not brought up again.

    One that had a route was up; of the one that was to be restarted the record says it.
    Elsewhere than on Linux no owner's restart leaves it down.
    """
    names = dict.fromkeys(route.interface for route in record.routes)
    names |= dict.fromkeys(part.interface for part in record.parts if part.up)
    names |= dict.fromkeys(record.beside)
    links = [current.by_link[name] for name in names if name in current.by_link]
    return [link.name for link in links if "UP" not in link.flags and current.system == "linux"]


def _noted(effects: Effects[None], problems: list[str]) -> Effects[None]:
    """Carry out a part of the way back; note a failure and go on."""
    try:
        yield from effects
    except IpaliasError as error:
        problems.append(error.text())


def _restore_switch(path: str, value: str, host: Host) -> Effects[None]:
    now = host.read(path)
    if now is not None and now.strip() != value:
        yield WriteKernel(path, value)


#: Returns what is left to be put back, as effects that do it; None for nothing.
_Step = Callable[[Snapshot], "Effects[None] | None"]


def _until_nothing_is_left(step: _Step, current: Snapshot) -> Effects[None]:
    """Put back a part of the kernel's state; it failed only where something is still missing.

    The owner does the same meanwhile, on its own: the first address that comes back wakes
    NetworkManager 1.52, which within a millisecond sets its others and its routes (seen).
    Adding them then fails, and yet they are there.
    """
    failed: EffectError | None = None
    for _ in range(TRIES):
        left = step(current)
        if left is None:
            return
        try:
            yield from left
            return
        except EffectError as error:
            failed = error
        current = yield ReadLive()
    if failed is not None and step(current) is not None:
        raise failed


def _addresses_left(part: Part) -> _Step:
    """Take back exactly what the change did to addresses; what others did meanwhile stays."""
    was = {address.cidr: address for address in part.live}
    touched = set(part.touched)
    # The primary and foreign addresses that fell with a command of the owner's.
    lasting = {"dynamic", "temporary", "tentative", "dadfailed"}

    def step(current: Snapshot) -> Effects[None] | None:
        now = {address.cidr: address for address in current.on(part.interface)}
        numbered = current.system in KERNEL_NUMBERS
        going: list[LiveAddress] = []
        back: list[LiveAddress] = []
        for cidr in part.touched:
            live, old = now.get(cidr), was.get(cidr)
            differs = live is None or old is None or _looks(old, numbered) != _looks(live, numbered)
            if live is not None and differs:
                going.append(live)
            if old is not None and differs:
                back.append(old)
        back += [
            old
            for cidr, old in was.items()
            if cidr not in touched and cidr not in now and not old.flags & lasting
        ]
        if not (going or back):
            return None
        batch = [*ops.delete_ops(going, current), *ops.add_back_ops(back, current)]
        return run_batch(part.interface, batch, going, current.system, go_on=True)

    return step


def _looks(address: LiveAddress, numbered: bool) -> tuple[object, ...]:
    """Return what we ever change of an address.

    :param numbered: True where the label is a number that the kernel gave.
    """
    return (None if numbered else address.label, address.scope, address.preferred_zero)


def _routes_left(record: Record) -> _Step:
    """Put routes back that fell, each on its own: one may be refused, others not."""

    def step(current: Snapshot) -> Effects[None] | None:
        now = {_place(route) for route in current.routes}
        fallen = [r for r in record.routes if _place(r) not in now and r.protocol != "ra"]
        return _each(tools.load(current.system).routes_back(fallen)) if fallen else None

    return step


def _each(commands: Sequence[Command]) -> Effects[None]:
    """Run every command, whatever becomes of those before it; raise what failed first."""
    failed: EffectError | None = None
    for command in commands:
        try:
            yield Run(command)
        except EffectError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def _place(route: Route) -> tuple[object, ...]:
    """Return what makes a route the same one, whoever set it."""
    return (route.family, route.destination, route.interface, route.gateway, route.metric)


def kept_routes(
    snapshot: Snapshot, interfaces: Collection[str], left_out: str
) -> tuple[Route, ...]:
    """Return the routes that a change must not lose, in the order in which they can be added.

    The default routes, and before them the routes to subnets whose address has
    ``noprefixroute``: its owner made those, so they do not come back with the address, and
    without one there is no way to a gateway.

    :param interfaces: what the change is about.
    :param left_out: protocol whose routes are another component's business.
    """
    subnets = {
        (address.interface, str(ipaddress.ip_interface(address.cidr).network))
        for name in interfaces
        for address in snapshot.on(name)
        # One of scope host is an alias of ours, and its route is added with it.
        if "noprefixroute" in address.flags and address.scope == "global"
    }
    ways = [r for r in snapshot.routes if not r.gateway and (r.interface, r.destination) in subnets]
    defaults = [*snapshot.defaults(4), *snapshot.defaults(6)]
    return tuple(route for route in (*ways, *defaults) if route.protocol != left_out)
