"""A change of multi-WAN on Linux: routes, rules and NAT in the kernel, a monitor beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import platforms
from ..effects import Effects, ReadLive, ReadWan
from ..guarded import Verdict
from ..live import Snapshot
from ..model import File
from ..tuning import Setting
from . import start
from .apply import Plan, apply
from .collisions import refuse_collisions
from .config import refuse_misplaced
from .kernelsettings import kernel_settings
from .live import Found
from .model import WanConfig
from .nat import TABLE, expected
from .owners import NETWORKD, networkd_files, read_owners
from .routes import all_tables, plan, removal
from .setup import Setup, networks_of
from .standing import taken_over
from .stored import config_path, render_config


@dataclass
class LinuxSetup(Setup):
    """Hold a request's surroundings, see `Setup`."""

    def owners(self) -> list[dict[str, Any]]:
        """Return a row for each default route: whose it is, and how ours lives beside it."""
        snapshot: Snapshot = self.host.perform(ReadLive())
        numbers = (self._former() or WanConfig()).numbers
        return [owned.data(numbers) for owned in read_owners(self.host, snapshot)]

    def _render(self, block: object) -> str:
        return render_config(block)

    def _wanted_settings(self, config: WanConfig) -> list[Setting]:
        return kernel_settings(config, self.host)

    def _checked(self, config: WanConfig, text: str) -> list[str]:
        """Refuse what this host's interfaces or its kernel's numbers contradict.

        Interfaces are looked at when the configuration is new: later a line may be away.
        """
        found: Found = self.host.perform(ReadWan(text))
        snapshot: Snapshot = self.host.perform(ReadLive())
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

    def _plan(self, config: WanConfig | None, text: str, test: bool) -> Plan:
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

    def _change(self, planned: Plan) -> Effects[Verdict]:
        settings = self.guarded_settings()
        return apply(planned, self.host, settings, self.new_id(), self._purpose)


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
