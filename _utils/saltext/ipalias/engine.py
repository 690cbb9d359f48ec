"""Carry out one request on one host: read, decide, apply, tell.

Everything a loader module calls is a method of `Engine` here or a function of `report`; what
its verbs share is in `surroundings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from . import targets
from .errors import InputError, RefusedError
from .ledger import Ledger
from .live import Snapshot
from .model import Alias
from .owner import resolve_default
from .pillar import DEFAULT, Announce, Config, InterfaceConfig, interface_names
from .plan import Plan
from .request import Answer, Machine
from .surroundings import Surroundings
from .values import is_interface, parse_interface

__all__ = ["Answer", "Engine", "Machine", "refuse_unprivileged"]


class Engine(Surroundings):
    """Answer what is asked of a host: a method a verb."""

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
            return self.carry_out(chosen, config, how, test)

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
            plans.append(self.plan(situation, target, config, [*before, *plans]))
        return plans

    def pruned(self, *, test: bool = False) -> Answer:
        """Take away what came from the pillar on interfaces that left it."""
        with self.lock("ipalias.prune", test):
            names = interface_names(self.data, self.root)
            if not _left_pillar(names, self.ledger(entries=False)):
                # The usual case: neither the list of addresses nor the kernel matters then.
                return self.carry_out((), Config(), Config().base, test)
            config, ledger = self.config(), self.ledger()
            plans = self._pruned_plans(config, ledger, self.snapshot(), ())
            return self.carry_out(plans, config, config.base, test)

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
            plans.append(self.plan(situation, target, config.base, [*before, *plans]))
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
                plans.append(self.plan(situation, target, settings, plans))
            how = config.base
            if len(by_interface) == 1:
                how = self.settings_of(next(iter(by_interface)), config, ledger)
            if announce is not None:
                how = replace(how, announce=announce)
            return self.carry_out(plans, config, how, test)

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
                target = targets.removed_target(situation, listed, self.forced)
                plans.append(self.plan(situation, target, settings, plans))
            return self.carry_out(plans, config, config.base, test)

    def clean(self, *, test: bool = False) -> Answer:
        """Take away everything of ours, whatever its origin, and nothing else."""
        with self.lock("ipalias.clean", test):
            config = self.config_or_none()
            ledger, snapshot = self.ledger(), self.snapshot()
            plans: list[Plan] = []
            for name in self._ours(config, ledger, snapshot):
                settings = self.settings_to_undo(name, config, ledger)
                situation = self.situation(name, settings, ledger, snapshot)
                target = targets.clean_target(situation)
                plans.append(self.plan(situation, target, settings, plans))
            ledger_after = replace(ledger, default={})
            plans = [_with_ledger(plan, ledger_after) for plan in plans]
            return self.carry_out(plans, config, config.base, test, pair_first=True)

    def restored(self, plans: Sequence[Plan], forget: Sequence[str], test: bool) -> Answer:
        """Put a store back as plans say; the caller holds the lock, see `restore_store`.

        :param forget: what is kept of the store; of no use once it is as it was.
        """
        config = self.config_or_none()
        return self.carry_out(plans, config, config.base, test, forget)

    def _ours(self, config: Config, ledger: Ledger, snapshot: Snapshot) -> list[str]:
        """Return the interfaces that may hold something of ours."""
        names = list(ledger.interfaces)
        if ledger.lost:
            names += [name for name in config.interfaces if name != DEFAULT]
            names += [route.interface for family in (4, 6) for route in snapshot.defaults(family)]
        return [name for name in dict.fromkeys(names) if name in snapshot.by_link]


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


def refuse_unprivileged(root: bool) -> None:
    """Refuse to change a host without the right to.

    :raises RefusedError: not root.
    """
    if not root:
        raise RefusedError(
            "changing addresses needs root", way_out="run the minion or salt-call as root"
        )
