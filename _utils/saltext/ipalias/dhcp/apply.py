"""Carry out a change of a DHCP server under journal, dead man and votes.

The server is asked about its new files while the old ones are in their place and it serves by
them; what it refuses has cost nothing. Then the files are replaced, and only a server whose
text has changed, or that does not run, is started anew. Leases are never touched, but for Kea's
where it takes dhcpd's place, or has another store than before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..effects import Effects, FileState, ReadFile, ReadLive, Run, Unlink
from ..errors import EffectError
from ..files import (
    digests,
    keep_originals,
    place_file,
    put_files,
    read_images,
    read_originals,
)
from ..guarded import Verdict, guarded
from ..host import Host, Result
from ..journal import DhcpPart, Record
from ..live import Snapshot
from ..model import File
from ..paths import ROUTE_PROTOCOL, Settings
from ..recover import kept_routes
from . import firewall, restarting
from .carry import Carry, carried
from .conffiles import Check, refusal
from .kea import LEASES as KEA_LEASES
from .model import KEA
from .services import SERVERS, State, read_sockets, serving, started, stopped, systemctl


@dataclass(frozen=True)
class Wanted:
    """Hold what a server shall do after the change.

    :param runs: it shall serve.
    :param anew: it is started anew though it serves: its text has changed.
    :param listen: address and port where it shall listen for its peer, or None.
    """

    implementation: str
    runs: bool
    enabled: bool
    anew: bool = False
    listen: tuple[str, int] | None = None


@dataclass(frozen=True)
class Plan:
    """Hold a change.

    :param files: those that differ from the disk; `texts`: what they are now.
    :param attributes: of these, those whose mode or owner alone is another; with what changes.
    :param check: what the server is asked before, or None.
    :param states: what the servers that are concerned do now.
    :param wanted: what they shall do, those that shall end first.
    :param like: mode and owner that a file shall have, where it is not to keep its own.
    :param rules: ``start``, ``stop`` or nothing: what the unit of the table has to do.
    :param carry: leases of the server that goes, for the one that comes.
    """

    files: tuple[File, ...] = ()
    texts: Mapping[str, str | None] = field(default_factory=dict)
    check: Check | None = None
    states: tuple[State, ...] = ()
    wanted: tuple[Wanted, ...] = ()
    rules: str = ""
    services: Mapping[str, str] = field(default_factory=dict)
    like: Mapping[str, FileState] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    carry: Carry | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def touches_host(self) -> bool:
        """Tell whether a file or a service changes."""
        return bool(self.files or self.services)


def describe(planned: Plan, test: bool) -> str:
    """Return what a plan changes, in words."""
    if not planned.touches_host:
        return "This side of the pair is as wanted"
    would = "would be " if test else ""
    parts = [f"{len(planned.files)} files {would}changed"] if planned.files else []
    parts += [f"{unit} {would}{what}" for unit, what in planned.services.items()]
    return ", ".join(parts)


def apply(plan: Plan, host: Host, settings: Settings, ident: str, purpose: str) -> Effects[Verdict]:
    """Carry out a plan.

    :raises EffectError: a write or a command failed, or the server refuses its files;
        everything is as it was.
    :raises VerifyError: it does not come to listen, or a vote went against it; undone.
    """
    before: Snapshot = yield ReadLive()
    images = yield from read_images(plan.files, plan.texts)
    candidates = plan.check.files if plan.check is not None else ()
    beside: dict[str, FileState | None] = {file.path: None for file in candidates}
    beside |= yield from read_originals(plan.files, images, settings.paths)
    if plan.carry is not None:
        beside[KEA_LEASES] = yield ReadFile(KEA_LEASES)
    record = Record(
        ident,
        purpose,
        files={**images, **beside},
        owned=tuple(f.path for f in (*plan.files, *candidates) if f.owned),
        written=digests(plan.files),
        routes=kept_routes(before, before.by_link, ROUTE_PROTOCOL),
        dhcp=DhcpPart(
            tuple((s.implementation, s.pids, s.enabled) for s in plan.states),
            bool(plan.rules),
            plan.texts.get(firewall.UNIT, host.read(firewall.UNIT)) is not None,
        ),
    )
    body = _body(plan, images, host, settings)
    _, verdict = yield from guarded(record, body, before, host, settings)
    return verdict


def _body(
    plan: Plan, images: Mapping[str, FileState | None], host: Host, settings: Settings
) -> Effects[None]:
    """Do the change itself."""
    like = {**images, **plan.like}
    if plan.check is not None:
        yield from ask_server(plan.check, like)
    yield from keep_originals(plan.files, images, settings.paths)
    if plan.rules == "stop":
        yield Run(systemctl("stop", firewall.UNIT_NAME))
    going = [w for w in plan.wanted if not w.runs]
    for wanted in going:
        yield from stopped(SERVERS[wanted.implementation], host)
    if plan.carry is not None:
        if serving(SERVERS[KEA], read_sockets(host)):
            yield from stopped(SERVERS[KEA], host)
        yield from carried(plan.carry, host)
    yield from put_files(plan.files, like)
    if plan.rules or restarting.is_among([file.path for file in plan.files]):
        yield Run(systemctl("daemon-reload"))
    if plan.rules == "start":
        yield Run(systemctl("restart", firewall.UNIT_NAME))
    enabled = {state.implementation: state.enabled for state in plan.states}
    for wanted in plan.wanted:
        server = SERVERS[wanted.implementation]
        if wanted.enabled != enabled[wanted.implementation]:
            yield Run(systemctl("enable" if wanted.enabled else "disable", server.unit))
        runs = bool(serving(server, read_sockets(host)))
        if wanted.runs and (wanted.anew or not runs):
            if runs:
                yield from stopped(server, host)
            yield from started(server, host, *(wanted.listen or ()))


def ask_server(check: Check, like: Mapping[str, FileState | None]) -> Effects[None]:
    """Have the server look at its new files beside the old ones.

    :raises EffectError: it refuses them, with its own words.
    """
    for file in check.files:
        # Owner and mode of the real one: Kea looks at it as its own user.
        real = like.get(check.names[file.path])
        before = None if file.owned or real is None else replace(real, real_path=file.path)
        yield from place_file(file.path, file.text or "", file.mode, before)
    result: Result = yield Run(check.command, check=False)
    for file in check.files:
        yield Unlink(file.path)
    if result.code not in check.command.ok:
        raise EffectError(
            f"{check.program} refuses the new configuration: "
            f"{refusal(result.err + result.out, check)}",
            where=next(iter(check.names.values()), "its configuration"),
        )
