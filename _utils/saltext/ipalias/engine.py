"""Carry out one request on one host: read, decide, apply, tell.

Everything a loader module calls is a method of `Engine` here or a function of `report`;
plain data goes in and comes out, because no class survives a reload of the library.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from . import restarts, targets
from .backends import load
from .checks import patience
from .effects import Effect, ReadLive, run
from .errors import InputError, RefusedError
from .files import write_state
from .guarded import settle
from .host import Host, Overlay
from .ledger import Ledger, parse_ledger
from .lifeline import refuse_cuts, refuse_used
from .live import Snapshot
from .model import Alias, File, Wanted
from .owner import choose, require_link, resolve_default
from .paths import Paths, Settings
from .pillar import (
    AUTO,
    DEFAULT,
    Announce,
    Config,
    InterfaceConfig,
    interface_names,
    parse_pillar,
)
from .plan import Plan, activation_of, cap, describe, make_plan
from .situation import Situation, Target
from .transaction import apply, final_ledger, write_ledger
from .values import is_interface, parse_interface

Answer = dict[str, Any]
#: Files that a comment names, and faults of the pillar; the rest is counted.
MAX_NAMED = 20
MAX_FAULTS = 3


class Machine(Host, Protocol):
    """A host that can also be changed."""

    def perform(self, effect: Effect) -> Any:
        """Perform one effect."""


@dataclass
class Engine:
    """Hold a request's surroundings.

    :param data: pillar block ``ipalias`` as Salt gives it.
    :param root: pillar path of that block.
    :param locked: gives the lock of this host for a purpose.
    :param new_id: gives an id for a journal entry.
    :param forced: addresses to be taken away even if this host is reached by them, or an
        account of a control panel uses them.
    """

    host: Machine
    data: object = None
    root: str = "ipalias"
    settings: Settings = field(default_factory=Settings)
    locked: Callable[[str], AbstractContextManager[None]] = lambda purpose: nullcontext()
    new_id: Callable[[], str] = lambda: "0"
    forced: frozenset[str] = frozenset()
    _purpose: str = ""
    _settled: list[str] = field(default_factory=list)
    _faults: list[str] = field(default_factory=list)

    @property
    def paths(self) -> Paths:
        """Return where our state lies."""
        return self.settings.paths

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

    def _plan(
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

    # -- requests -----------------------------------------------------------------------

    def managed(self, name: str | None = None, *, test: bool = False) -> Answer:
        """Bring one interface of the pillar, or ``default``, or all, to the whole list.

        The whole pillar is planned first: an error anywhere leaves everything as it is.

        :param name: interface as in the pillar; None for all, and for what left the pillar.
        :raises IpaliasError: see `pillar`, `situation` and `transaction`.
        """
        if name is not None and not is_interface(name, self.host.system):
            # Where it is a key of the pillar, the pillar's own refusal says so.
            self.config()
            parse_interface(name, "name", self.host.system)
        with self.lock(" ".join(filter(None, ("ipalias.apply", name))), test):
            config = self.config()
            if name is not None and name not in config.interfaces:
                raise InputError(f"{name!r} is not in the pillar", where=f"{self.root}:interfaces")
            ledger, snapshot = self.ledger(), self.snapshot()
            resolved = {}
            for block in config.interfaces.values():
                resolved[block.name] = self._resolve(block, config, ledger, snapshot)
            ledger = _pinned(ledger, resolved.get(DEFAULT, {}))
            chosen: list[Plan] = []
            for block in config.interfaces.values():
                mine = name in (None, block.name)
                before = chosen if mine else []
                plans = self._managed_plans(block, resolved[block.name], ledger, snapshot, before)
                if mine:
                    chosen += plans
            if name is None:
                chosen += self._pruned_plans(config, ledger, snapshot, chosen)
            how = config.interfaces[name] if name else config.base
            return self._carry_out(chosen, config, how, test)

    def _resolve(
        self, interface: InterfaceConfig, config: Config, ledger: Ledger, snapshot: Snapshot
    ) -> dict[int, str]:
        """Return the real interface of each family that an interface block has."""
        families = {alias.family for alias in interface.aliases}
        if interface.name != DEFAULT:
            return dict.fromkeys(families or {4}, interface.name)
        named = set(config.interfaces) - {DEFAULT}
        known = families | {int(family) for family in ledger.default}
        return resolve_default(known, snapshot, ledger, named, interface.where)

    def _managed_plans(
        self,
        config: InterfaceConfig,
        resolved: Mapping[int, str],
        ledger: Ledger,
        snapshot: Snapshot,
        before: Sequence[Plan],
    ) -> list[Plan]:
        """Return the plans of one block: one for each real interface it means."""
        plans: list[Plan] = []
        for interface in dict.fromkeys(resolved.values()):
            aliases = tuple(
                alias if alias.interface == interface else replace(alias, interface=interface)
                for alias in config.aliases
                if resolved[alias.family] == interface
            )
            situation = self.situation(interface, config, ledger, snapshot)
            target = targets.managed_target(
                situation, aliases, purge=config.purge, adopt=config.adopt
            )
            plans.append(self._plan(situation, target, config, [*before, *plans]))
        return plans

    def pruned(self, *, test: bool = False) -> Answer:
        """Take away what came from the pillar on interfaces that left it."""
        with self.lock("ipalias.prune", test):
            names = interface_names(self.data, self.root)
            if not _left_pillar(names, self.ledger(entries=False)):
                # The usual case: neither the list of addresses nor the kernel matters then.
                return self._carry_out((), Config(), Config().base, test)
            config, ledger = self.config(), self.ledger()
            plans = self._pruned_plans(config, ledger, self.snapshot(), ())
            return self._carry_out(plans, config, config.base, test)

    def _pruned_plans(
        self, config: Config, ledger: Ledger, snapshot: Snapshot, before: Sequence[Plan]
    ) -> list[Plan]:
        """Return the plans of interfaces that the ledger knows and the pillar does not."""
        plans: list[Plan] = []
        for name in _left_pillar(config.interfaces, ledger):
            if name not in snapshot.by_link:
                continue
            situation = self.situation(name, config.base, ledger, snapshot)
            target = targets.pruned_target(situation, purge=config.base.purge)
            plans.append(self._plan(situation, target, config.base, [*before, *plans]))
        return plans

    def add(
        self,
        aliases: Sequence[Alias],
        *,
        persist: bool = True,
        live: bool = True,
        announce: Announce | None = None,
        test: bool = False,
    ) -> Answer:
        """Add aliases by hand; highstates leave them alone.

        :param aliases: their interface may be ``default``.
        """
        if not (persist or live):
            raise InputError("neither persist nor live: there is nothing to do", where="persist")
        with self.lock("ipalias.add", test):
            config = self.config_by_hand()
            ledger, snapshot = self.ledger(), self.snapshot()
            families = {alias.family for alias in aliases if alias.interface == DEFAULT}
            resolved = resolve_default(families, snapshot, ledger, (), "interface")
            ledger = _pinned(ledger, resolved)
            by_interface: dict[str, list[Alias]] = {}
            for alias in aliases:
                name = resolved[alias.family] if alias.interface == DEFAULT else alias.interface
                by_interface.setdefault(name, []).append(replace(alias, interface=name))
            self._refuse_wanted_elsewhere(by_interface, config, ledger, snapshot)
            plans: list[Plan] = []
            for name, listed in by_interface.items():
                settings = self.settings_of(name, config, ledger)
                situation = self.situation(name, settings, ledger, snapshot)
                target = targets.added_target(situation, listed, persist=persist, live=live)
                plans.append(self._plan(situation, target, settings, plans))
            how = config.base
            if len(by_interface) == 1:
                how = self.settings_of(next(iter(by_interface)), config, ledger)
            if announce is not None:
                how = replace(how, announce=announce)
            return self._carry_out(plans, config, how, test)

    def _refuse_wanted_elsewhere(
        self,
        by_interface: Mapping[str, Sequence[Alias]],
        config: Config,
        ledger: Ledger,
        snapshot: Snapshot,
    ) -> None:
        """Refuse by hand what the pillar gives to another interface: the next run would move it.

        :raises InputError: naming that interface.
        """
        asked = {a.address: (name, a) for name, listed in by_interface.items() for a in listed}
        for block in config.interfaces.values():
            named = [alias for alias in block.aliases if alias.address in asked]
            if not named:
                continue
            resolved = self._resolve(block, config, ledger, snapshot)
            for alias in named:
                name, by_hand = asked[alias.address]
                if resolved[alias.family] != name:
                    raise InputError(
                        f"{alias.address} is {resolved[alias.family]}'s by the pillar",
                        where=by_hand.where,
                        way_out=f"add it there, or take it out of {alias.where}",
                    )

    def remove(
        self,
        addresses: Sequence[tuple[str, int | None]],
        *,
        interface: str | None = None,
        test: bool = False,
    ) -> Answer:
        """Remove aliases of ours, whatever their origin.

        :param addresses: address and prefix, or None for whatever prefix it has.
        :raises RefusedError: an address that is not ours.
        """
        with self.lock("ipalias.remove", test):
            config = self.config_by_hand()
            ledger, snapshot = self.ledger(), self.snapshot()
            by_interface: dict[str, list[tuple[str, int | None]]] = {}
            places = {} if interface else _places(ledger, snapshot)
            for address, prefix in addresses:
                name = interface or places.get(address)
                if name is not None:
                    by_interface.setdefault(name, []).append((address, prefix))
            plans: list[Plan] = []
            for name, listed in by_interface.items():
                settings = self.settings_of(name, config, ledger)
                situation = self.situation(name, settings, ledger, snapshot)
                target = targets.removed_target(situation, listed)
                plans.append(self._plan(situation, target, settings, plans))
            return self._carry_out(plans, config, config.base, test)

    def clean(self, *, test: bool = False) -> Answer:
        """Take away everything of ours, whatever its origin, and nothing else."""
        with self.lock("ipalias.clean", test):
            config = self.config_or_none()
            ledger, snapshot = self.ledger(), self.snapshot()
            plans: list[Plan] = []
            for name in self._ours(config, ledger, snapshot):
                settings = self.settings_of(name, config, ledger)
                if (
                    settings.backend != AUTO
                    and self.host.system not in load(settings.backend).SYSTEMS
                ):
                    # What is ours lies where it lies, whatever the pillar says by now.
                    settings = replace(settings, backend=AUTO)
                situation = self.situation(name, settings, ledger, snapshot)
                target = targets.clean_target(situation)
                plans.append(self._plan(situation, target, settings, plans))
            ledger_after = replace(ledger, default={})
            plans = [_with_ledger(plan, ledger_after) for plan in plans]
            return self._carry_out(plans, config, config.base, test)

    # -- what requests share ------------------------------------------------------------

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

    def _ours(self, config: Config, ledger: Ledger, snapshot: Snapshot) -> list[str]:
        """Return the interfaces that may hold something of ours."""
        names = list(ledger.interfaces)
        if ledger.lost:
            names += [name for name in config.interfaces if name != DEFAULT]
            names += [route.interface for family in (4, 6) for route in snapshot.defaults(family)]
        return [name for name in dict.fromkeys(names) if name in snapshot.by_link]

    def settings_of(self, name: str, config: Config, ledger: Ledger) -> InterfaceConfig:
        """Return the pillar's settings for a real interface."""
        if name in config.interfaces:
            return config.interfaces[name]
        if DEFAULT in config.interfaces and name in ledger.default.values():
            return config.interfaces[DEFAULT]
        return config.base

    @contextmanager
    def lock(self, purpose: str, test: bool) -> Iterator[None]:
        """Hold the lock, and first put back what an earlier run left unfinished."""
        self._purpose = purpose
        if test:
            yield
            return
        with self.locked(purpose):
            self._settled = run(settle(self.host, self.paths), self.host.perform)
            yield

    def restored(self, plans: Sequence[Plan], forget: Sequence[str], test: bool) -> Answer:
        """Put a store back as plans say; the caller holds the lock, see `restore_store`.

        :param forget: what is kept of the store; of no use once it is as it was.
        """
        config = self.config_or_none()
        return self._carry_out(plans, config, config.base, test, forget)

    def _carry_out(
        self,
        plans: Sequence[Plan],
        config: Config,
        how: InterfaceConfig,
        test: bool,
        forget: Sequence[str] = (),
    ) -> Answer:
        """Show plans (`test`) or apply them, and answer with plain data.

        :param how: block whose settings count for announcing.
        :param forget: see `transaction.apply`.
        """
        todo = [plan for plan in plans if plan.touches_host]
        refuse_cuts(todo, self.host, self.settings.master, self.forced)
        refuse_used(todo, self.host, self.forced)
        changes = _merged(describe(plan) for plan in todo)
        notes = self.notes()
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
            answer["journal"] = self._journal(changes)
            notes.append(f"The whole of it: `ipalias.journal {answer['journal']}`")
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
        verdict = run(change, self.host.perform)
        notes = list(verdict.notes)
        if verdict.waiting:
            touched = sum(len(p.live_add) + len(p.recreate) + len(p.live_remove) for p in plans)
            seconds = f"{patience(config.guard, touched):g} s"
            notes.append(f"It is undone in {seconds} unless `ipalias.confirm` comes first")
        return notes

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
        return name


