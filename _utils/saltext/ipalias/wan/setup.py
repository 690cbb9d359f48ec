"""Bring a host to a multi-WAN configuration, and back: files, service and kernel in one change.

Two changes in an order that is safe by construction: first the kernel settings, under the
`Tuner`'s own journal, then the rest; removal the other way round. Between the two a host
forwards and has no second line yet, never the reverse. If the second fails, the settings
are those of the former configuration again. The monitor's switching is no part of this: it
takes no lock, and what it does is never put back by a change (`paths.ROUTE_PROTOCOL`).

What is the same on every system stands here; `linuxsetup` and `bsdsetup` know theirs, and
`systems` chooses.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any

from ..bootunit import Program
from ..difference import render_diff
from ..effects import Effects, Freeze
from ..errors import InputError, IpaliasError, UnsupportedError
from ..frozen import CURRENT
from ..guarded import Verdict
from ..live import Snapshot
from ..request import Answer, PillarRequest, nothing
from ..tuning import WAN, Setting, Tuner
from ..values import mapping
from . import start
from .apply import Plan
from .bsdroutes import SYSTEMS as BSD
from .config import parse_wan
from .model import WanConfig
from .stored import config_path, parse_config

#: Where several ways out can be had.
SYSTEMS = ("linux", *BSD)


@dataclass
class Setup(PillarRequest, ABC):
    """Hold a request's surroundings; what a system has to know for itself is abstract.

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
        if self.host.system not in SYSTEMS:
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

    # -- reading ------------------------------------------------------------------------

    def config(self) -> WanConfig:
        """Return the pillar's block, checked.

        :raises InputError: see `config.parse_wan`; no uplinks at all.
        :raises UnsupportedError: a system that has no lines of ours.
        """
        self._refuse_elsewhere()
        block = mapping(self.data, self.root).get("wan")
        config = parse_wan(block, f"{self.root}:wan", self.host.system)
        if not config.uplinks:
            raise InputError(
                "there are no uplinks",
                where=f"{self.root}:wan:uplinks",
                way_out="give two, or take all of it away by the state ipalias.wan.clean",
            )
        return config

    def _refuse_elsewhere(self) -> None:
        if self.host.system not in SYSTEMS:
            raise UnsupportedError(
                f"several ways out are for Linux, OpenBSD and FreeBSD; this is {self.host.system}",
                where=f"{self.root}:wan",
            )

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

    # -- what each system does in its own way --------------------------------------------

    @abstractmethod
    def owners(self) -> list[dict[str, Any]]:
        """Return a row for each default route: whose it is, and how ours lives beside it."""

    @abstractmethod
    def _render(self, block: object) -> str:
        """Return the text of a configuration, see `stored`."""

    @abstractmethod
    def _wanted_settings(self, config: WanConfig) -> list[Setting]:
        """Return the kernel settings that the lines need."""

    @abstractmethod
    def _checked(self, config: WanConfig, text: str) -> list[str]:
        """Refuse what this host contradicts; return what there is to know."""

    @abstractmethod
    def _plan(self, config: WanConfig | None, text: str, test: bool) -> Plan:
        """Return what a configuration changes on this host.

        :param config: None: everything goes.
        """

    @abstractmethod
    def _change(self, planned: Plan) -> Effects[Verdict]:
        """Carry a plan out, as one change."""

    # -- what requests share ------------------------------------------------------------

    def _program(self, verb: str, fresh: bool) -> Program:
        """Return what the frozen copy runs.

        :param fresh: the copy is made current first; it may then lie elsewhere.
        """
        paths = self.settings.paths
        folder: str | None = self.host.perform(Freeze()) if fresh else None
        frozen = folder.rsplit("/", 1)[0] if folder else paths.frozen
        return Program(self.interpreter, frozen, paths.state, verb, CURRENT)

    def _tuner(self) -> Tuner:
        settings = self.guarded_settings()
        return Tuner(self.host, settings, self.locked, self.new_id, self.interpreter)

    def _settings_back(self, former: WanConfig | None) -> None:
        """Bring the kernel settings back to those of the former configuration."""
        settings = self._wanted_settings(former) if former is not None else []
        self._tuner().managed(settings, wanted_by=WAN)

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
