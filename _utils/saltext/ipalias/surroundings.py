"""What a request about aliases has around it, whatever its verb: reading, planning, carrying out.

Plain data goes in and comes out, because no class survives a reload of the library.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from . import restarts
from .backends import load
from .checks import patience
from .difference import cap
from .effects import ReadLive, Unlink, run
from .errors import EffectError, InputError, RefusedError
from .files import write_state
from .host import Host, Overlay
from .ledger import Ledger, parse_ledger
from .lifeline import refuse_cuts, refuse_pair, refuse_used
from .live import Snapshot
from .model import File, Wanted
from .owner import choose, require_link
from .pillar import AUTO, DEFAULT, Config, InterfaceConfig, parse_pillar
from .plan import Plan, activation_of, describe, make_plan
from .request import Answer, PillarRequest
from .situation import Situation, Target
from .transaction import apply, final_ledger, write_ledger

#: Files that a comment names, and faults of the pillar; the rest is counted.
MAX_NAMED = 20
MAX_FAULTS = 3
#: Large changes that are kept whole; older ones go.
MAX_KEPT = 100


@dataclass
class Surroundings(PillarRequest):
    """Hold a request's surroundings.

    :param forced: addresses to be taken away even if this host is reached by them, an account
        of a control panel uses them, or its DHCP server.
    :param whole: the pillar's block and its path, where `data` was given in place of it.
    """

    forced: frozenset[str] = frozenset()
    whole: tuple[object, str] | None = None
    _faults: list[str] = field(default_factory=list, init=False)

    # -- reading ------------------------------------------------------------------------

    def config(self) -> Config:
        """Return the pillar, checked."""
        return parse_pillar(self.data, self.root, self.host.system)

    def config_by_hand(self) -> Config:
        """Return the pillar for a request that its addresses do not concern.

        One that cannot be read is left out, and told in the answer. The settings (who owns an
        interface, the guard) have to be right.
        """
        faults: list[InputError] = []
        config = parse_pillar(self.data, self.root, self.host.system, faults)
        self._faults = [
            f"The pillar has a fault, which does not concern this: {fault.text()}"
            for fault in faults[:MAX_FAULTS]
        ]
        if len(faults) > MAX_FAULTS:
            self._faults.append(f"The pillar has {len(faults) - MAX_FAULTS} more faults")
        return config

    def ledger(self, *, entries: bool = True) -> Ledger:
        """Return the ledger; without `entries`, only what interfaces it knows."""
        text = self.host.read(self.paths.ledger)
        return parse_ledger(text, self.paths.ledger, entries=entries)

    def snapshot(self) -> Snapshot:
        """Return what the kernel holds."""
        snapshot: Snapshot = self.host.perform(ReadLive())
        return snapshot

    def situation(
        self, interface: str, config: InterfaceConfig, ledger: Ledger, snapshot: Snapshot
    ) -> Situation:
        """Return all that is known of an interface."""
        where = config.where if config.name else f"{self.root}:interfaces:{interface}"
        require_link(snapshot, interface, where)
        backend, evidence = choose(self.host, interface, config.backend, ledger, where)
        found = tuple(backend.parse(self.host, evidence))
        return Situation(interface, backend, evidence, snapshot, ledger, found, self.root)

    def plan(
        self,
        situation: Situation,
        target: Target,
        config: InterfaceConfig,
        before: Sequence[Plan] = (),
    ) -> Plan:
        """Return a plan.

        :param before: plans carried out first; their files are seen as they will be.
        """
        planned = {file.path: file.text for plan in before for file in plan.files}
        host = Overlay(self.host, planned) if planned else self.host
        leave = self._left_behind(situation, host)
        plan = make_plan(situation, target, host, config.options, leave, config.restart)
        return replace(plan, check_duplicates=config.check_duplicates)

    def _left_behind(self, situation: Situation, host: Host) -> list[File]:
        """Return the files of the dialect that owned the interface before, emptied of ours."""
        before = situation.ledger.backends.get(situation.interface)
        if before is None or before == situation.backend.NAME:
            return []
        backend = load(before)
        evidence = backend.assume(host, situation.interface)
        former = tuple(e.alias for e in situation.ledger.on(situation.interface).values() if e.file)
        return backend.render(Wanted(situation.interface, (), evidence, former), host)

    # -- carrying out ------------------------------------------------------------

    def notes(self) -> list[str]:
        """Return what is to be said whatever was asked for."""
        return [*self._settled, *self._faults]

    def config_or_none(self) -> Config:
        """Return the pillar, or an empty one where it cannot be read: cleaning needs none."""
        try:
            return self.config_by_hand()
        except InputError as error:
            self._faults = [f"The pillar is left aside, for it has a fault: {error.text()}"]
            return Config()

    def settings_of(self, name: str, config: Config, ledger: Ledger) -> InterfaceConfig:
        """Return the pillar's settings for a real interface."""
        if name in config.interfaces:
            return config.interfaces[name]
        if DEFAULT in config.interfaces and name in ledger.default.values():
            return config.interfaces[DEFAULT]
        return config.base

    def settings_to_undo(self, name: str, config: Config, ledger: Ledger) -> InterfaceConfig:
        """Return the settings for taking back what we did: it lies where it lies.

        A dialect of another system, which the pillar may name by now, means nothing then.
        """
        settings = self.settings_of(name, config, ledger)
        if settings.backend != AUTO and self.host.system not in load(settings.backend).SYSTEMS:
            return replace(settings, backend=AUTO)
        return settings

    def carry_out(
        self,
        plans: Sequence[Plan],
        config: Config,
        how: InterfaceConfig,
        test: bool,
        forget: Sequence[str] = (),
        *,
        pair_first: bool = False,
    ) -> Answer:
        """Show plans (`test`) or apply them, and answer with plain data.

        :param how: block whose settings count for announcing.
        :param forget: see `transaction.apply`.
        :param pair_first: a run as a whole takes a DHCP pair away before: with `test` it is there
            still, and is told of.
        """
        todo = [plan for plan in plans if plan.touches_host]
        refuse_cuts(todo, self.host, self.settings.master, self.forced)
        refuse_used(todo, self.host, self.forced)
        notes = self.notes()
        try:
            data, root = self.whole or (self.data, self.root)
            refuse_pair(todo, self.host, self.paths, data, root, self.forced)
        except RefusedError as error:
            if not (test and pair_first):
                raise
            notes.append(f"Unless the pair goes first: {error.text()}")
        changes = _merged(describe(plan) for plan in todo)
        notes += [note for plan in plans for note in self._notes(plan, todo)]
        short, cut = cap(changes)
        answer: Answer = {"result": True, "changes": short, "notes": notes}
        if test:
            answer["result"] = None if todo else True
            answer["comment"] = _comment(plans, todo, notes, "would be")
            return answer
        if todo:
            # Plans that touch nothing ride along for their ledger entries.
            ordered = [*todo, *(plan for plan in plans if not plan.touches_host)]
            notes += self._apply(ordered, config, how, forget)
        elif plans:
            run(write_ledger(final_ledger(plans), self.settings), self.host.perform)
        if cut:
            try:
                answer["journal"] = self._journal(changes)
                notes.append(f"The whole of it: `ipalias.journal {answer['journal']}`")
            except EffectError as error:
                # The change stands, and must not look like one that failed.
                notes.append(f"The whole of it could not be kept: {error.text()}")
        answer["comment"] = _comment(plans, todo, notes, "were")
        return answer

    def _apply(
        self, plans: Sequence[Plan], config: Config, how: InterfaceConfig, forget: Sequence[str]
    ) -> list[str]:
        """Apply plans under journal and dead man; return notes."""
        settings = replace(
            self.settings,
            announce=how.announce,
            guard=config.guard,
        )
        change = apply(plans, self.host, settings, self.new_id(), self._purpose, forget)
        touched = sum(len(p.live_add) + len(p.recreate) + len(p.live_remove) for p in plans)
        seconds = f"{patience(config.guard, touched):g} s"
        undone = f"It is undone in {seconds} unless `ipalias.confirm` comes first"
        return self.make(change, undone)

    def _notes(self, plan: Plan, todo: Sequence[Plan]) -> list[str]:
        """Return what the operator should know of one plan."""
        notes = list(plan.notes)
        if plan in todo:
            activation = activation_of(plan, plan.change, self.host)
            if activation.note:
                notes.append(f"{plan.interface}: {activation.note}")
            if plan.restart in restarts.HARD:
                said = restarts.cuts(plan.restart, plan.interface)
                notes.append(f"{plan.interface}: restart: {plan.restart}: {said}")
        return notes

    def _journal(self, changes: Mapping[str, object]) -> str:
        """Keep the whole of a change that is too large for an event; return its id."""
        name = self.new_id()
        text = json.dumps({"schema": 1, "id": name, "changes": changes}, indent=1) + "\n"
        path = f"{self.paths.journal}/{name}.json"
        run(write_state(self.paths, path, text), self.host.perform)
        # By their ids, which begin with the time, the oldest is first.
        for old in self.host.glob(f"{self.paths.journal}/*.json")[:-MAX_KEPT]:
            with suppress(EffectError):
                self.host.perform(Unlink(old))
        return name


