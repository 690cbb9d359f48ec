"""Bring a host to a multi-WAN configuration, and back: files, service and kernel in one change.

Two changes in an order that is safe by construction: first the kernel settings, under the
`Tuner`'s own journal, then the rest; removal the other way round. Between the two a host
forwards and has no second line yet, never the reverse. If the second fails, the settings
are those of the former configuration again. The monitor's switching is no part of this: it
takes no lock, and what it does is never put back by a change (`paths.ROUTE_PROTOCOL`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_interface
from typing import Any

from .. import platforms
from ..bootunit import Program
from ..difference import render_diff
from ..effects import Effects, Freeze, ReadLive, ReadWan
from ..errors import InputError, IpaliasError, UnsupportedError
from ..frozen import CURRENT
from ..guarded import Verdict
from ..live import Snapshot
from ..model import File
from ..request import Answer, PillarRequest, nothing
from ..tuning import WAN, Setting, Tuner
from ..values import mapping
from . import start
from .apply import Plan, apply
from .bsdroutes import SYSTEMS as BSD
from .collisions import refuse_collisions
from .config import parse_wan, refuse_misplaced
from .kernelsettings import kernel_settings
from .live import Found
from .model import WanConfig
from .nat import TABLE, expected
from .owners import NETWORKD, networkd_files, read_owners
from .routes import all_tables, plan, removal
from .standing import taken_over
from .stored import config_path, parse_config, render_config


@dataclass
class Setup(PillarRequest):
    """Hold a request's surroundings.

    :param interpreter: the Python that the monitor runs under.
    """

    interpreter: str = sys.executable

    # -- requests -----------------------------------------------------------------------

    def managed(self, *, test: bool = False) -> Answer:
        """Bring the host to the pillar's ``wan``.

        :return: ``result``, ``changes`` (``files``: path → diff, ``kernel``: ``changed``,
            a list of sentences, ``settings``: key → old and new), ``comment``, ``notes``.
        :raises IpaliasError: see `config`, `collisions`, `tuning` and `guarded`; everything
            is as it was.
        """
        block = mapping(self.data, self.root).get("wan")
        if block is None and not self._text():
            return nothing("The pillar has no `wan`")
        config = self.config()
        text = self._render(block)
        # Whatever is refused is refused before the settings are touched.
        notes = self._checked(config, text)
        former = self._former()
        settings = self._wanted_settings(config)
        tuned = self._tuner().managed(settings, wanted_by=WAN, test=test)
        try:
            answer = self.bring(config, text, notes, test=test)
        except IpaliasError:
            if not test:
                self._settings_back(former)
            raise
        return _joined(answer, tuned)

    def absent(self, *, test: bool = False) -> Answer:
        """Take everything of ours away: service, kernel, files, then the settings."""
        if self.host.system not in ("linux", *BSD):
            return nothing("Nothing of ours is concerned")
        answer = self.bring(None, "", test=test)
        tuned = self._tuner().absent(None, wanted_by=WAN, test=test)
        return _joined(answer, tuned)

    def bring(
        self, config: WanConfig | None, text: str, notes: Sequence[str] = (), *, test: bool = False
    ) -> Answer:
        """Bring files, service and kernel to a configuration: one change, without the settings.

        :param config: None: everything goes.
        :param text: of it, see `stored`.
        """
        with self.lock(f"ipalias_wan.{'apply' if config else 'clean'}", test):
            return self._carry_out(self._plan(config, text, test), notes, test)

    def owners(self) -> list[dict[str, Any]]:
        """Return a row for each default route: whose it is, and how ours lives beside it."""
        snapshot: Snapshot = self.host.perform(ReadLive())
        numbers = (self._former() or WanConfig()).numbers
        return [owned.data(numbers) for owned in read_owners(self.host, snapshot)]

    # -- reading ------------------------------------------------------------------------

    def config(self) -> WanConfig:
        """Return the pillar's block, checked.

        :raises InputError: see `config.parse_wan`; no uplinks at all.
        :raises UnsupportedError: not Linux.
        """
        self._refuse_system()
        block = mapping(self.data, self.root).get("wan")
        config = parse_wan(block, f"{self.root}:wan", self.host.system)
        if not config.uplinks:
            raise InputError(
                "there are no uplinks",
                where=f"{self.root}:wan:uplinks",
                way_out="give two, or take all of it away by the state ipalias.wan.clean",
            )
        return config

    def _refuse_system(self) -> None:
        if self.host.system != "linux":
            raise UnsupportedError(
                f"several ways out are for Linux, OpenBSD and FreeBSD; this is {self.host.system}",
                where=f"{self.root}:wan",
            )

    def _read(self, text: str) -> tuple[Found, Snapshot]:
        found: Found = self.host.perform(ReadWan(text))
        snapshot: Snapshot = self.host.perform(ReadLive())
        return found, snapshot

    def _text(self) -> str:
        """Return the configuration that is in force, or nothing."""
        return self.host.read(config_path(self.settings.paths)) or ""

    def _former(self) -> WanConfig | None:
        """Return the configuration that is in force; None: none, or none that can be read."""
        text = self._text()
        try:
            return parse_config(text, config_path(self.settings.paths)) if text else None
        except IpaliasError:
            return None

    def _refuse(self, config: WanConfig, text: str, found: Found, snapshot: Snapshot) -> list[str]:
        """Refuse what this host's interfaces or its kernel's numbers contradict.

        Interfaces are looked at when the configuration is new: later a line may be away.
        """
        notes: list[str] = []
        if text != self._text():
            there, notes = _addressed(config, snapshot)
            refuse_misplaced(there, *networks_of(snapshot))
        former = self._former()
        notes += refuse_collisions(
            config,
            found.kernel,
            found.protocol,
            nft=found.nft,
            iptables=found.iptables,
            former=all_tables(former.numbers) if former else (),
        )
        return [*notes, *(o.text(config.numbers) for o in read_owners(self.host, snapshot))]

    def _checked(self, config: WanConfig, text: str) -> list[str]:
        """Refuse what this host contradicts; return what there is to know."""
        return self._refuse(config, text, *self._read(text))

    def _render(self, block: object) -> str:
        return render_config(block)

    def _wanted_settings(self, config: WanConfig) -> list[Setting]:
        return kernel_settings(config, self.host)

    # -- planning -----------------------------------------------------------------------

    def _plan(self, config: WanConfig | None, text: str, test: bool) -> Plan:
        """Return what a configuration changes on this host.

        :param config: None: everything goes.
        """
        before = self._text()
        started_by = platforms.init(self.host.system, self.host.exists)
        started_by = started_by if started_by in start.INITS else ""
        files = [File(config_path(self.settings.paths), text or None, 0o600)]
        files += start.service_files(
            started_by, config, self._program(start.VERB, config is not None and not test)
        )
        beside, notes = networkd_files(self.host) if config is not None else ([], [])
        files += beside or [File(NETWORKD, None)]
        texts = {file.path: self.host.read(file.path) for file in files}
        files = [file for file in files if texts[file.path] != file.text]
        kernel = self._kernel(config, text, before)
        runs = config is not None
        idle = runs and not start.is_running(self.host, started_by)
        if runs and not started_by:
            notes.append("nothing here starts the monitor: `run.py wan` of the frozen copy is it")
        return Plan(
            before, text, tuple(files), texts, tuple(kernel), started_by, idle, tuple(notes)
        )

    def _program(self, verb: str, fresh: bool) -> Program:
        """Return what the frozen copy runs.

        :param fresh: the copy is made current first; it may then lie elsewhere.
        """
        paths = self.settings.paths
        folder: str | None = self.host.perform(Freeze()) if fresh else None
        frozen = folder.rsplit("/", 1)[0] if folder else paths.frozen
        return Program(self.interpreter, frozen, paths.state, verb, CURRENT)

    def _kernel(self, config: WanConfig | None, text: str, before: str) -> Sequence[str]:
        """Return what changes in the kernel, one sentence each."""
        former = self._former()
        if config is None:
            if not before:
                return []
            found: Found = self.host.perform(ReadWan(before))
            numbers = (former or WanConfig()).numbers
            gone = removal(numbers, found.kernel)
            told = [change.text() for change in gone]
            return [*told, f"deleted table inet {TABLE}"] if found.kernel.nat is not None else told
        found = self.host.perform(ReadWan(text))
        before_it: Found = self.host.perform(ReadWan(before)) if former is not None else found
        wanted = taken_over(config, former, before_it.kernel)
        planned = plan(config, wanted, found.kernel)
        told = [change.text() for change in planned.changes]
        if found.kernel.nat != expected(config):
            told.append(f"set table inet {TABLE}")
        return told

    # -- what requests share ------------------------------------------------------------

    def _tuner(self) -> Tuner:
        settings = self.guarded_settings()
        return Tuner(self.host, settings, self.locked, self.new_id, self.interpreter)

    def _settings_back(self, former: WanConfig | None) -> None:
        """Bring the kernel settings back to those of the former configuration."""
        settings = self._wanted_settings(former) if former is not None else []
        self._tuner().managed(settings, wanted_by=WAN)

    def _change(self, planned: Plan) -> Effects[Verdict]:
        settings = self.guarded_settings()
        return apply(planned, self.host, settings, self.new_id(), self._purpose)

    def _carry_out(self, planned: Plan, notes: Sequence[str], test: bool) -> Answer:
        """Show a change (`test`) or make it, and answer with plain data."""
        said = [*self._settled, *notes, *planned.notes]
        changes: dict[str, dict[str, object]] = {}
        diffs = {f.path: render_diff(f.path, planned.texts[f.path], f.text) for f in planned.files}
        if diffs:
            changes["files"] = dict(diffs)
        if planned.kernel:
            changes["kernel"] = {"changed": list(planned.kernel)}
        if planned.idle:
            changes["service"] = {start.NAME: "started"}
        change = (lambda: self._change(planned)) if planned.touches_host else None
        answer = self.answer(changes, said, change, test)
        answer["comment"] = _comment(planned, test)
        return answer


def _comment(planned: Plan, test: bool) -> str:
    if not planned.touches_host:
        return "Lines, routes, rules and NAT are as wanted"
    would = "would be " if test else ""
    parts = [f"{len(planned.files)} files {would}changed"] if planned.files else []
    parts += [f"{len(planned.kernel)} changes of the kernel"] if planned.kernel else []
    parts += [f"{start.NAME} {would}{'stopped' if not planned.after else 'started'}"]
    return ", ".join(parts)


def _joined(answer: Answer, tuned: Answer) -> Answer:
    """Return the answer of both changes as one."""
    changes = {**answer["changes"]}
    for key, value in tuned["changes"].items():
        known = changes.get(key)
        changes[key] = {**known, **value} if isinstance(known, Mapping) else value
    results = (answer["result"], tuned["result"])
    notes = [*answer["notes"], *tuned["notes"]]
    return {
        "result": False if False in results else None if None in results else True,
        "changes": changes,
        "notes": notes,
        "comment": ". ".join([answer["comment"], tuned["comment"], *answer["notes"]]),
    }


def _addressed(config: WanConfig, snapshot: Snapshot) -> tuple[WanConfig, list[str]]:
    """Return the configuration without lines that have no address yet, and what they are."""
    notes: list[str] = []
    uplinks = []
    for uplink in config.uplinks:
        families = {a.family for a in snapshot.on(uplink.interface) if a.scope == "global"}
        gone = [way for way in uplink.ways if way.line.family not in families]
        known = uplink.interface in snapshot.by_link
        if known:
            notes += [
                f"{way.line.text()}: {way.interface} has no IPv{way.line.family} address yet; "
                "gateway and source were not held against it"
                for way in gone
            ]
            uplink = replace(uplink, ways=tuple(w for w in uplink.ways if w not in gone))
        uplinks.append(uplink)
    return replace(config, uplinks=tuple(uplinks)), notes


def networks_of(snapshot: Snapshot) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return addresses, and networks on the link beside theirs, by interface."""
    addresses = {link.name: [a.cidr for a in snapshot.on(link.name)] for link in snapshot.links}
    onlink: dict[str, list[str]] = {}
    for route in snapshot.routes:
        if not route.gateway and route.destination != "default":
            onlink.setdefault(route.interface, []).append(str(_network(route.destination)))
    return addresses, onlink


def _network(destination: str) -> object:
    return ip_interface(destination).network
