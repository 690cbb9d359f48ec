"""Bring a BSD to a multi-WAN configuration: hostname.if or rc.conf, routes, pf, ifstated.

One change under journal, dead man and votes, as on Linux; every text is checked by the
program that will read it (``ifstated -n``, ``pfctl -n``) before a file is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..effects import Effects, FileState, ReadLive, Run
from ..errors import EffectError, RefusedError, VerifyError
from ..files import digests, keep_originals, put_files, read_images, read_originals
from ..guarded import Verdict, guarded
from ..host import Host, Result
from ..journal import Record, WanPart
from ..live import Snapshot
from ..model import File
from ..paths import Settings
from ..recover import kept_routes
from ..tuning import Setting
from . import apply as wan_apply
from . import bsdroutes, bsdstatus, ifstated
from .bsdroutes import Dialect, Stored, parse_stored, render_stored
from .config import refuse_misplaced
from .ifstated import FIRST_LINE, VERB, detection, refuse_inexpressible
from .model import WanConfig
from .setup import Setup, networks_of
from .stored import config_path


@dataclass(frozen=True)
class Plan(wan_apply.Plan):
    """Hold a change; `checked` are the new texts of ifstated and pf."""

    checked: tuple[str, str | None] = ("", None)


@dataclass
class BsdSetup(Setup):
    """Hold a request's surroundings, see `Setup`."""

    @property
    def dialect(self) -> Dialect:
        """Return how this system does it."""
        return bsdroutes.load(self.host.system)

    def _render(self, block: object) -> str:
        stored = self._stored()
        if stored is not None:
            return render_stored(block, stored.found)
        snapshot: Snapshot = self.host.perform(ReadLive())
        defaults = [*snapshot.defaults(4), *snapshot.defaults(6)]
        return render_stored(block, [r for r in defaults if r.gateway and r.protocol != "ra"])

    def _stored(self) -> Stored | None:
        return parse_stored(self._text(), config_path(self.settings.paths))

    def _wanted_settings(self, config: WanConfig) -> list[Setting]:
        return [Setting(key, value, config.where) for key, value in self.dialect.settings(config)]

    def _checked(self, config: WanConfig, text: str) -> list[str]:
        dialect, host = self.dialect, self.host
        refuse_inexpressible(config)
        dialect.refuse(host, config)
        snapshot: Snapshot = host.perform(ReadLive())
        if text != self._text():
            refuse_misplaced(config, *networks_of(snapshot))
        _refuse_foreign_routes(dialect, config, self._stored(), snapshot)
        held = host.read(dialect.IFSTATED)
        if held is not None and not held.startswith(FIRST_LINE):
            raise RefusedError(
                "there is an ifstated.conf of somebody else, and ifstated reads one only",
                where=dialect.IFSTATED,
                way_out="move it away; what it did beside watching lines must be kept elsewhere",
            )
        for program in ("ifstated", *(("pfctl",) if bsdroutes.has_nat(text) else ())):
            if host.which(program) is None:
                raise RefusedError(
                    f"{program} is not installed",
                    where=config.where,
                    way_out="on FreeBSD it is the package net/ifstated; pfctl is part of the base",
                )
        if bsdroutes.has_nat(text) and host.read(dialect.PF) is None:
            raise RefusedError(
                "there is no such file, and NAT would be the only rule in it",
                where=dialect.PF,
                way_out="write the filter rules of this host first; `pass` alone is one",
            )
        # What the files refuse, before the settings are touched.
        old = self._stored()
        dialect.boot_files(host, config, old.config if old is not None else None)
        return [
            f"{way.line.text()}: a fault shows within {detection(config, way.line):g} s"
            for _, way in config.ways()
        ]

    def _plan(self, config: WanConfig | None, text: str, test: bool) -> Plan:
        dialect, host = self.dialect, self.host
        before = self._text()
        old = self._stored()
        machine = ""
        if config is not None:
            machine = ifstated.render(config, dialect.commands(self._program(VERB, not test)))
        files = [File(config_path(self.settings.paths), text or None, 0o600)]
        files.append(File(dialect.IFSTATED, machine or None, 0o644))
        beside, notes = dialect.boot_files(host, config, old.config if old is not None else None)
        pf_text = host.read(dialect.PF)
        pf_after = dialect.pf_text(pf_text or "", config) or ""
        if pf_after != (pf_text or ""):
            beside.append(File(dialect.PF, pf_after, 0o600, owned=False))
        files += beside
        texts = {file.path: host.read(file.path) for file in files}
        files = [file for file in files if texts[file.path] != file.text]
        new = parse_stored(text, "pillar")
        snapshot: Snapshot = host.perform(ReadLive())
        commands = bsdroutes.plan_routes(dialect, old, new, snapshot)
        changed = {file.path for file in files}
        return Plan(
            before,
            text,
            tuple(files),
            texts,
            tuple(" ".join(command.argv) for command in commands),
            host.system,
            config is not None and not dialect.is_running(host),
            tuple(notes),
            (
                machine if dialect.IFSTATED in changed else "",
                pf_after if dialect.PF in changed else None,
            ),
        )

    def owners(self) -> list[dict[str, Any]]:
        """Return a row for each default route, with the line whose it is."""
        snapshot: Snapshot = self.host.perform(ReadLive())
        stored = self._stored()
        ways = stored.config.ways() if stored is not None else ()
        lines = {self.dialect.via(way): way.line.text() for _, way in ways}
        return [
            {
                "family": route.family,
                "gateway": route.gateway or "",
                "interface": route.interface,
                "protocol": route.protocol,
                "line": lines.get(route.gateway or "", ""),
            }
            for family in (4, 6)
            for route in snapshot.defaults(family)
        ]

    def status(self) -> list[dict[str, Any]]:
        """Return a row for each line, see `bsdstatus.status`."""
        return bsdstatus.status(self.host, self.settings.paths.state)

    def _change(self, planned: wan_apply.Plan) -> Effects[Verdict]:
        assert isinstance(planned, Plan)
        settings = self.guarded_settings()
        return apply(planned, self.host, settings, self.new_id(), self._purpose)