def _merged(listed: Iterable[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Join the changes of several plans."""
    merged: dict[str, dict[str, Any]] = {}
    for changes in listed:
        for kind, block in changes.items():
            into = merged.setdefault(kind, {})
            for key, value in block.items():
                into[key] = (
                    [*into[key], *value] if key in into and isinstance(value, list) else value
                )
    return merged


def _comment(plans: Sequence[Plan], todo: Sequence[Plan], notes: Sequence[str], verb: str) -> str:
    """Return one clear sentence or two on what was, or would be, done."""
    parts = []
    for plan in todo:
        what = []
        if plan.live_add:
            what.append(f"{len(plan.live_add)} added")
        if plan.live_remove:
            what.append(f"{len(plan.live_remove)} removed")
        if plan.recreate:
            what.append(f"{len(plan.recreate)} set anew")
        counts = f"addresses {', '.join(what)}" if what else "no address changed"
        files = ", ".join(file.path for file in plan.files[:MAX_NAMED])
        if len(plan.files) > MAX_NAMED:
            files += f" and {len(plan.files) - MAX_NAMED} more"
        written = f"; written: {files}" if files else ""
        parts.append(f"{plan.interface} ({plan.situation.backend.NAME}): {counts}{written}")
    if parts:
        head = "; ".join(parts)
        head = f"Would change {head}" if verb == "would be" else f"Changed {head}"
    elif plans:
        count = sum(len(plan.entries) for plan in plans)
        names = ", ".join(dict.fromkeys(plan.interface for plan in plans))
        head = f"{names}: all {count} aliases are as wanted, on disk and live"
    else:
        head = "Nothing of ours is concerned"
    return ". ".join([head, *notes])