def _left_pillar(names: Iterable[str], ledger: Ledger) -> list[str]:
    """Return the interfaces that the ledger knows and the pillar does not name."""
    kept = set(names)
    if DEFAULT in kept:
        kept |= set(ledger.default.values())
    return [name for name in ledger.interfaces if name not in kept]


def _pinned(ledger: Ledger, resolved: Mapping[int, str]) -> Ledger:
    """Return the ledger with ``default`` pinned as resolved."""
    for family, interface in resolved.items():
        ledger = ledger.with_default(family, interface)
    return ledger


def _with_ledger(plan: Plan, ledger: Ledger) -> Plan:
    """Return the same plan on another base ledger."""
    return replace(plan, situation=replace(plan.situation, ledger=ledger))


def _places(ledger: Ledger, snapshot: Snapshot) -> dict[str, str]:
    """Return the interface of each address: by the ledger, else by the kernel."""
    places: dict[str, str] = {}
    for name, entries in ledger.interfaces.items():
        for entry in entries.values():
            places.setdefault(entry.alias.address, name)
    for live in snapshot.addresses:
        places.setdefault(live.address, live.interface)
    return places


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


def refuse_unprivileged(root: bool) -> None:
    """Refuse to change a host without the right to.

    :raises RefusedError: not root.
    """
    if not root:
        raise RefusedError(
            "changing addresses needs root", way_out="run the minion or salt-call as root"
        )