def _refuse_foreign_routes(
    dialect: Dialect, config: WanConfig, stored: Stored | None, snapshot: Snapshot
) -> None:
    """Refuse a default route or a route to a target that is somebody else's."""
    known = [config, *((stored.config,) if stored is not None else ())]
    ours = {dialect.via(way) for one in known for _, way in one.ways()}
    for family in {way.line.family for _, way in config.ways()}:
        for route in snapshot.defaults(family):
            if route.gateway not in ours:
                raise RefusedError(
                    f"a default route by {route.gateway or route.interface} stands beside them, "
                    "and traffic would go by it whatever the lines do",
                    where=route.interface,
                    way_out="make it an uplink, or take it away where it is set",
                )
    hosts = [r for one in known for r in bsdroutes.host_routes(dialect, one)]
    allowed = {(route.destination, route.gateway) for route in hosts}
    targets = {route.destination for route in bsdroutes.host_routes(dialect, config)}
    for route in snapshot.routes:
        if route.destination in targets and (route.destination, route.gateway) not in allowed:
            raise RefusedError(
                f"{route.destination} is routed by {route.gateway or route.interface} already",
                where=config.where,
                way_out="take that route away, or another target",
            )


# Carrying it out


def apply(plan: Plan, host: Host, settings: Settings, ident: str, purpose: str) -> Effects[Verdict]:
    """Carry out a plan.

    :raises EffectError: a check, a write or a command refused; everything is as it was.
    :raises VerifyError: ifstated does not run, a route is missing, or a vote went against it.
    """
    before: Snapshot = yield ReadLive()
    images = yield from read_images(plan.files, plan.texts)
    ours = yield from read_originals(plan.files, images, settings.paths)
    record = Record(
        ident,
        purpose,
        files={**images, **ours},
        owned=tuple(file.path for file in plan.files if file.owned),
        written=digests(plan.files),
        routes=kept_routes(before, before.by_link, ""),
        wan=WanPart(plan.before, plan.after, plan.started_by),
    )
    body = _body(plan, images, host, settings)
    _, verdict = yield from guarded(record, body, before, host, settings)
    return verdict


def _body(
    plan: Plan, images: Mapping[str, FileState | None], host: Host, settings: Settings
) -> Effects[None]:
    """Do the change itself: look at every text first, and let no one switch meanwhile."""
    dialect = bsdroutes.load(host.system)
    machine, pf_text = plan.checked
    for command in bsdroutes.checks(dialect, machine, pf_text):
        yield Run(command)
    yield from keep_originals(plan.files, dict(images), settings.paths)
    stopped: Result = yield Run(dialect.pausing())
    # "Not running" and "does not stop" are one exit code.
    if dialect.is_running(host):
        raise EffectError(
            f"ifstated does not stop: {stopped.err.strip() or stopped.out.strip()}",
            where=" ".join(dialect.pausing().argv),
            way_out="end it by hand; nothing was changed",
        )
    yield from put_files(plan.files, images)
    yield from bsdroutes.bring(host, plan.before, plan.after, lambda: pf_text is not None)
    if plan.after:
        yield Run(dialect.starting())
        yield from _verified(plan, host, dialect)


def _verified(plan: Plan, host: Host, dialect: Dialect) -> Effects[None]:
    """Fail where ifstated does not run, or a family that has lines has no default route."""
    if not dialect.is_running(host):
        raise VerifyError(
            "ifstated was started and does not run",
            where=dialect.IFSTATED,
            way_out="everything was put back; /var/log/daemon says why",
        )
    after: Snapshot = yield ReadLive()
    stored = parse_stored(plan.after, "configuration")
    families = {way.line.family for _, way in stored.config.ways()} if stored is not None else ()
    for family in sorted(families):
        if not after.defaults(family):
            raise VerifyError(
                f"there is no default route of IPv{family}",
                where="routes",
                way_out="everything was put back",
            )
